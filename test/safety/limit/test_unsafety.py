# SPDX-License-Identifier: Apache-2.0
"""What counts as unsafe, and the ledger that counts it whatever the order of arrival."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from safe_transfer_ros.safety.limit import unsafety
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger, tilt_from_vertical, unsafety_rate

LIMIT = 15.0
MS = 1_000_000


# Safety functions


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 5.0, 90.0, 179.0, 180.0])
@pytest.mark.parametrize("about", ["y", "z"])
def test_tilt_is_the_angle_by_which_the_cup_was_turned_from_straight_down(degrees, about):
    upright = Rotation.from_euler("y", 90, degrees=True)  # tool +x is world -z
    assert np.allclose(upright.as_matrix()[:, 0], [0, 0, -1])
    # Any turn about a horizontal world axis tilts by its angle, whatever the cup's own spin about its axis.
    axis = Rotation.from_euler("z", 37.0, degrees=True).apply([1.0, 0.0, 0.0])
    spin = Rotation.from_euler("x", 50.0 if about == "y" else -120.0, degrees=True)
    tilted = Rotation.from_rotvec(np.radians(degrees) * axis) * upright * spin
    np.testing.assert_allclose(tilt_from_vertical(tilted.as_matrix()), degrees, atol=2e-6, rtol=1e-9)


def test_tilt_takes_batches_and_agrees_with_the_dot_product():
    rotations = Rotation.random(200, random_state=0).as_matrix().reshape(20, 10, 3, 3)
    tilt = tilt_from_vertical(rotations)
    assert tilt.shape == (20, 10)
    np.testing.assert_allclose(tilt, np.degrees(np.arccos(rotations[..., :, 0] @ [0.0, 0.0, -1.0])), rtol=1e-9)
    np.testing.assert_array_equal(tilt[3, 4], tilt_from_vertical(rotations[3, 4]))


def test_registry_knows_its_functions_and_names_the_nearest():
    assert unsafety.get("tilt_from_vertical") is tilt_from_vertical
    with pytest.raises(ValueError, match="did you mean 'tilt_from_vertical'"):
        unsafety.get("tilt_from_verticl")
    with pytest.raises(ValueError, match="unknown unsafety function 'zzz', known: .*tilt_from_vertical$"):
        unsafety.get("zzz")
    with pytest.raises(ValueError, match="registered already"):
        unsafety.register("tilt_from_vertical")(lambda rotation: rotation)


def test_what_is_registered_is_found_and_stays_what_it_was(monkeypatch):
    monkeypatch.setattr(unsafety, "_FUNCTIONS", dict(unsafety._FUNCTIONS))

    def height(rotation):
        return rotation

    assert unsafety.register("height")(height) is height
    assert unsafety.get("height") is height


def test_rate_counts_above_the_limit_only_and_nan_as_unsafe():
    assert unsafety_rate(np.array([15.0, 15.1, 3.0, 2.0, math.nan]), 15.0) == 0.4
    assert unsafety_rate(np.array([[math.inf, 0.0]]), 15.0) == 0.5
    with pytest.raises(ValueError, match="at least one state"):
        unsafety_rate(np.array([]), 15.0)
    with pytest.raises(ValueError, match="NaN"):
        unsafety_rate(np.array([1.0]), math.nan)


# The ledger


def step(ledger, stamp, *, iteration=0, episode=0, last=False, limit=0.5):
    mean = np.zeros(0) if last else np.full(2, stamp / 1e9)
    ledger.add_step(iteration, episode, stamp, last, mean, mean + 1.0, limit)


def run_episode(ledger, values, *, start=0, period=50 * MS, iteration=0, episode=0):
    """Decisions at s_0 .. s_T with the unsafety of s_0 .. s_T; the last one carries no proposal."""
    for index, value in enumerate(values):
        ledger.add_state(start + index * period, value)
        last = index == len(values) - 1
        step(ledger, start + index * period, iteration=iteration, episode=episode, last=last)


def test_lockstep_counts_the_states_after_the_first_and_up_to_the_last():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [99.0, 20.0, 10.0, 5.0, 40.0])
    ledger.add_state(-1 + 0, 99.0)  # before the episode
    ledger.add_state(5 * 50 * MS, 99.0)  # after it
    assert ledger.complete(0, 4)
    totals = ledger.close(0)
    assert (totals.unsafety_rate, totals.states, totals.missing) == (0.5, 4, 0)
    assert totals.unsafety_mean == pytest.approx((20 + 10 + 5 + 40) / 4)
    assert totals.unsafety_max == 40.0
    assert totals.mean.shape == totals.stddev.shape == (4, 2)
    np.testing.assert_allclose(totals.mean[:, 0], [0.0, 0.05, 0.1, 0.15])
    np.testing.assert_allclose(totals.stddev - totals.mean, 1.0)
    np.testing.assert_array_equal(totals.torque_limit, 0.5)


def test_a_decision_period_counts_once_by_the_worst_of_its_states():
    ledger = UnsafetyLedger(LIMIT)
    for stamp in range(0, 101, 5):
        ledger.add_state(stamp * MS, 20.0 if stamp in (55, 60) else 1.0)
    for stamp, last in ((0, False), (50, False), (100, True)):
        step(ledger, stamp * MS, last=last)
    totals = ledger.close(0)
    assert (totals.states, totals.periods) == (20, 2)
    assert totals.unsafety_rate == 0.5


def lowered_in_mid_episode(unsafe_under_the_floor: bool) -> UnsafetyLedger:
    """Four steps under 1 N·m, half of them unsafe, then six under .1."""
    ledger = UnsafetyLedger(LIMIT)
    for number in range(11):
        stamp = number * 50 * MS
        unsafe = number in (1, 3) or (number > 4 and unsafe_under_the_floor)
        ledger.add_state(stamp, 20.0 if unsafe else 1.0)
        step(ledger, stamp, last=number == 10, limit=1.0 if number < 4 else 0.1)
    return ledger


def test_what_a_lowered_limit_kept_safe_says_nothing_of_the_limit_itself():
    totals = lowered_in_mid_episode(False).close(0, 1.0)
    assert (totals.unsafety_rate, totals.periods, totals.lowered) == (0.5, 10, 6)
    assert totals.mean.shape == (4, 2) and set(totals.torque_limit) == {1.0} and totals.limited.shape == (4,)
    assert totals.damage(lambda limit: limit) == pytest.approx(2 * 1.0 / 10)
    alike = lowered_in_mid_episode(False).close(0)
    assert (alike.unsafety_rate, alike.lowered, len(alike.mean)) == (0.2, 0, 10)
    assert alike.damage(lambda limit: limit) == pytest.approx(2 * 1.0 / 10)


def test_but_what_was_unsafe_under_it_counts():
    totals = lowered_in_mid_episode(True).close(0, 1.0)
    assert totals.unsafety_rate == 0.8
    assert totals.damage(lambda limit: limit) == pytest.approx((2 * 1.0 + 6 * 0.1) / 10)
    assert totals.damage(lambda limit: limit**2) == pytest.approx((2 * 1.0 + 6 * 0.01) / 10)


def test_where_no_step_was_under_the_iterations_limit_all_of_them_count():
    totals = lowered_in_mid_episode(False).close(0, 2.0)
    assert (totals.unsafety_rate, totals.lowered, len(totals.mean)) == (0.2, 0, 10)


def test_a_limit_that_is_no_number_does_not_vanish():
    ledger = UnsafetyLedger(LIMIT)
    for number in range(3):
        ledger.add_state(number * MS, 20.0)
        step(ledger, number * MS, last=number == 2, limit=math.nan if number else 1.0)
    assert math.isnan(ledger.close(0, 1.0).torque_limit[1])


@pytest.mark.parametrize("every_ms", [50, 5, 1])
def test_more_states_do_not_dilute_the_rate(every_ms):
    ledger = UnsafetyLedger(LIMIT)
    for stamp in range(0, 501, every_ms):
        ledger.add_state(stamp * MS, 20.0 if stamp in (50, 100, 400) else 1.0)
    for number in range(5):  # a stranger's, all of them safe
        for stamp in range(0, 501, 3):
            ledger.add_state(stamp * MS + number + 1, 0.0)
    for stamp in range(0, 501, 50):
        step(ledger, stamp * MS, last=stamp == 500)
    totals = ledger.close(0)
    assert (totals.periods, totals.unsafety_rate) == (10, 0.3)


def test_refused_proposals_do_not_dilute_the_rate_either():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 20.0, 0.0])
    for number, stamp in enumerate(range(60, 100, 5)):
        ledger.add_state(stamp * MS, 0.0)
        ledger.add_step(0, 0, stamp * MS, False, np.zeros(0), np.zeros(0), 0.5, 100 + number)
    totals = ledger.close(0)
    assert (totals.periods, totals.unsafety_rate) == (2, 0.5)


def test_an_episode_without_a_whole_period_adds_none_beside_others():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 20.0, 0.0])
    step(ledger, 10**12, episode=1)
    totals = ledger.close(0)
    assert (totals.periods, totals.unsafety_rate) == (2, 0.5)


def test_a_decision_without_its_joint_state_counts_as_unsafe_but_an_episodes_first():
    ledger = UnsafetyLedger(LIMIT)
    for stamp, last in ((0, False), (50, False), (100, False), (150, True)):
        step(ledger, stamp, last=last)
    ledger.add_state(50, 1.0)
    ledger.add_state(150, 1.0)
    assert not ledger.complete(0, 3)
    totals = ledger.close(0)
    assert (totals.states, totals.missing) == (3, 1)
    assert totals.unsafety_rate == pytest.approx(1 / 3)


def test_nothing_seen_at_all_is_wholly_unsafe():
    ledger = UnsafetyLedger(LIMIT)
    step(ledger, 10)
    step(ledger, 20)
    totals = ledger.close(0)
    assert (totals.unsafety_rate, totals.missing) == (1.0, 1)
    assert math.isnan(totals.unsafety_mean) and math.isnan(totals.unsafety_max)
    step(ledger, 30, iteration=1)
    assert ledger.close(1).unsafety_rate == 1.0  # a single decision shows nothing either


def test_two_values_for_one_stamp_the_worse_one_counts_and_nan_is_the_worst():
    for values in ([1.0, 20.0], [20.0, 1.0], [1.0, math.nan], [math.nan, 1.0], [math.nan, 20.0, 1.0]):
        ledger = UnsafetyLedger(LIMIT)
        step(ledger, 10)
        step(ledger, 20, last=True)
        for value in values:
            ledger.add_state(20, value)
        assert ledger.close(0).unsafety_rate == 1.0, values


def test_complete_waits_for_every_step_every_end_and_every_state():
    ledger = UnsafetyLedger(LIMIT)
    assert not ledger.complete(0, 0)
    run_episode(ledger, [0.0, 0.0, 0.0])
    assert ledger.complete(0, 2)
    assert not ledger.complete(0, 3)
    step(ledger, 1000 * MS, episode=1)
    step(ledger, 1050 * MS, episode=1)
    assert not ledger.complete(0, 4)  # the last decision of episode 1 is missing
    step(ledger, 1100 * MS, episode=1, last=True)
    ledger.add_state(1050 * MS, 0.0)
    assert not ledger.complete(0, 4)  # the last state is missing
    ledger.add_state(1100 * MS, 0.0)
    assert ledger.complete(0, 4)  # the first state of the episode is not needed
    assert not ledger.complete(1, 0)


def test_each_thing_that_is_missing_alone_keeps_an_iteration_from_being_complete():
    def ledger(*, steps=2, end=True, states=(50, 100)):
        made = UnsafetyLedger(LIMIT)
        for stamp in (0, 50)[:steps]:
            step(made, stamp)
        if end:
            step(made, 100, last=True)
        for stamp in states:
            made.add_state(stamp, 0.0)
        return made

    assert ledger().complete(0, 2) is True and ledger(steps=1).complete(0, 2) is False
    assert not ledger(end=False).complete(0, 2), "every step and state is there, the episode's end is not"
    assert not ledger(steps=1).complete(0, 2), "ended, every state is there, a step is not"
    assert not ledger(states=(50,)).complete(0, 2), "ended, every step is there, the last state is not"
    assert not ledger(states=(100,)).complete(0, 2), "ended, every step is there, a state between is not"


def test_one_episode_that_has_not_ended_keeps_the_others_waiting():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 0.0, 0.0])
    step(ledger, 1000 * MS, episode=1)
    assert not ledger.complete(0, 3)
    step(ledger, 1000 * MS, episode=1, last=True)
    assert ledger.complete(0, 3)


def test_a_decision_without_a_proposal_is_no_row_but_its_states_count():
    ledger = UnsafetyLedger(LIMIT)
    step(ledger, 10)
    ledger.add_step(0, 0, 20, False, np.zeros(0), np.zeros(0), 0.5)
    ledger.add_state(20, 99.0)
    totals = ledger.close(0)
    assert (len(totals.mean), totals.unsafety_rate) == (1, 1.0)


def test_the_same_decision_twice_is_one():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 0.0, 0.0])
    run_episode(ledger, [0.0, 0.0, 0.0])
    assert ledger._held_steps == 3
    totals = ledger.close(0)
    assert (totals.states, len(totals.mean)) == (2, 2)


def test_two_decisions_on_one_state_are_two():
    ledger = UnsafetyLedger(LIMIT)
    for stamp, number in ((10, 0), (10, 1), (20, 2)):
        ledger.add_step(0, 0, stamp, False, np.full(2, number), np.ones(2), 0.5, number)
    ledger.add_step(0, 0, 30, True, np.zeros(0), np.zeros(0), 0.5, 3)
    ledger.add_state(20, 0.0)
    assert not ledger.complete(0, 3), "the last state"
    ledger.add_state(30, 20.0)
    assert ledger.complete(0, 3) and not ledger.complete(0, 4)
    totals = ledger.close(0)
    np.testing.assert_array_equal(totals.mean[:, 0], [0, 1, 2])
    assert (totals.states, totals.missing, totals.unsafety_rate) == (2, 0, 0.5)


def test_arrays_handed_in_may_be_reused_by_the_caller():
    ledger = UnsafetyLedger(LIMIT)
    mean = np.ones(2)
    ledger.add_step(0, 0, 10, False, mean, mean, 0.5)
    mean[:] = 7.0
    np.testing.assert_array_equal(ledger.close(0).mean, 1.0)


def test_closing_an_iteration_nobody_saw_is_an_error_and_forgets_nothing():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 0.0])
    with pytest.raises(ValueError, match="iteration 3 has no decision"):
        ledger.close(3)
    assert ledger.complete(0, 1)


@given(
    st.lists(
        st.lists(st.one_of(st.floats(0, 180), st.just(math.nan)), min_size=3, max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_any_order_of_arrival_gives_the_same_totals(episodes, data):
    calls, start = [], 0
    for episode, values in enumerate(episodes):
        for index, value in enumerate(values):
            stamp, last = start + index * 50, index == len(values) - 1
            mean = np.full(2, value if value == value else 0.0)
            if not data.draw(st.booleans()):  # a state that never comes
                calls.append(lambda led, s=stamp, v=value: led.add_state(s, v))
            calls.append(lambda led, e=episode, s=stamp, la=last, m=mean: led.add_step(0, e, s, la, m, m + 1, 0.5))
        start += 50 * len(values)
    shuffled = list(calls)
    random.Random(data.draw(st.integers(0, 2**31))).shuffle(shuffled)
    totals = []
    for order in (calls, shuffled):
        ledger = UnsafetyLedger(LIMIT)
        for call in order:
            call(ledger)
        complete = ledger.complete(0, sum(len(values) - 1 for values in episodes))
        totals.append((complete, ledger.close(0)))
    (complete, first), (complete_too, second) = totals
    assert complete == complete_too == (first.missing == 0)
    for name in first.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert 0.0 <= first.unsafety_rate <= 1.0


def test_closed_iterations_are_forgotten_and_what_comes_late_is_counted_as_late():
    ledger = UnsafetyLedger(LIMIT)
    for iteration in range(50):
        run_episode(ledger, [0.0] * 20, start=iteration * 10_000 * MS, iteration=iteration)
        assert ledger.close(iteration).unsafety_rate == 0.0
        assert len(ledger._states) == 0 and len(ledger._episodes) == 0 and ledger._held_steps == 0
    step(ledger, 7, iteration=49)
    ledger.add_state(7, 99.0)
    assert ledger.late == 1
    step(ledger, 8, iteration=3)
    assert ledger.late == 2
    assert not ledger._states and not ledger._episodes


def test_an_idle_robot_does_not_fill_the_memory():
    ledger = UnsafetyLedger(LIMIT, capacity=1000)
    for stamp in range(10_000):
        ledger.add_state(stamp, 0.0)
        assert len(ledger._states) <= 1000
    # An episode wholly after what was dropped is counted as ever.
    run_episode(ledger, [0.0, 0.0, 20.0], start=10_000)
    totals = ledger.close(0)
    assert not totals.overflowed
    assert totals.unsafety_rate == 0.5


def test_states_dropped_from_an_episode_make_it_wholly_unsafe():
    ledger = UnsafetyLedger(LIMIT, capacity=100)
    step(ledger, 0)
    for stamp in range(1, 500):
        ledger.add_state(stamp, 0.0)
    step(ledger, 499, last=True)
    totals = ledger.close(0)
    assert totals.overflowed
    assert totals.unsafety_rate == 1.0


def test_decisions_that_do_not_fit_make_their_iteration_wholly_unsafe():
    ledger = UnsafetyLedger(LIMIT, capacity=100)
    for stamp in range(200):
        step(ledger, stamp)
        ledger.add_state(stamp, 0.0)
    assert ledger._held_steps == 100
    totals = ledger.close(0)
    assert totals.overflowed and totals.unsafety_rate == 1.0
    run_episode(ledger, [0.0, 0.0], start=1000, iteration=1)
    assert ledger.close(1).unsafety_rate == 0.0


def test_a_decision_too_many_is_enough_though_every_state_is_held():
    for decisions, overflowed in ((10, False), (11, True)):
        ledger = UnsafetyLedger(LIMIT, capacity=10)
        for number in range(decisions):  # two on each state
            ledger.add_step(0, 0, number // 2, False, np.zeros(2), np.ones(2), 0.5, number)
            ledger.add_state(number // 2, 0.0)
        totals = ledger.close(0)
        assert (totals.overflowed, totals.missing) == (overflowed, 0)
        assert totals.unsafety_rate == float(overflowed)


def test_decisions_that_were_dropped_mark_every_iteration_they_may_have_been_of():
    ledger = UnsafetyLedger(LIMIT, capacity=4)
    for iteration in (2, 1):
        run_episode(ledger, [0.0, 0.0, 0.0], start=1000 * iteration, period=10, iteration=iteration)
    # The fourth decision and those after it were of iteration 1; 2 is whole.
    assert ledger.close(1).overflowed
    whole = ledger.close(2)
    assert (whole.overflowed, whole.unsafety_rate) == (False, 0.0)


def test_what_overflowed_later_in_an_earlier_iteration_does_not_make_the_later_one_whole():
    ledger = UnsafetyLedger(LIMIT, capacity=2)
    for number, stamp in enumerate((10, 20, 20)):  # two states, three decisions: the third does not fit
        ledger.add_state(stamp, 0.0)
        ledger.add_step(2, 0, stamp, False, np.ones(2), np.ones(2), 0.5, number)
    step(ledger, 5, iteration=1)  # nor does this
    totals = ledger.close(2)
    assert totals.overflowed and totals.unsafety_rate == 1.0


def test_closing_forgets_all_up_to_the_end_of_the_last_episode():
    ledger = UnsafetyLedger(LIMIT)
    for episode in (0, 1):
        run_episode(ledger, [0.0, 0.0, 0.0], start=1000 * episode, period=10, episode=episode)
        ledger.add_position(1000 * episode + 10, np.zeros(2))
    ledger.close(0)
    assert not ledger._states and not ledger._travel._positions


def test_an_iteration_that_ends_before_an_earlier_one_brings_nothing_back():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 0.0], start=1000, period=10, iteration=0)
    ledger.close(0)
    run_episode(ledger, [0.0, 0.0], start=500, period=10, iteration=1)  # a clock that was set back
    assert ledger.close(1).unsafety_rate == 1.0, "its states were of a time that is closed"
    ledger.add_state(900, 99.0)
    assert not ledger._states


def test_the_older_half_goes_when_there_is_no_room():
    ledger = UnsafetyLedger(LIMIT, capacity=10)
    for stamp in range(11):
        ledger.add_state(stamp, 0.0)
    assert sorted(ledger._states) == [6, 7, 8, 9, 10]


def test_a_step_that_is_not_numbered_is_the_first_and_felt_no_limit():
    ledger = UnsafetyLedger(LIMIT)
    ledger.add_step(0, 0, 10, False, np.ones(2), np.ones(2), 0.5)
    ledger.add_step(0, 0, 10, False, np.ones(2), np.ones(2), 0.5, 0)
    totals = ledger.close(0)
    assert len(totals.mean) == 1 and not totals.limited.any()


def test_an_arm_of_one_joint_proposes_too():
    ledger = UnsafetyLedger(LIMIT)
    ledger.add_step(0, 0, 10, False, np.ones(1), np.ones(1), 0.5)
    assert ledger.close(0).mean.shape == (1, 1)


def test_a_state_dropped_is_enough_though_every_decision_is_held_but_the_first_does_not_count():
    # Room for ten: the eleventh state drops stamps 0 to 5.
    for first, overflowed in ((4, True), (5, False)):
        ledger = UnsafetyLedger(LIMIT, capacity=10)
        step(ledger, first)
        step(ledger, 10, last=True)
        for stamp in range(11):
            ledger.add_state(stamp, 0.0)
        totals = ledger.close(0)
        assert totals.overflowed == overflowed, "the state of an episode's first decision is not counted anyway"
        assert totals.unsafety_rate == float(overflowed)


@pytest.mark.parametrize("limit, capacity", [(math.nan, 10), (math.inf, 10), (1.0, 0)])
def test_a_ledger_without_a_limit_or_room_is_refused(limit, capacity):
    with pytest.raises(ValueError, match="expected a finite limit"):
        UnsafetyLedger(limit, capacity=capacity)


def test_a_refused_proposal_does_not_hide_the_accepted_one_on_the_same_state() -> None:
    ledger = UnsafetyLedger(15.0)
    nothing, one = np.empty(0), np.ones(7)
    for stamp in (0, 10, 20):
        ledger.add_state(stamp, 1.0)
    ledger.add_step(0, 0, 0, False, one, one, 0.1)
    ledger.add_step(0, 0, 10, False, nothing, nothing, 0.1)
    assert not ledger.complete(0, 2)
    ledger.add_step(0, 0, 10, False, one, one, 0.1)
    ledger.add_step(0, 0, 20, True, nothing, nothing, 0.1)
    assert ledger.complete(0, 2)
    assert len(ledger.close(0).mean) == 2


def test_a_ledger_has_room_for_an_hour_at_fifty_hertz_unless_told():
    assert UnsafetyLedger(LIMIT)._capacity == 200_000
    assert UnsafetyLedger(LIMIT, capacity=1)._capacity == 1


def test_a_rate_of_several_limits_and_episodes_counts_every_state_once():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 20.0, 0.0], episode=0)
    run_episode(ledger, [20.0, 0.0, 0.0, 0.0], episode=1, start=1000 * MS)
    totals = ledger.close(0)
    assert (totals.states, totals.unsafety_rate) == (5, 0.2)
    assert totals.unsafety_mean == 4.0 and totals.unsafety_max == 20.0
    assert totals.stood_still == (True, True), "no position was told"
    assert totals.standstill_rate == 1.0


def test_the_limit_of_the_unsafety_function_is_still_safe():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, LIMIT, math.nextafter(LIMIT, 99.0)])
    assert ledger.close(0).unsafety_rate == 0.5


def test_an_iteration_takes_nothing_from_those_before_it_or_after_it():
    ledger = UnsafetyLedger(LIMIT)
    run_episode(ledger, [0.0, 20.0, 20.0], iteration=0)
    run_episode(ledger, [0.0, 0.0, 0.0, 20.0], iteration=1, start=1000 * MS, episode=1)
    run_episode(ledger, [0.0, 20.0], iteration=2, start=2000 * MS, episode=2)
    assert ledger.close(1).unsafety_rate == pytest.approx(1 / 3), "0 is skipped and with it forgotten"
    step(ledger, 40, iteration=0)
    ledger.add_state(1150 * MS, 99.0)
    ledger.add_position(1150 * MS, np.zeros(2))
    assert ledger.late == 1 and not ledger._travel._positions
    assert ledger._held_steps == 2 and len(ledger._states) == 2
    assert ledger.close(2).unsafety_rate == 1.0
    with pytest.raises(ValueError, match="iteration 2 has no decision"):
        ledger.close(2)


def test_a_decision_twice_refused_then_taken_takes_the_room_of_one():
    ledger = UnsafetyLedger(LIMIT, capacity=2)
    for mean in (np.empty(0), np.empty(0), np.ones(2)):
        ledger.add_step(0, 0, 10, False, mean, mean, 0.5)
    assert ledger._held_steps == 1
    step(ledger, 20, last=True)
    ledger.add_state(20, 0.0)
    totals = ledger.close(0)
    assert not totals.overflowed and len(totals.mean) == 1


def test_a_step_that_was_taken_is_not_taken_back_by_its_refusal():
    ledger = UnsafetyLedger(LIMIT)
    for mean in (np.ones(2), np.empty(0), np.full(2, 7.0)):
        ledger.add_step(0, 0, 10, False, mean, mean, 0.5)
    np.testing.assert_array_equal(ledger.close(0).mean, [[1.0, 1.0]])


def test_what_is_felt_of_the_limit_is_told_by_step():
    ledger = UnsafetyLedger(LIMIT)
    for number, felt in enumerate((False, True, False)):
        ledger.add_step(0, 0, 10 * number, False, np.ones(2), np.ones(2), 0.5 + number, number, felt)
    totals = ledger.close(0)
    np.testing.assert_array_equal(totals.limited, [False, True, False])
    np.testing.assert_array_equal(totals.torque_limit, [0.5, 1.5, 2.5])


def test_steps_are_ordered_by_episode_and_stamp_whatever_came_first():
    ledger = UnsafetyLedger(LIMIT)
    for episode, stamp in ((1, 30), (0, 20), (1, 40), (0, 10)):
        step(ledger, stamp, episode=episode)
    np.testing.assert_allclose(ledger.close(0).mean[:, 0] * 1e9, [10, 20, 30, 40])


def test_an_end_that_carries_values_is_no_step_all_the_same():
    ledger = UnsafetyLedger(LIMIT)
    step(ledger, 10)
    ledger.add_step(0, 0, 20, True, np.ones(2), np.ones(2), 0.5)
    ledger.add_state(20, 0.0)
    assert ledger.complete(0, 1) and not ledger.complete(0, 2)
    assert len(ledger.close(0).mean) == 1
