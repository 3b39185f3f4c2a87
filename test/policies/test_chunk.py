# SPDX-License-Identifier: Apache-2.0
"""Chunks are followed row by row and no further than they may; a stale one is nothing."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.policies.chunk import Chunk, ChunkFollower

MS = 1_000_000
PERIOD = 50 * MS


def chunk(stamp_ms: int, first: float = 0.0, length: int = 8, period: int = PERIOD) -> Chunk:
    return Chunk(stamp_ns=stamp_ms * MS, period_ns=period, rows=first + np.arange(length, dtype=float)[:, None])


def row(follower: ChunkFollower, stamp_ms: float) -> float | None:
    found = follower.row(round(stamp_ms * MS))
    return None if found is None else float(found[0])


def test_rows_are_for_their_times_and_hold_until_the_next() -> None:
    follower = ChunkFollower(follow=3, exact=True)
    assert row(follower, 1000) is None
    follower.offer(chunk(1000))
    assert [row(follower, stamp) for stamp in (1000, 1049, 1049.8, 1050, 1100, 1149)] == [0, 0, 1, 1, 2, 2]
    assert row(follower, 1150) is None  # three of eight may be followed
    assert row(follower, 999) is None  # what is meant for later is not for now


def test_in_lockstep_the_next_must_answer_the_very_state() -> None:
    follower = ChunkFollower(follow=2, exact=True)
    follower.offer(chunk(1000))
    assert row(follower, 1000) == 0
    follower.offer(chunk(1050, 100))
    assert row(follower, 1050) == 1  # the one that was begun goes on
    assert row(follower, 1100) is None
    follower.offer(chunk(1100, 200))
    assert row(follower, 1100) == 200


def test_in_real_time_the_newest_takes_over_and_the_rows_it_took_too_long_for_are_skipped() -> None:
    follower = ChunkFollower(follow=4, exact=False)
    follower.offer(chunk(1000))
    assert row(follower, 1005) == 0
    follower.offer(chunk(1050, 100))
    follower.offer(chunk(1100, 200))
    assert row(follower, 1150) == 3
    assert row(follower, 1205) == 202
    assert row(follower, 1299) == 203 and row(follower, 1300) is None


def test_a_stale_chunk_is_nothing() -> None:
    follower = ChunkFollower(follow=2, exact=False)
    follower.offer(chunk(1000))
    assert row(follower, 1100) is None
    assert row(follower, 1000) == 0
    follower.offer(chunk(1000, 100))  # the same moment again: a process that hangs
    follower.offer(chunk(900, 200))
    assert row(follower, 1100) is None


def test_a_chunk_of_the_episode_before_is_not_followed() -> None:
    follower = ChunkFollower(follow=8, exact=False)
    follower.offer(chunk(1000))
    assert row(follower, 1000) == 0
    follower.offer(chunk(1050, 100))
    follower.begin(1100 * MS)
    assert row(follower, 1100) is None
    follower.offer(chunk(1090, 200))
    assert row(follower, 1100) is None
    follower.offer(chunk(1100, 300))
    follower.begin(1100 * MS)  # a chunk may overtake the news of an episode
    assert row(follower, 1100) == 300


def test_a_chunk_is_no_longer_than_it_is() -> None:
    follower = ChunkFollower(follow=8, exact=False)
    follower.offer(chunk(1000, length=2))
    assert row(follower, 1050) == 1 and row(follower, 1100) is None
