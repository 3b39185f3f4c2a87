# SPDX-License-Identifier: Apache-2.0
"""A ledger's room: what is closed is forgotten, and what did not fit makes an iteration unsafe, never safer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from unsafety_ledgers import LIMIT, MS, run_episode, step

from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger


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


def test_a_ledger_has_room_for_an_hour_at_fifty_hertz_unless_told():
    assert UnsafetyLedger(LIMIT)._capacity == 200_000
    assert UnsafetyLedger(LIMIT, capacity=1)._capacity == 1


def test_a_decision_twice_refused_then_taken_takes_the_room_of_one():
    ledger = UnsafetyLedger(LIMIT, capacity=2)
    for mean in (np.empty(0), np.empty(0), np.ones(2)):
        ledger.add_step(0, 0, 10, False, mean, mean, 0.5)
    assert ledger._held_steps == 1
    step(ledger, 20, last=True)
    ledger.add_state(20, 0.0)
    totals = ledger.close(0)
    assert not totals.overflowed and len(totals.mean) == 1
