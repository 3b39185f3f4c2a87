# SPDX-License-Identifier: Apache-2.0
"""A task without a robot, as another package would bring it: a point in the plane that must not leave a disc."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from safe_transfer_ros.tasks.task import Task
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv, SingleRowEnv


class PointEnv(NumberedVectorEnv):
    """Rows of points, moved by up to .2 a step; the goal is the origin."""

    def __init__(self, task: Task, num_envs: int = 1, *, threads: int = 1, autoreset: bool = True) -> None:
        super().__init__(task, num_envs, np.full(2, 0.2), autoreset=autoreset)
        self._at = np.zeros((num_envs, 2))

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self._at[row] = rng.uniform(-0.7, 0.7, 2)

    def _look(self) -> np.ndarray:
        return self._at.copy()

    def _advance(self, actions: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        applied = np.clip(actions, -0.2, 0.2)
        before = np.linalg.norm(self._at, axis=1)
        self._at = self._at + applied * running[:, None]
        after = np.linalg.norm(self._at, axis=1)
        return before - after, {"applied": applied}

    def _info(self) -> dict[str, Any]:
        far = np.linalg.norm(self._at, axis=1)
        return {
            "cost": (far > 1.0).astype(np.float64),
            "success": far < 0.1,
            "torque_limit": np.full(self.num_envs, np.inf),
        }

    def _terminal(self, info: dict[str, Any]) -> np.ndarray:
        return (info["cost"] > 0.0) | info["success"]


class Point(Task):
    """Reach the origin and stay within the unit disc."""

    observation_size, action_size, horizon, has_goal, failure_cost = 2, 2, 30, True, 0.5

    @classmethod
    def single_environment(cls, **settings: Any) -> gymnasium.Env:
        return SingleRowEnv(PointEnv(cls(), 1, autoreset=False, **settings))

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> PointEnv:
        return PointEnv(cls(), num_envs, **settings)
