# SPDX-License-Identifier: Apache-2.0
"""Hindsight on episodes made by hand: goals from the future of the same episode, with reward and end for them."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.algorithms.hindsight import GoalRelabel, SparseReward, relabelled_share
from safe_transfer_ros.learning.replay_buffer import Hindsight, ReplayBuffer
from safe_transfer_ros.learning.transitions import schema

COLUMNS = ("chain", "step", "observation", "next_observation", "reward", "terminated", "truncated")
FAILED = 6  # step at which the second episode fails


def episodes() -> ReplayBuffer:
    """Two walks along a line, a place per step: observation (place, goal), goals that nobody reaches (-1)."""
    buffer = ReplayBuffer(100, schema(1, 2, columns=COLUMNS))
    for chain, (first, length) in enumerate([(0, 10), (50, FAILED + 1)]):
        place = first + np.arange(length + 1.0)
        seen = np.stack([place, np.full(length + 1, -1.0)], axis=1)
        last = np.arange(length) == length - 1
        buffer.add(
            {
                "chain": np.full(length, chain),
                "step": np.arange(length),
                "observation": seen[:-1],
                "next_observation": seen[1:],
                "reward": np.full(length, -1.0),
                "terminated": last & (chain == 1),
                "truncated": last & (chain == 0),
            }
        )
    return buffer


def relabel(**given: bool) -> GoalRelabel:
    return GoalRelabel(reached=slice(0, 1), wanted=slice(1, 2), reward=SparseReward(tolerance=0.1), **given)


def test_goals_come_from_the_future_of_the_same_episode() -> None:
    drawn = episodes().sample(
        4000, np.random.default_rng([0, 37]), hindsight=Hindsight(relabel=relabel(), share=relabelled_share(4))
    )
    goal, led_to = drawn["observation"][:, 1], drawn["next_observation"][:, 0]
    np.testing.assert_array_equal(goal, drawn["next_observation"][:, 1])
    another = goal != -1.0
    assert another.mean() == pytest.approx(0.8, abs=0.02)
    end = np.where(drawn["chain"] == 0, 10.0, 50.0 + FAILED + 1)
    assert (goal[another] >= led_to[another]).all() and (goal[another] <= end[another]).all()
    start = another & (drawn["chain"] == 0) & (drawn["step"] == 0)
    counts = np.unique(goal[start], return_counts=True)
    np.testing.assert_array_equal(counts[0], np.arange(1.0, 11.0))
    assert counts[1].min() > 0.4 * counts[1].mean(), "each later place is as likely"
    np.testing.assert_array_equal(drawn["reward"], np.where(goal == led_to, 0.0, -1.0))
    np.testing.assert_array_equal(drawn["terminated"], (drawn["chain"] == 1) & (drawn["step"] == FAILED))


@pytest.mark.parametrize("ends", [False, True])
def test_a_reached_goal_ends_an_episode_where_the_task_says_so_and_a_failure_always(ends: bool) -> None:
    given = {
        "observation": np.array([[0.0, 9.0], [0.0, 1.0], [0.0, 9.0], [0.0, 9.0]]),
        "next_observation": np.array([[1.0, 9.0], [1.0, 1.0], [1.0, 9.0], [1.0, 9.0]]),
        "terminated": np.array([False, ends, True, False]),  # the second had reached its goal, the third failed
    }
    later = {"next_observation": np.array([[1.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 0.0]])}
    before = {name: values.copy() for name, values in given.items()}
    found = relabel(ends=ends)(given, later)
    np.testing.assert_array_equal(found["observation"], [[0.0, 1.0], [0.0, 3.0], [0.0, 3.0], [0.0, 3.0]])
    np.testing.assert_array_equal(found["next_observation"], [[1.0, 1.0], [1.0, 3.0], [1.0, 3.0], [1.0, 3.0]])
    np.testing.assert_array_equal(found["reward"], [0.0, -1.0, -1.0, -1.0])
    np.testing.assert_array_equal(found["terminated"], [ends, False, True, False])
    for name in before:
        np.testing.assert_array_equal(given[name], before[name], err_msg="the buffer's rows were written to")


def test_the_share_of_relabelled_transitions() -> None:
    assert [relabelled_share(goals) for goals in (0, 1, 4)] == [0.0, 0.5, 0.8]
    with pytest.raises(ValueError, match="at least 0 goals"):
        relabelled_share(-1)


def test_what_cannot_be_relabelled_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance above 0"):
        SparseReward(tolerance=0.0)
    uneven = GoalRelabel(reached=slice(0, 2), wanted=slice(1, 2), reward=SparseReward(tolerance=0.1))
    rows = {"observation": np.zeros((1, 2)), "next_observation": np.zeros((1, 2)), "terminated": np.zeros(1)}
    with pytest.raises(ValueError, match="goal as long as what is reached, got 1 and 2"):
        uneven(rows, rows)
