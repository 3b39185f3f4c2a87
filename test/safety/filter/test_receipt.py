# SPDX-License-Identifier: Apache-2.0
"""What waited while the filter itself stood still is as old as it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.filter.receipt import ReceiptClock

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
