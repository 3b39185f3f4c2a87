# SPDX-License-Identifier: Apache-2.0
"""Definition of the drunk spider's task: reach the goal, do not fall into lava nor off the map (SQRL).

Map, sub-steps and rewards are those of the code of SQRL's authors (NOTICE). Two things are chosen here: the observation
is the position scaled to [-1, 1] along each axis, which is the same information in the range that networks want, and
the discount is .99, where that code has 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.registry import load
from safe_transfer_ros.tasks.drunk_spider.map import SIZE, Array, Flags, distance_to_goal
from safe_transfer_ros.tasks.task import Task, register

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import VectorEnv

Counts = npt.NDArray[np.int64]


@register("drunk_spider")
class DrunkSpider(Task):
    """A point that moves by displacements, which noise is added to.

    A policy is pre-trained without noise and transferred to noise of .1. What the two tasks differ in is not in the
    paper; this is our choice.

    Attributes:
      goal_reward: For reaching the goal.
      off_map_reward: Beside the others, for leaving the map.
    """

    observation_size = 2
    horizon = 30
    gamma = 0.99
    has_goal = True
    source_settings = {"noise": 0.0}
    safety_gamma = 0.65

    goal_reward: ClassVar[float] = 30.0
    off_map_reward: ClassVar[float] = -1.0

    @property
    def action_size(self) -> int:
        """Displacements along rows and columns."""
        return 2

    @classmethod
    def single_environment(cls, **settings: Any) -> Env[Array, Array]:
        """See `Task.single_environment`; the settings are those of `SpiderVectorEnv`."""
        made: Env[Array, Array] = load("safe_transfer_ros.tasks.drunk_spider.environment:single")(cls(), **settings)
        return made

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> VectorEnv[Array, Array, Array]:
        """See `Task.vector_environment`; the settings are those of `SpiderVectorEnv`."""
        made: VectorEnv[Array, Array, Array] = load("safe_transfer_ros.tasks.drunk_spider.environment:SpiderVectorEnv")(
            cls(), num_envs, **settings
        )
        return made

    def observe(self, position: Array) -> Array:
        """Observation, shape (..., 2): the position with each axis of the map scaled to [-1, 1]."""
        return np.asarray(2.0 * position / SIZE - 1.0)

    def position(self, observation: Array) -> Array:
        """Position, shape (..., 2), of an observation."""
        return np.asarray((np.asarray(observation) + 1.0) * SIZE / 2.0)

    def reward(self, position: Array, steps: Counts, *, success: Flags, off_map: Flags, fallen: Flags) -> Array:
        """Reward of a step, shape (E,).

        Minus the distance to the goal as a share of the map's diagonal, and `goal_reward` at the goal. The end of an
        episode of T steps after n of them has a term of its own: + (T - n) at the goal, - (T - n + 1) for a fall,
        - T at the time limit.

        Args:
          position: Reached, shape (E, 2).
          steps: n, this one included, shape (E,).
          success: Whether the goal is reached, shape (E,).
          off_map: Whether the map was left, shape (E,).
          fallen: Whether the spider fell: off the map or into lava, shape (E,).
        """
        left = self.horizon - steps
        timeout = ~success & ~fallen & (left <= 0)
        return np.asarray(
            -distance_to_goal(position) / np.linalg.norm(SIZE)
            + success * (self.goal_reward + left)
            - fallen * (left + 1.0)
            + off_map * self.off_map_reward
            - timeout * float(self.horizon)
        )
