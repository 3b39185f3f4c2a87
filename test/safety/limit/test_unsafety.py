# SPDX-License-Identifier: Apache-2.0
"""The ledger that counts unsafe decision periods, whatever the order of arrival."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unsafety_ledgers import LIMIT, MS, run_episode, step

from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger


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


def test_each_episode_shows_its_own_periods_under_the_iterations_limit_in_their_order():
    """The second is cut off after two of them, the third shows nothing; none has moved a joint."""
    ledger = UnsafetyLedger(LIMIT)
    lowered = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.05), (0.05, 0.05, 0.05))
    values = ((0.0, 20.0, 0.0, 0.0), (0.0, 0.0, 20.0, 20.0), (0.0, 0.0, 0.0, 20.0))
    for episode, (limits, series) in enumerate(zip(lowered, values, strict=True)):
        for index, value in enumerate(series):
            stamp, last = (10 * episode + index) * 50 * MS, index == 3
            ledger.add_state(stamp, value)
            step(ledger, stamp, episode=episode, last=last, limit=0.05 if last else limits[index])
    totals = ledger.close(0, 0.5)
    assert [flags.tolist() for flags in totals.unsafe] == [[True, False, False], [False, True], []]
    assert totals.stood_still == (True, True, True)
    assert [flags.tolist() for flags in totals.shown()] == [[True, False, False], [False, True]]
    assert [flags.tolist() for flags in totals.shown("unsafe")] == [[True] * 3, [True] * 2]


def test_of_an_iteration_that_lost_evidence_every_period_is_unsafe_in_every_episode():
    ledger = UnsafetyLedger(LIMIT, capacity=9)
    run_episode(ledger, [0.0] * 5)
    run_episode(ledger, [0.0] * 5, start=400 * MS, episode=1)
    totals = ledger.close(0)
    assert totals.overflowed and len(totals.unsafe) == 2
    assert all(flags.all() and len(flags) for flags in totals.unsafe)


def test_where_no_step_was_under_the_iterations_limit_nothing_was_shown_of_it():
    totals = lowered_in_mid_episode(False).close(0, 2.0)
    assert (totals.unsafety_rate, totals.standstill_rate, totals.lowered) == (1.0, 1.0, 0)
    assert len(totals.mean) == 10, "what the limit changes is told by all of them"
    assert totals.damage(lambda limit: limit) == pytest.approx(2 * 1.0 / 10)


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
        one, other = (np.hstack(t.unsafe) if name == "unsafe" else getattr(t, name) for t in (first, second))
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert 0.0 <= first.unsafety_rate <= 1.0


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


def test_observations_are_kept_in_the_order_of_the_means_and_only_where_asked_for():
    for keeps in (True, False, None):
        ledger = UnsafetyLedger(1.0) if keeps is None else UnsafetyLedger(1.0, observations=keeps)
        seen = np.zeros(3)
        for episode, stamp in ((1, 30), (0, 20), (0, 10)):
            seen[:] = stamp
            ledger.add_step(0, episode, stamp, False, np.full(2, stamp), np.ones(2), 0.5, observation=seen)
        ledger.add_step(0, 0, 25, False, np.zeros(0), np.zeros(0), 0.5, observation=seen)
        totals = ledger.close(0)
        assert totals.mean[:, 0].tolist() == [10, 20, 30]
        assert totals.observation.tolist() == ([[10] * 3, [20] * 3, [30] * 3] if keeps else [[], [], []])


def test_where_no_period_was_whole_the_largest_limit_is_what_may_have_been_done():
    ledger = UnsafetyLedger(LIMIT)
    for number, limit in enumerate((0.3, 0.7, 0.5)):
        ledger.add_step(0, 0, 0, False, np.zeros(2), np.ones(2), limit, number)
    totals = ledger.close(0)
    assert totals.periods == 0 and totals.damage(lambda limit: limit) == 0.7


@pytest.mark.parametrize(("limits", "damage"), [((0.7, 0.3), 0.7), ((0.3, 0.7), 0.7), ((0.005, 0.004), 0.005)])
def test_of_two_decisions_on_one_state_the_larger_limit_was_in_force(limits, damage):
    ledger = UnsafetyLedger(LIMIT)
    for number, limit in enumerate(limits):
        ledger.add_step(0, 0, 0, False, np.zeros(2), np.ones(2), limit, number)
    step(ledger, 50 * MS, last=True)
    for stamp, unsafety in ((0, 0.0), (50 * MS, 99.0)):
        ledger.add_state(stamp, unsafety)
    totals = ledger.close(0)
    assert totals.periods == 1 and totals.damage(lambda limit: limit) == pytest.approx(damage)


def test_a_period_that_a_refused_proposal_began_is_under_the_largest_limit():
    ledger = UnsafetyLedger(LIMIT)
    ledger.add_step(0, 0, 0, False, np.zeros(0), np.zeros(0), 0.0)
    for number, limit in ((1, 0.3), (2, 0.7)):
        step(ledger, number * 50 * MS, limit=limit)
    step(ledger, 150 * MS, last=True)
    for number in range(4):
        ledger.add_state(number * 50 * MS, 99.0 if number == 1 else 0.0)
    totals = ledger.close(0)
    assert totals.unsafe_periods == {0.7: 1} and totals.damage(lambda limit: limit) == pytest.approx(0.7 / 3)


def test_a_limit_that_is_lower_by_rounding_is_the_iterations():
    ledger = UnsafetyLedger(LIMIT)
    for number, limit in enumerate((1.0, 1.0 - 5e-10, 0.995, 0.9)):
        ledger.add_state(number * 50 * MS, 0.0)
        step(ledger, number * 50 * MS, limit=limit)
    ledger.add_state(200 * MS, 0.0)
    step(ledger, 200 * MS, last=True)
    totals = ledger.close(0, 1.0)
    assert totals.lowered == 2 and totals.torque_limit.tolist() == [1.0, 1.0 - 5e-10]


def test_of_an_iteration_that_lost_evidence_standing_still_is_not_told_either():
    ledger = UnsafetyLedger(LIMIT, capacity=8)
    run_episode(ledger, [0.0] * 12)
    totals = ledger.close(0)
    assert totals.overflowed and (totals.unsafety_rate, totals.standstill_rate) == (1.0, 1.0)
