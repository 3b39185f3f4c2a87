# SPDX-License-Identifier: Apache-2.0
"""What one cycle of the arm may do, whatever comes in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safe_transfer_ros.safety.motion.causes import Cause
from safe_transfer_ros.safety.motion.torque_cycle import LOST_CYCLES, Command, CycleSettings, TorqueCycle

EFFORT = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
MS = 1_000_000
REST = np.zeros(7)
ANYTHING = st.floats(allow_nan=True, allow_infinity=True, width=64)


class Arm:
    """The cycle with a clock and an arm that behave, until a test says otherwise."""

    def __init__(self, **settings: float) -> None:
        self.cycle = TorqueCycle(EFFORT, CycleSettings(**settings))
        self.now = 10**12
        self.cycle.begin(self.now)
        self.command = Command(torque=np.zeros(7), torque_limit=20.0, received_ns=self.now, permitted=True)

    def step(
        self, *, period_ms: float = 1.0, fresh: bool = True, state_ms: int | None = None, **state: object
    ) -> np.ndarray:
        self.now += round(period_ms * MS)
        if fresh:
            self.command.received_ns = self.now
        measured = {"position": REST, "velocity": REST, "accepted": self.cycle.torque.copy()} | state
        self.cycle.step(self.command, self.now // MS if state_ms is None else state_ms, now_ns=self.now, **measured)
        return self.cycle.torque.copy()

    def drive(self, torque: float = 5.0) -> None:
        self.command.torque[:] = torque
        for _ in range(10):
            self.step()
        assert (self.cycle.torque == torque).all() and self.cycle.cause is Cause.NONE

    def steps_to_zero(self) -> int:
        for count in range(1, 200):
            if not self.step().any():
                return count
        raise AssertionError("torque never came to zero")


def test_a_step_of_5_newton_metres_arrives_as_1_a_cycle() -> None:
    arm = Arm()
    arm.command.torque[:] = 5.0
    assert [arm.step()[0] for _ in range(7)] == [1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0]
    arm.command.torque[:] = -5.0
    assert [arm.step()[6] for _ in range(11)] == [4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -5]


def test_the_smaller_of_limit_and_effort_limit_bounds_each_joint() -> None:
    arm = Arm()
    arm.command.torque[:] = 1000.0
    for _ in range(30):
        arm.step()
    assert arm.step().tolist() == [20.0] * 4 + [12.0] * 3
    arm.command.torque[:] = -1000.0
    for _ in range(60):
        arm.step()
    assert arm.step().tolist() == [-20.0] * 4 + [-12.0] * 3


def test_a_limit_that_falls_is_reached_by_a_step_a_cycle() -> None:
    """The arm would stop by a reflex at more; the torque never rises on the way."""
    arm = Arm()
    arm.drive(5.0)
    arm.command.torque_limit = 2.5
    assert [arm.step()[0] for _ in range(4)] == [4.0, 3.0, 2.5, 2.5]


def test_a_limit_of_zero_is_no_torque_and_no_fault() -> None:
    arm = Arm()
    arm.command.torque[:] = 3.0
    arm.command.torque_limit = 0.0
    assert not arm.step().any() and arm.cycle.cause is Cause.NONE


def test_a_command_is_followed_up_to_its_timeout_and_no_longer() -> None:
    arm = Arm()
    arm.drive()
    for _ in range(5):
        assert (arm.step(period_ms=10.0, fresh=False) == 5.0).all()
    assert (arm.step(fresh=False) == 4.0).all() and arm.cycle.cause is Cause.COMMAND_STALE


def test_a_silent_filter_is_zero_within_60_milliseconds() -> None:
    arm = Arm()
    arm.drive(5.0)
    last = arm.command.received_ns
    while arm.step(fresh=False).any():
        pass
    assert (arm.now - last) / MS <= 60.0


def test_a_command_from_the_future_has_no_age() -> None:
    arm = Arm()
    arm.drive()
    arm.command.received_ns = arm.now + 2 * MS
    arm.step(fresh=False)
    assert arm.cycle.cause is Cause.COMMAND_STALE


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda arm: arm.command.torque.__setitem__(3, math.nan), Cause.COMMAND_NOT_FINITE),
        (lambda arm: arm.command.torque.__setitem__(0, math.inf), Cause.COMMAND_NOT_FINITE),
        (lambda arm: setattr(arm.command, "torque", np.ones(6)), Cause.COMMAND_NOT_FINITE),
        (lambda arm: setattr(arm.command, "torque_limit", math.nan), Cause.LIMIT_UNUSABLE),
        (lambda arm: setattr(arm.command, "torque_limit", math.inf), Cause.LIMIT_UNUSABLE),
        (lambda arm: setattr(arm.command, "torque_limit", -0.1), Cause.LIMIT_UNUSABLE),
        (lambda arm: setattr(arm.command, "permitted", False), Cause.NO_PERMISSION),
        (lambda arm: arm.cycle.stop(Cause.ORDERED), Cause.ORDERED),
    ],
)
def test_each_cause_ends_the_motion_for_good(spoil, cause) -> None:
    arm = Arm()
    arm.drive(5.0)
    spoil(arm)
    assert (arm.step() == 4.0).all()
    arm.command = Command(torque=np.full(7, 5.0), torque_limit=20.0, received_ns=0, permitted=True)
    assert arm.steps_to_zero() == 4 and arm.cycle.ended
    assert not arm.step().any() and arm.cycle.cause is cause


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["position", "velocity"])
def test_a_state_that_is_not_finite_ends_the_motion(field: str, value: float) -> None:
    arm = Arm()
    arm.drive()
    spoiled = REST.copy()
    spoiled[2] = value
    arm.step(**{field: spoiled})
    assert arm.cycle.cause is Cause.STATE_NOT_FINITE


def test_a_state_whose_time_stands_still_ends_the_motion() -> None:
    arm = Arm()
    arm.drive()
    stopped = arm.now // MS
    for _ in range(20):
        arm.step(state_ms=stopped)
    assert arm.cycle.cause is Cause.NONE
    arm.step(state_ms=stopped)
    assert arm.cycle.cause is Cause.STATE_STALE


def test_a_cycle_that_comes_late_ends_the_motion_even_with_a_new_state() -> None:
    arm = Arm()
    arm.drive()
    arm.step(period_ms=20.0)
    assert arm.cycle.cause is Cause.NONE
    arm.step(period_ms=20.1)
    assert arm.cycle.cause is Cause.STATE_STALE


def test_a_clock_that_goes_back_ends_the_motion() -> None:
    arm = Arm()
    arm.drive()
    arm.step(period_ms=-1.0, state_ms=arm.now // MS + 1)
    assert arm.cycle.cause is Cause.CLOCK_WENT_BACK


def test_until_the_first_permission_there_is_no_torque() -> None:
    arm = Arm()
    arm.command.torque[:] = 5.0
    arm.command.permitted = False
    for _ in range(2000):
        assert not arm.step().any()
    assert arm.cycle.cause is Cause.NONE
    arm.step()
    assert arm.cycle.cause is Cause.NO_PERMISSION, "one that never comes is not waited for"


def test_a_permission_once_given_counts_from_then_on() -> None:
    arm = Arm()
    arm.command.permitted = False
    arm.step()
    arm.command.permitted = True
    arm.drive()
    arm.command.permitted = False
    arm.step()
    assert arm.cycle.cause is Cause.NO_PERMISSION


def test_a_motion_begins_on_a_word_only_and_at_zero() -> None:
    cycle = TorqueCycle(EFFORT, CycleSettings())
    command = Command(torque=np.full(7, 5.0), torque_limit=20.0, received_ns=MS, permitted=True)
    cycle.step(command, 1, REST, REST, REST, MS)
    assert cycle.ended and not cycle.torque.any()
    arm = Arm()
    arm.drive(5.0)
    arm.cycle.stop(Cause.ORDERED)
    with pytest.raises(RuntimeError, match="zero torque"):
        arm.cycle.begin(arm.now)
    arm.steps_to_zero()
    arm.cycle.begin(arm.now)
    assert (arm.step() == 1.0).all() and arm.cycle.cause is Cause.NONE


def test_a_new_motion_needs_a_permission_of_its_own_and_takes_any_time_of_the_arm() -> None:
    """The arm's clock begins anew when it was switched off between."""
    arm = Arm()
    arm.drive(5.0)
    arm.cycle.stop(Cause.ORDERED)
    arm.steps_to_zero()
    arm.cycle.begin(arm.now)
    arm.command.permitted = False
    for count in range(100):
        assert not arm.step(state_ms=count).any()
    assert arm.cycle.cause is Cause.NONE


def test_the_first_cause_stands() -> None:
    arm = Arm()
    arm.cycle.stop(Cause.REFLEX)
    arm.cycle.stop(Cause.ORDERED)
    arm.step(period_ms=500.0)
    assert arm.cycle.cause is Cause.REFLEX


def test_motors_that_were_taken_from_us_have_no_torque_of_ours() -> None:
    arm = Arm()
    arm.drive(5.0)
    arm.cycle.abandon(Cause.REFLEX)
    assert arm.cycle.ended and not arm.cycle.torque.any() and arm.cycle.cause is Cause.REFLEX
    arm.cycle.abandon(Cause.COMMUNICATION_LOST)
    assert arm.cycle.cause is Cause.REFLEX


def test_the_torque_cannot_be_written_from_outside() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Arm().cycle.torque[0] = 1.0


@pytest.mark.parametrize("field", ["torque_step", "command_timeout_s", "state_timeout_s", "permission_timeout_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_setting_that_would_switch_a_rule_off_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be a positive number"):
        CycleSettings(**{field: value})


@pytest.mark.parametrize("effort", [[87.0, 0.0], [87.0, math.nan], [math.inf], [-1.0], [[1.0]]])
def test_an_effort_limit_that_bounds_nothing_is_refused(effort: list) -> None:
    with pytest.raises(ValueError, match="effort limits must be positive"):
        TorqueCycle(np.array(effort), CycleSettings())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(ANYTHING | st.floats(-100.0, 100.0), min_size=7, max_size=7),
            ANYTHING | st.floats(0.0, 100.0),
            st.booleans() | st.just(True),
            st.integers(-(10**8), 10**8) | st.integers(0, 2 * 10**6),
            st.integers(-100 * MS, 100 * MS) | st.just(MS),
            st.lists(ANYTHING, min_size=7, max_size=7) | st.just([0.0] * 7),
            st.lists(ANYTHING | st.floats(-3.0, 3.0), min_size=7, max_size=7),
        ),
        max_size=40,
    )
)
def test_whatever_comes_in_the_torque_is_finite_bounded_and_slewed(cycles) -> None:
    cycle = TorqueCycle(EFFORT, CycleSettings())
    now = 10**12
    cycle.begin(now)
    for torque, limit, permitted, age, period, position, accepted in cycles:
        before, was = cycle.torque.copy(), cycle.cause
        now += period
        command = Command(torque=np.array(torque), torque_limit=limit, received_ns=now - age, permitted=permitted)
        cycle.step(command, now // MS, np.array(position), REST, np.array(accepted), now)
        after = cycle.torque
        assert np.isfinite(after).all()
        assert (np.abs(after - before) <= 1.0 + 1e-12).all()
        live = cycle.cause is Cause.NONE and permitted
        bound = np.minimum(EFFORT, limit) if live else np.zeros(7)
        assert (np.abs(after) <= np.maximum(bound, np.abs(before) - 1.0 + 1e-12)).all()
        if was is not Cause.NONE:
            assert cycle.cause is was


def test_a_command_that_was_lost_on_its_way_is_waited_for() -> None:
    """The arm goes on with the one before, and would stop by a reflex at two steps in one."""
    arm = Arm()
    arm.drive(0.0)
    arm.command.torque[:] = 5.0
    accepted = np.zeros(7)
    assert arm.step(accepted=accepted)[0] == 1.0
    assert arm.step(accepted=accepted)[0] == 1.0, "lost: the arm still has nothing"
    assert arm.step(accepted=np.ones(7))[0] == 2.0
    arm.command.torque[:] = -5.0
    assert arm.step(accepted=np.full(7, 2.0))[0] == 1.0
    assert arm.step(accepted=np.full(7, 2.0))[0] == 1.0


@pytest.mark.parametrize("accepted", [np.full(7, np.nan), np.full(7, -30.0), np.full(7, np.inf), np.full(7, 5.5)])
def test_what_an_arm_says_that_it_has_moves_no_torque(accepted: np.ndarray) -> None:
    arm = Arm()
    arm.drive(5.0)
    assert (arm.step(accepted=accepted) == 5.0).all()


def test_a_limit_that_falls_waits_for_no_word_of_the_arm() -> None:
    arm = Arm()
    arm.drive(5.0)
    arm.command.torque_limit = 2.5
    assert [arm.step(accepted=np.full(7, 5.0))[0] for _ in range(4)] == [4.0, 3.0, 2.5, 2.5]


def test_an_arm_that_never_takes_a_torque_is_waited_for_no_longer_than_it_would_go_on() -> None:
    arm = Arm()
    arm.drive(5.0)
    arm.command.torque[:] = 0.0
    torques = [arm.step(accepted=np.full(7, 5.0))[0] for _ in range(LOST_CYCLES + 10)]
    assert torques[: LOST_CYCLES + 1] == [4.0] * (LOST_CYCLES + 1) and torques[-1] == 0.0


def test_the_end_of_a_motion_waits_for_no_word_of_the_arm() -> None:
    arm = Arm()
    arm.drive(5.0)
    arm.cycle.stop(Cause.ORDERED)
    stuck = np.full(7, 5.0)
    assert [arm.step(accepted=stuck)[0] for _ in range(5)] == [4.0, 3.0, 2.0, 1.0, 0.0]


def test_what_is_late_or_lost_on_its_way_never_makes_two_steps_of_one() -> None:
    """+1, 0, -1 to an arm that still says 0: where +1 comes late and 0 not at all, -1 would be 2 N·m to it."""
    arm = Arm()
    nothing = np.zeros(7)
    torques = []
    for target in (5.0, -5.0, -5.0, -5.0):
        arm.command.torque[:] = target
        torques.append(arm.step(accepted=nothing)[0])
    assert torques == [1.0, 0.0, 0.0, 0.0]
    assert arm.step(accepted=np.ones(7))[0] == 0.0, "the 0 is under way, the 1 has come"
    assert arm.step(accepted=nothing)[0] == -1.0


@pytest.mark.parametrize("seed", range(4))
def test_no_arm_takes_more_than_a_step_whatever_its_wire_loses_and_delays(seed: int) -> None:
    """Against a wire and an arm in full: of what has come, the arm takes the newest, and says so some cycles later."""
    rng = np.random.default_rng(seed)
    arm = Arm()
    under_way: list[tuple[int, int, np.ndarray]] = []  # cycle in which it comes, number, torque
    has, number, told = np.zeros(7), -1, [np.zeros(7)]
    largest = moved = 0.0
    for cycle in range(4000):
        arm.command.torque[:] = rng.uniform(-15.0, 15.0, 7) if cycle % 3 == 0 else arm.command.torque
        sent = arm.step(accepted=told[-min(len(told), int(rng.integers(1, 3)))])
        assert arm.cycle.cause is Cause.NONE
        if rng.random() > 0.2:
            under_way.append((cycle + int(rng.choice([0, 0, 0, 1, 2])), cycle, sent))
        come = [one for one in under_way if one[0] <= cycle and one[1] > number]
        under_way = [one for one in under_way if one[0] > cycle]
        if come:
            _, number, torque = max(come, key=lambda one: one[1])
            largest, moved = max(largest, np.abs(torque - has).max()), moved + np.abs(torque - has).max()
            has = torque
        told.append(has)
    assert largest <= 1.0 + 1e-9
    assert moved > 400.0, "it still follows its commands"
