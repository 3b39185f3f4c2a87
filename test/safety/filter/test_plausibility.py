# SPDX-License-Identifier: Apache-2.0
"""A joint state that no arm can be in is refused, and stops one that moves with a reason of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.plausibility import SIMULATED_SPEED_FACTOR, Plausibility
from safe_transfer_ros.safety.reasons import Mode, Reason

TURN = 2.0 * math.pi
LOWER, UPPER, SPEED = np.array([-2.0, -1.0, -math.inf]), np.array([2.0, 0.0, math.inf]), np.array([2.0, 3.0, 4.0])
STILL = np.zeros(3)


def bounds(**changes):
    return Plausibility(LOWER, UPPER, SPEED, **changes)


def at(joint, value, base=0.0):
    vector = np.full(3, base)
    vector[joint] = value
    return vector


@pytest.mark.parametrize(
    ("joint", "value", "possible"),
    [(0, 2.9, True), (0, 3.1, False), (1, -1.9, True), (1, -2.1, False), (1, 1.1, False), (2, 9999.0, True)]
    + [(joint, value, False) for joint in range(3) for value in (1e308, -1e308, 1.1e4, math.nan, math.inf, -math.inf)],
)
def test_a_joint_is_near_its_range(joint, value, possible):
    assert bounds().possible(at(joint, value), STILL) is possible


@pytest.mark.parametrize(
    ("joint", "value", "possible"),
    [(0, 19.9, True), (0, 20.1, False), (1, -29.9, True), (1, -30.1, False), (2, 40.1, False)]
    + [(joint, value, False) for joint in range(3) for value in (1e308, -1e308, math.nan, math.inf)],
)
def test_a_joint_is_no_faster_than_several_times_its_limit(joint, value, possible):
    assert bounds().possible(STILL, at(joint, value)) is possible


@pytest.mark.parametrize("joint", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_arm_makes_a_turn_between_two_joint_states(joint, sign):
    plausible = bounds()
    assert not plausible.reachable(STILL, at(joint, sign * TURN), 0.005)
    assert plausible.reachable(STILL, at(joint, sign * 0.29), 0.01) == (10.0 * SPEED[joint] * 0.01 + 0.1 >= 0.29)
    assert plausible.reachable(STILL, at(joint, sign * 0.09), 0.0), "noise takes no time"
    assert not plausible.reachable(STILL, at(joint, sign * 0.11), 0.0), "and is no larger than .1 rad"


@pytest.mark.parametrize(("value", "possible"), [(66.0, True), (199.0, True), (201.0, False)])
def test_an_arm_of_a_simulation_may_be_faster(value, possible):
    assert bounds(speed_factor=SIMULATED_SPEED_FACTOR).possible(STILL, at(0, value)) is possible


@pytest.mark.parametrize(
    "limits",
    [
        (LOWER, UPPER[:2], SPEED),
        (UPPER, LOWER, SPEED),
        (LOWER, UPPER, np.zeros(3)),
        (np.full(3, math.nan), UPPER, SPEED),
        (LOWER, UPPER, np.full(3, math.nan)),
        (LOWER, UPPER, SPEED, 0.5),
        (LOWER, UPPER, SPEED, 0.9),
        (LOWER, UPPER, SPEED, math.inf),
        (np.array([-2.0, 0.0, -math.inf]), UPPER, SPEED),
        (np.array([-2.0, 0.5, -math.inf]), UPPER, SPEED),
        (LOWER, UPPER, np.array([2.0, 0.0, 4.0])),
        (LOWER, UPPER, np.array([2.0, -3.0, 4.0])),
        (LOWER[None], UPPER[None], SPEED[None]),
        (LOWER, UPPER, SPEED, math.nan),
    ],
)
def test_limits_make_sense(limits):
    with pytest.raises(ValueError, match="limits must be|expected lower"):
        Plausibility(*limits)


@pytest.mark.parametrize("changes", [{"speed_factor": 1.0}, {"speed_factor": 1.1}])
def test_a_joint_may_be_slow_and_the_factor_may_be_none(changes):
    slow = Plausibility(LOWER, UPPER, np.array([0.005, 3.0, 4.0]), **changes)
    assert slow.possible(STILL, at(0, 0.005)) and not slow.possible(STILL, at(0, 0.006))


def test_the_bounds_themselves_are_possible():
    for joint, lower, upper, speed in ((0, -3.0, 3.0, 20.0), (1, -2.0, 1.0, 30.0)):
        for value in (lower, upper):
            assert bounds().possible(at(joint, value), STILL)
        for value in (-speed, speed):
            assert bounds().possible(STILL, at(joint, value))


def test_a_joint_without_a_speed_limit_is_no_faster_than_the_largest_number():
    free = Plausibility(LOWER, UPPER, np.full(3, math.inf))
    assert free.possible(STILL, at(0, 1e4)) and not free.possible(STILL, at(0, 1.0001e4))


def test_what_stays_where_it_is_is_reachable_and_noise_is_as_well():
    far = np.array([1.5, -0.9, 2000.0])
    assert bounds().reachable(far, far, 0.0) and bounds().reachable(-far, -far, 0.0)
    assert bounds().reachable(STILL, at(0, 0.1), 0.0)


# In the filter


@pytest.fixture
def arm(rig):
    return rig(plausible=bounds())


def still(arm, **changes):
    """A joint state in the middle of every range."""
    arguments = {"position": at(0, arm.stamp * 1e-15, -0.5), "velocity": np.full(3, 0.01)} | changes
    return arm.state(**arguments)


def running(arm):
    still(arm)
    arm.cycle()
    assert arm.filter.arm(arm.now) is None
    assert arm.propose() is Reason.NONE
    assert arm.cycle().any()
    return arm


ABSURD = [
    {"position": at(0, 1e308)},
    {"position": at(2, -1e308)},
    {"position": np.full(3, 1e308)},
    {"position": at(0, 4.0)},
    {"velocity": at(1, 1e308)},
    {"velocity": at(2, -41.0)},
    {"position": at(2, -0.5 + TURN, -0.5)},
    {"position": at(2, -0.5 - TURN, -0.5)},
    {"position": np.full(3, -0.5) + 0.4},
]


@pytest.mark.parametrize("absurd", ABSURD)
def test_a_state_that_cannot_be_trips_in_that_cycle_and_is_not_taken(arm, absurd):
    running(arm)
    before = arm.filter.position.copy()
    assert still(arm, **absurd) is Reason.JOINT_STATE_IMPLAUSIBLE
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.JOINT_STATE_IMPLAUSIBLE)
    np.testing.assert_array_equal(arm.filter.position, before)
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert arm.filter.last_reasons == Reason.JOINT_STATE_IMPLAUSIBLE


@pytest.mark.parametrize("absurd", [case for case in ABSURD if np.abs(case.get("position", STILL)).max() > 3.0][:4])
def test_reset_and_arming_wait_for_a_state_that_can_be(arm, absurd):
    running(arm)
    absurd = {"position": at(0, 4.0)}
    still(arm, **absurd)
    arm.cycle()
    still(arm, **absurd)
    assert "cannot be" in arm.filter.reset(arm.now)
    still(arm)
    assert arm.filter.reset(arm.now) is None
    still(arm, **absurd)
    assert arm.filter.mode is Mode.DISARMED, "nothing moves that would have to be stopped"
    assert "cannot be" in arm.filter.arm(arm.now)
    still(arm)
    assert arm.filter.arm(arm.now) is None


def test_an_arm_that_was_put_elsewhere_while_nothing_moved_is_believed(arm):
    still(arm)
    assert still(arm, position=np.full(3, -0.9)) is Reason.NONE, "a simulated one is reset like this"


@pytest.mark.parametrize("clock", ["stamps", "receipt"])
def test_the_time_between_two_states_is_the_longer_of_both_clocks(arm, clock):
    """States that were held up come at once, with their own stamps; stamps may stand for less than what passed."""
    running(arm)
    if clock == "stamps":
        arm.stamp += 35_000_000
        arm.now -= 5_000_000
    else:
        arm.now += 35_000_000
    assert still(arm, position=np.array([-0.5 + 0.6, -0.5, -0.5])) is Reason.NONE
    assert still(arm, position=np.array([-0.5, -0.5, -0.5])) is Reason.JOINT_STATE_IMPLAUSIBLE, "in 5 ms it cannot"


def test_a_stop_does_not_damp_by_velocities_that_were_not_believed(rig):
    arm = running(rig(plausible=bounds(), stop_damping=0.1))
    still(arm, velocity=np.full(3, 1.0))
    arm.cycle()
    still(arm, position=at(0, 4.0))
    assert arm.filter.cause is Reason.JOINT_STATE_IMPLAUSIBLE
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert not arm.filter.damping
