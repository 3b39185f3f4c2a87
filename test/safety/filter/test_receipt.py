# SPDX-License-Identifier: Apache-2.0
"""What waited while the filter itself stood still is as old as it may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.filter.receipt import ReceiptClock, StateReceipt

MS = 1_000_000


def test_what_is_taken_while_the_process_runs_came_now():
    clock = ReceiptClock()
    for now in range(0, 200, 15):
        assert clock.look(now * MS) == now * MS


def test_after_a_gap_it_counts_from_the_look_before():
    clock = ReceiptClock()
    clock.look(100 * MS)
    assert clock.look(116 * MS) == 100 * MS
    assert clock.look(120 * MS) == 100 * MS
    assert clock.look(126 * MS) == 100 * MS
    assert clock.look(126 * MS + 1) == 126 * MS + 1


def test_a_later_gap_counts_from_the_look_before_it():
    clock = ReceiptClock()
    clock.look(100 * MS)
    clock.look(200 * MS)
    clock.look(211 * MS)
    assert clock.look(300 * MS) == 211 * MS
    assert clock.look(305 * MS) == 211 * MS


def test_a_second_gap_before_all_was_taken_makes_nothing_younger():
    clock = ReceiptClock()
    clock.look(100 * MS)
    clock.look(200 * MS)
    clock.look(205 * MS)
    assert clock.look(250 * MS) == 100 * MS


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_it_is_never_in_the_future_nor_younger_than_the_last_gap_allows(steps):
    clock, now, looks = ReceiptClock(), 0, []
    for step in steps:
        now += step * MS
        received = clock.look(now)
        assert received <= now
        if looks and now - looks[-1] > 15 * MS:
            assert received <= looks[-1]
        assert received == now or received in looks
        looks.append(now)


# States of a robot whose stamps run steadily


class Robot:
    """A robot that sends a state every 5 ms, taken after a delay, by a process that looks when it takes one."""

    def __init__(self) -> None:
        self.clock, self.states = ReceiptClock(), StateReceipt(0.005)
        self.now, self.sent = 1000 * MS, 0

    def take(self, now_ms: float, *, step_ms: float = 5.0) -> float:
        """The next state taken at a time; how old it counts, ms."""
        self.now, self.sent = round(now_ms * MS), self.sent + round(step_ms * MS)
        since = self.clock.look(self.now)
        received = self.states.take(self.sent, since, self.now)
        assert since <= received <= self.now
        return (self.now - received) / MS

    def steady(self, states: int = 20) -> float:
        """States taken one by one with a delay of 1 ms; the time of the last, ms."""
        for number in range(states):
            assert self.take(1001 + 5 * number) == 0.0
        return 1001 + 5 * (states - 1)

    def two_gaps(self, *, step_ms: float = 5.0, late_ms: float = 0.0) -> float:
        """16 ms, a handful of states, 16 ms more: the age of the first state behind, ms."""
        last = self.steady()
        for number in range(4):
            self.take(last + 20 + 0.1 * number + late_ms, step_ms=step_ms if number == 1 else 5.0)
        assert self.take(last + 25 + late_ms) > 0.0
        return self.take(last + 41 + late_ms)


def test_a_state_that_was_sent_after_the_first_of_two_gaps_is_as_old_as_the_second():
    """It came after the one before it, which was taken as fast as ever: 16 ms, where 41 could not be told from it."""
    assert Robot().two_gaps() == 16.0


def test_gaps_one_after_the_other_make_no_state_older_than_one_of_them():
    robot = Robot()
    last = robot.steady()
    for gap in range(1, 20):
        ages = [robot.take(last + 20 * gap + 0.1 * number) for number in range(4)]
        assert ages == pytest.approx([20.0, 15.1, 10.2, 5.3]), "as old as the state before it"


def test_one_gap_is_as_long_as_before():
    robot = Robot()
    last = robot.steady()
    assert robot.take(last + 60) == 60.0


def test_a_robots_clock_that_jumps_makes_nothing_younger():
    for jump_ms in (8.0, 40.0, 0.0, -5.0, 1e6):
        assert Robot().two_gaps(step_ms=jump_ms) == 41.0, jump_ms


def test_a_state_that_was_lost_makes_nothing_younger():
    assert Robot().two_gaps(step_ms=10.0) == 41.0


def test_before_any_delay_was_seen_stamps_tell_nothing():
    robot = Robot()
    robot.clock.look(980 * MS)
    for number in range(4):
        robot.take(1000 + 0.1 * number)
    robot.take(1005)
    assert robot.take(1021) == 41.0


@pytest.mark.parametrize(("later_ms", "age_ms"), [(820, 28.0), (1100, 41.0)])
def test_a_delay_is_remembered_for_a_second(later_ms, age_ms):
    robot = Robot()
    last = robot.steady() + later_ms
    robot.sent += later_ms * MS  # the stamps go on without a jump: what is forgotten is forgotten by time
    robot.states._stamp_ns = robot.sent
    robot.clock.look(round(last * MS))
    robot.clock.look(round((last + 12) * MS))
    for number in range(4):
        robot.take(last + 32 + 0.1 * number)
    robot.take(last + 37)
    assert robot.take(last + 53) == age_ms


@given(st.lists(st.floats(0.1, 40.0), min_size=1, max_size=60), st.randoms())
def test_no_state_counts_as_younger_than_it_is(pauses, random):
    """However the process is scheduled, as long as stamps are true: one every 5 ms, .5 to 2 ms on its way, in order."""
    robot = Robot()
    now, arrived, number, least = robot.steady(), 0.0, 20, 1.0  # ms; the least delay with which one was taken
    for pause in pauses:
        now += pause
        while True:
            sent = 1000.0 + 5.0 * number
            arrived = max(arrived, sent + random.uniform(0.5, 2.0))
            if arrived > now:
                break
            age = robot.take(now)
            assert age >= min(now - arrived, now - robot.clock.look(robot.now) / MS, now - sent - least) - 1e-3
            if age == 0.0:
                least = min(least, now - sent)
            number += 1


# By itself: what each number in it is for


def test_the_first_look_is_now_whenever_it_is():
    for now in (0, 1, 2):
        assert ReceiptClock().look(now) == now


def test_what_is_taken_in_the_last_moment_of_settling_may_have_waited_and_a_gap_then_is_a_second_one():
    clock = ReceiptClock()
    clock.look(100 * MS)
    clock.look(200 * MS)
    assert clock.look(210 * MS) == 100 * MS
    assert clock.look(250 * MS) == 100 * MS


def test_a_stamp_is_steady_up_to_a_period_and_a_half_after_the_one_before():
    for step_ns, received_ns in ((1, MS), (7_500_000, MS), (7_500_001, 0), (0, 0), (-1, 0)):
        states = StateReceipt(0.005)
        assert states.take(5, MS, MS) == MS
        assert states.take(5 + step_ns, 0, 20 * MS) == received_ns, step_ns


@pytest.mark.parametrize(("later_ns", "received_ns"), [(1000 * MS, MS), (1000 * MS + 1, 0)])
def test_what_was_seen_is_forgotten_after_a_second_without_a_delay(later_ns, received_ns):
    states = StateReceipt(0.005)
    states.take(0, MS, MS)
    assert states.take(5 * MS, 0, MS + later_ns) == received_ns


def test_a_state_came_no_earlier_than_the_one_before_it():
    states = StateReceipt(0.005)
    states.take(0, MS, MS)
    assert states.take(5 * MS, 20 * MS, 20 * MS) == 20 * MS
    assert states.take(10 * MS, 10 * MS, 40 * MS) == 20 * MS


def test_a_robots_clock_that_runs_ahead_of_ours_puts_nothing_into_the_future():
    states = StateReceipt(0.005)
    states.take(0, MS, MS)
    assert states.take(5 * MS, MS, 2 * MS) == MS
    assert states.take(10 * MS, MS, 3 * MS) == 2 * MS


def age_behind_a_gap(*delays_ms):
    """How old the second of two states counts that come 30 ms late behind a gap, after states of these delays, ms."""
    states, stamp = StateReceipt(0.005), 0
    for number, delay_ms in enumerate((*delays_ms, 30, 30)):
        stamp += 5 * MS
        now = stamp + delay_ms * MS
        received = states.take(stamp, now - (40 * MS if number >= len(delays_ms) else 0), now)
    return (now - received) / MS


@pytest.mark.parametrize(
    ("delays_ms", "least_ms"),
    [
        ([1] * 101, 1),
        ([1] * 101 + [3] * 10, 1),  # a second half has begun: the least of the one before counts too
        ([1] * 101 + [3] * 101, 1),
        ([1] * 101 + [3] * 102, 3),  # a third: what is older than both is forgotten
        ([1] * 101 + [3] * 50 + [2] + [3] * 10, 1),
        ([1] * 101 + [3] * 50 + [2] + [3] * 51, 2),
        ([1] * 101 + [3] * 50 + [2] + [3] * 152, 3),
    ],
)
def test_the_least_delay_of_the_last_half_to_whole_second_counts(delays_ms, least_ms):
    """A state behind a gap came at its stamp and that delay, at the earliest; and the next no earlier than it."""
    assert age_behind_a_gap(*delays_ms) == 30 + 5 - least_ms
