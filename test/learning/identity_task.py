# SPDX-License-Identifier: Apache-2.0
"""The identity task of stable-baselines3's tests: the action is to be the observation, within .5; 100 steps."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from safe_transfer_ros.tasks.task import Task
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv, SingleRowEnv


class IdentityEnv(NumberedVectorEnv):
    """Rows of numbers in [-1, 1], drawn anew at each step; cost 1 where the action is wrong by more than 1."""

    def __init__(self, task: Task, num_envs: int = 1, *, threads: int = 1, autoreset: bool = True) -> None:
        super().__init__(task, num_envs, np.ones(1), autoreset=autoreset)
        self._wanted, self._off = np.zeros((2, num_envs))
        self._streams = [np.random.default_rng(0)] * num_envs

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self._streams[row], self._wanted[row], self._off[row] = rng, rng.uniform(-1.0, 1.0), 0.0

    def _look(self) -> np.ndarray:
        return self._wanted[:, None].copy()

    def _advance(self, actions: np.ndarray, running: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        applied = np.clip(actions, -1.0, 1.0)
        self._off = np.abs(applied[:, 0] - self._wanted)
        reward = (self._off <= 0.5).astype(np.float64)
        self._wanted = np.array([stream.uniform(-1.0, 1.0) for stream in self._streams])
        return reward, {"applied": applied}

    def _info(self) -> dict[str, Any]:
        return {
            "cost": (self._off > 1.0).astype(np.float64),
            "success": self._off < 0.0,
            "torque_limit": np.full(self.num_envs, np.inf),
        }

    def _terminal(self, info: dict[str, Any]) -> np.ndarray:
        return np.zeros(self.num_envs, dtype=np.bool_)


class Identity(Task):
    """See the module."""

    observation_size, action_size, horizon, gamma = 1, 1, 100, 0.95

    @classmethod
    def single_environment(cls, **settings: Any) -> gymnasium.Env:
        return SingleRowEnv(IdentityEnv(cls(), 1, autoreset=False, **settings))

    @classmethod
    def vector_environment(cls, num_envs: int, **settings: Any) -> IdentityEnv:
        return IdentityEnv(cls(), num_envs, **settings)
