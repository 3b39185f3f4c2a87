# SPDX-License-Identifier: Apache-2.0
"""The ring: what it holds, what follows what, and that equal buffers give equal samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.transition_store import TransitionWriter, transition_dtype
from safe_transfer_ros.learning.replay_buffer import Hindsight, ReplayBuffer
from safe_transfer_ros.learning.transitions import schema

COLUMNS = ("chain", "observation", "next_observation", "reward", "terminated", "truncated")
SCHEMA = schema(1, 2, columns=COLUMNS, extra=[("hidden", "<f4", (3,))])


def rows(chain: int, numbers: range, *, end: str = "") -> dict[str, np.ndarray]:
    """Steps of one episode: each observation is (chain, number), its hidden state three times the number."""
    count = len(numbers)
    at = np.array(numbers, dtype=np.float32)
    seen = np.stack([np.full(count, chain, dtype=np.float32), at], axis=1)
    last = np.arange(count) == count - 1
    return {
        "chain": np.full(count, chain, dtype=np.int32),
        "observation": seen,
        "next_observation": seen + np.float32([0, 1]),
        "reward": 10.0 * chain + at,
        "terminated": last & (end == "terminated"),
        "truncated": last & (end == "truncated"),
        "hidden": np.repeat(at[:, None], 3, axis=1),
    }


def together(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, 77])


def test_a_full_ring_drops_the_oldest_and_reads_in_order() -> None:
    buffer = ReplayBuffer(5, SCHEMA)
    assert len(buffer) == 0
    buffer.add(rows(0, range(4)))
    np.testing.assert_array_equal(buffer["reward"], [0, 1, 2, 3])
    buffer.add(rows(0, range(4, 7)))
    assert (len(buffer), buffer.added) == (5, 7)
    np.testing.assert_array_equal(buffer["reward"], [2, 3, 4, 5, 6])
    np.testing.assert_array_equal(buffer.since(5)["reward"], [5, 6])
    assert set(buffer.sample(200, rng())["reward"]) == {2, 3, 4, 5, 6}
    buffer.add(rows(1, range(12)))  # more than it holds
    np.testing.assert_array_equal(buffer["reward"], [17, 18, 19, 20, 21])
    np.testing.assert_array_equal(buffer["hidden"][:, 2], [7, 8, 9, 10, 11])
    with pytest.raises(ValueError, match="between 14 and 19 .* got 7"):
        buffer.since(7)
    with pytest.raises(ValueError, match="read-only"):
        buffer["reward"][0] = 1.0


def test_every_transition_is_equally_likely() -> None:
    buffer = ReplayBuffer(8, SCHEMA)
    buffer.add(rows(0, range(6)))
    counts = np.bincount(buffer.sample(60_000, rng())["reward"].astype(int), minlength=6)
    assert (abs(counts - 10_000) < 400).all()


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_sequences_never_cross_an_episodes_end(end: str) -> None:
    """Also not where the next episode has the same number, as one that is begun again has."""
    buffer = ReplayBuffer(100, SCHEMA)
    buffer.add(together(rows(4, range(3), end=end), rows(4, range(100, 105)), rows(5, range(200, 202))))
    drawn = buffer.sample_sequences(4000, 3, rng())
    assert drawn["observation"].shape == (4000, 3, 2) and drawn["hidden"].shape == (4000, 3, 3)
    starts = drawn["hidden"][:, 0, 0]
    np.testing.assert_array_equal(drawn["hidden"][..., 0], starts[:, None] + np.arange(3))
    values, counts = np.unique(starts, return_counts=True)
    np.testing.assert_array_equal(values, [0, 100, 101, 102])
    assert (abs(counts - 1000) < 150).all()
    with pytest.raises(ValueError, match="at least 6 transitions, got none that long among 10"):
        buffer.sample_sequences(1, 6, rng())


def test_an_episode_that_is_begun_again_later_is_another_one() -> None:
    buffer = ReplayBuffer(10, SCHEMA)
    buffer.add(rows(0, range(3), end="truncated"))
    buffer.add(rows(0, range(3, 5)))
    assert {tuple(one) for one in buffer.sample_sequences(99, 2, rng())["reward"]} == {(0, 1), (1, 2), (3, 4)}
    buffer.clear()
    buffer.add(rows(0, range(2)))
    buffer.clear()
    buffer.add(rows(1, range(2)))
    buffer.add(rows(0, range(2, 3)))
    assert {tuple(one) for one in buffer.sample_sequences(99, 2, rng())["reward"]} == {(10, 11)}


def test_a_rare_long_stretch_is_found() -> None:
    buffer = ReplayBuffer(5000, SCHEMA)
    buffer.add(together(*(rows(chain, range(1)) for chain in range(4000)), rows(9000, range(40))))
    np.testing.assert_array_equal(buffer.sample_sequences(2, 40, rng())["hidden"][:, :, 0], [np.arange(40)] * 2)


def test_sequences_of_episodes_side_by_side_and_over_the_rings_end() -> None:
    """Two environments add in turn; the ring wraps in the middle of both."""
    buffer = ReplayBuffer(15, SCHEMA)
    for step in range(20):
        buffer.add(together(rows(0, range(step, step + 1)), rows(1, range(100 + step, 101 + step))))
    drawn = buffer.sample_sequences(500, 4, rng())["hidden"][..., 0]
    np.testing.assert_array_equal(drawn, drawn[:, :1] + np.arange(4))
    assert set(drawn[:, 0]) == {*range(13, 17), *range(112, 117)}


def test_a_stretch_goes_on_when_more_of_it_comes_but_not_behind_what_the_ring_lost() -> None:
    buffer = ReplayBuffer(6, SCHEMA)
    buffer.add(rows(0, range(3)))
    buffer.add(rows(0, range(3, 5)))
    np.testing.assert_array_equal(buffer.sample_sequences(1, 5, rng())["hidden"][0, :, 0], np.arange(5))
    buffer.add(rows(1, range(6), end="terminated"))  # nothing of stretch 0 is left
    buffer.add(rows(0, range(5, 7)))
    with pytest.raises(ValueError, match="got none"):
        buffer.sample_sequences(1, 7, rng())
    assert {tuple(one) for one in buffer.sample_sequences(99, 2, rng())["reward"]} == {
        (5.0, 6.0),
        *((10.0 + at, 11.0 + at) for at in range(2, 5)),
    }


def test_truncation_is_not_termination() -> None:
    buffer = ReplayBuffer(10, SCHEMA)
    buffer.add(together(rows(0, range(2), end="terminated"), rows(1, range(2), end="truncated")))
    np.testing.assert_array_equal(buffer["terminated"], [False, True, False, False])
    np.testing.assert_array_equal(buffer["truncated"], [False, False, False, True])
    drawn = buffer.sample(50, rng())
    np.testing.assert_array_equal(drawn["terminated"], drawn["reward"] == 1)
    np.testing.assert_array_equal(drawn["truncated"], drawn["reward"] == 11)


def _goal_reached(transitions: Any, reached: Any) -> dict[str, np.ndarray]:
    """Reward 0 where the position is within the goal's, -1 elsewhere; the goal is the observation's second number."""
    goal = reached["next_observation"][:, 0]
    there = transitions["next_observation"][:, 0] == goal
    return {
        "observation": np.stack([transitions["observation"][:, 0], goal], axis=1),
        "next_observation": np.stack([transitions["next_observation"][:, 0], goal], axis=1),
        "reward": there - np.float32(1.0),
        "terminated": there,
    }


def walk(chain: int, start: int) -> dict[str, np.ndarray]:
    """Three steps to the right from a start; the goal, 99, is never reached."""
    at = start + np.arange(4, dtype=np.float32)
    seen = np.stack([at, np.full(4, 99, dtype=np.float32)], axis=1)
    made = rows(chain, range(3), end="truncated")
    return made | {"observation": seen[:-1], "next_observation": seen[1:], "reward": np.full(3, -1.0)}


def test_hindsight_takes_goals_from_the_rest_of_the_same_episode() -> None:
    buffer = ReplayBuffer(10, SCHEMA)
    buffer.add(together(walk(0, 0), walk(1, 10)))
    drawn = buffer.sample(30_000, rng(), hindsight=Hindsight(relabel=_goal_reached, share=0.75))
    at, goal = drawn["observation"].T
    relabelled = goal != 99
    assert abs(relabelled.mean() - 0.75) < 0.02
    found = {}
    for here in (0, 1, 2, 10, 11, 12):
        goals, counts = np.unique(goal[relabelled & (at == here)], return_counts=True)
        end = 3 if here < 10 else 13
        np.testing.assert_array_equal(goals, np.arange(here + 1, end + 1))
        found[here] = counts / counts.sum()
        assert (abs(found[here] - 1.0 / len(goals)) < 0.05).all()
    reached = drawn["next_observation"][:, 0] == goal
    np.testing.assert_array_equal(drawn["reward"], reached - 1.0)
    np.testing.assert_array_equal(drawn["terminated"], reached)
    # What lies in the buffer is as it was.
    assert (buffer["observation"][:, 1] == 99).all() and not buffer["terminated"].any()
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\]"):
        Hindsight(relabel=_goal_reached, share=1.5)


def test_a_restored_buffer_goes_on_bit_for_bit() -> None:
    first, second = ReplayBuffer(9, SCHEMA), ReplayBuffer(9, SCHEMA)
    first.add(together(rows(0, range(7), end="terminated"), rows(1, range(5))))  # wrapped, with a stretch in hand
    second.restore(first.state())
    for buffer in (first, second):
        buffer.add(rows(1, range(5, 8)))
    for name in SCHEMA.names or ():
        np.testing.assert_array_equal(first[name], second[name])
    hindsight = Hindsight(relabel=_goal_reached)
    for draw in (
        lambda buffer: buffer.sample(64, rng(), hindsight=hindsight),
        lambda buffer: buffer.sample_sequences(64, 6, rng()),
    ):
        one, other = draw(first), draw(second)
        assert all((one[name] == other[name]).all() for name in one)
    first.sample(1, rng())
    with pytest.raises(ValueError, match="of 8 transitions .* of 9"):
        ReplayBuffer(8, SCHEMA).restore(first.state())


def test_a_state_is_of_its_moment() -> None:
    buffer = ReplayBuffer(4, SCHEMA)
    buffer.add(rows(0, range(3)))
    state = buffer.state()
    buffer.add(rows(1, range(3)))
    buffer.restore(state)
    np.testing.assert_array_equal(buffer["reward"], [0, 1, 2])
    buffer.clear()
    with pytest.raises(ValueError, match="empty"):
        buffer.sample(1, rng())


def test_what_does_not_fit_is_refused_whole() -> None:
    buffer = ReplayBuffer(4, SCHEMA)
    with pytest.raises(ValueError, match=r"hidden with shape \(2, 3\), got \(2, 1\)"):
        buffer.add(rows(0, range(2)) | {"hidden": np.zeros((2, 1))})
    assert len(buffer) == 0
    with pytest.raises(ValueError, match=r"unknown columns \['torque'\]"):
        schema(1, 2, columns=["torque"])
    with pytest.raises(ValueError, match=r"names of their own, got \['risk'\]"):
        schema(1, 2, columns=["chain"], extra=[("risk", "<f4", ())])
    with pytest.raises(ValueError, match="at least 1"):
        ReplayBuffer(0, SCHEMA)
    with pytest.raises(ValueError, match="'chain', which tells what follows what"):
        without = ReplayBuffer(4, schema(1, 2, columns=["reward"]))
        without.add(rows(0, range(2)))
        without.sample_sequences(1, 2, rng())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of three stretches, two with the same number."""
    made = np.zeros(9, dtype=transition_dtype(1, 2))
    parts = together(rows(0, range(5), end="terminated"), rows(0, range(1)), rows(1, range(3)))
    for name in COLUMNS:
        made[name] = parts[name]
    with TransitionWriter(tmp_path / "recorded", made.dtype) as writer:
        writer.add(made)
        writer.close({})
    return tmp_path / "recorded"


def test_a_recording_is_a_buffer_without_being_read(folder: Path) -> None:
    recorded = ReplayBuffer.recorded(folder)
    assert len(recorded) == 9 and isinstance(recorded["observation"], np.memmap)
    copied = ReplayBuffer(9, schema(1, 2))
    copied.add(recorded)
    assert set(recorded.schema.names or ()) == set(copied.schema.names or ())
    hindsight = Hindsight(relabel=_goal_reached)
    for draw in (
        lambda buffer: buffer.sample(64, rng(), hindsight=hindsight),
        lambda buffer: buffer.sample_sequences(64, 3, rng()),
    ):
        one, other = draw(recorded), draw(copied)
        assert all((one[name] == other[name]).all() for name in one)
    for change in (
        lambda: recorded.add(rows(0, range(1))),
        recorded.state,
        lambda: recorded.restore({}),
        recorded.clear,
    ):
        with pytest.raises(ValueError, match="a recording"):
            change()
    assert len(recorded) == 9
    (folder / "about.json").unlink()
    with pytest.raises(BagError, match="no about.json"):
        ReplayBuffer.recorded(folder)
