# SPDX-License-Identifier: Apache-2.0
"""Hindsight experience replay (HER, Andrychowicz et al. 2017): what was reached later is taken for the goal.

The replay buffer draws the later transition at sampling (`learning.replay_buffer.Hindsight`); here is what follows for
a task whose observations hold both what is reached and what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class GoalReward(Protocol):
    """Reward of a task with goals."""

    def __call__(self, reached: Array, wanted: Array) -> tuple[Array, Flags]:
        """Reward, shape (b,), and whether the goal is reached, shape (b,), for goals of shape (b, g)."""
        ...


@dataclass(frozen=True, kw_only=True)
class SparseReward:
    """-1 at every step, 0 where the goal is reached.

    Attributes:
      tolerance: Largest distance from the goal at which it is reached, in its unit.
    """

    tolerance: float

    def __post_init__(self) -> None:
        if not self.tolerance > 0.0:
            raise ValueError(f"expected a tolerance above 0, got {self.tolerance}: nothing would reach a goal")

    def __call__(self, reached: Array, wanted: Array) -> tuple[Array, Flags]:
        """See `GoalReward`."""
        near = np.asarray(np.linalg.norm(reached - wanted, axis=-1) <= self.tolerance)
        return near - 1.0, near


@dataclass(frozen=True, kw_only=True)
class GoalRelabel:
    """New goals for transitions, with the reward and the ends for them; a `learning.replay_buffer.Relabel`.

    Attributes:
      reached: Part of an observation that says where the task is.
      wanted: Part that says where it is to be, of the same length.
      reward: Of what a transition reached, for its goal.
      ends: Whether a reached goal terminates an episode. What ended one for another reason, a failure, ends it still.
    """

    reached: slice
    wanted: slice
    reward: GoalReward
    ends: bool = False

    def __call__(
        self, transitions: Mapping[str, NDArray[Any]], reached: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Columns that change when the goal of each transition is what another led to.

        Args:
          transitions: n of them: observation, next_observation and terminated.
          reached: For each, a later transition of the same episode, or itself.

        Returns:
          observation, next_observation, reward and terminated, n rows each.

        Raises:
          ValueError: if the parts of an observation differ in length.
        """
        goal = reached["next_observation"][:, self.reached]
        led_to = transitions["next_observation"]
        if goal.shape != led_to[:, self.wanted].shape:
            raise ValueError(
                f"expected a goal as long as what is reached, got {led_to[:, self.wanted].shape[1]} and {goal.shape[1]}"
            )
        reward, success = self.reward(led_to[:, self.reached], goal)
        terminated = np.asarray(transitions["terminated"], dtype=np.bool_)
        if self.ends:
            _, had_reached = self.reward(led_to[:, self.reached], led_to[:, self.wanted])
            terminated = terminated & ~had_reached | success
        before, after = transitions["observation"].copy(), led_to.copy()
        before[:, self.wanted] = after[:, self.wanted] = goal
        return {"observation": before, "next_observation": after, "reward": reward, "terminated": terminated}


def relabelled_share(goals: int) -> float:
    """Share of sampled transitions with another goal, where each is replayed with its own and `goals` others (HER's k).

    Raises:
      ValueError: if `goals` is negative.
    """
    if goals < 0:
        raise ValueError(f"expected at least 0 goals per transition, got {goals}")
    return goals / (goals + 1)
