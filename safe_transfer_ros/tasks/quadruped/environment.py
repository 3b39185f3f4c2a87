# SPDX-License-Identifier: Apache-2.0
"""The quadruped's tasks as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.tasks.offscreen import RenderedEnv
from safe_transfer_ros.tasks.quadruped.frames import Camera
from safe_transfer_ros.tasks.quadruped.simulation import QuadrupedSimulation
from safe_transfer_ros.tasks.quadruped.task import Array, Flags, Quadruped, QuadrupedState
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv


class QuadrupedVectorEnv(NumberedVectorEnv):
    """Many quadrupeds side by side; see NumberedVectorEnv.

    Every info has besides, of shape (E,): "x" (m), "speed" along x (m/s), "height" (m) and "up" of the trunk.

    Attributes:
      task: The task.
      simulation: Its quadrupeds.
    """

    def __init__(
        self, task: Quadruped, num_envs: int = 1, *, threads: int | None = None, autoreset: bool = True
    ) -> None:
        """Build the quadrupeds.

        Args:
          task: The task.
          num_envs: Episodes side by side, E.
          threads: Physics threads; None takes every core this process may use, up to E.
          autoreset: See NumberedVectorEnv.

        Raises:
          ValueError: if a number is not positive.
        """
        super().__init__(task, num_envs, np.ones(task.action_size), autoreset=autoreset)
        self.task = task
        self.simulation = QuadrupedSimulation(task, num_envs, threads=threads)
        self._last, self._before_last = np.zeros((2, num_envs, task.action_size))
        self._limits = np.full(num_envs, np.inf)  # an action is none
        self._state: QuadrupedState | None = None

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.simulation.close()

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self.simulation.place(row, self.task.start(rng), self.task.build(rng))
        self._last[row], self._before_last[row] = 0.0, 0.0
        self._state = None

    def _look(self) -> Array:
        return self.task.observe(self._seen(), self._last, self._before_last)

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        before, applied = self._seen(), np.clip(actions, -1.0, 1.0)
        self.simulation.step(applied, running)
        state = self._state = self.simulation.states()
        reward = self.task.reward(before, state, (applied, self._last, self._before_last))
        rows = running[:, None]
        self._before_last = np.where(rows, self._last, self._before_last)
        self._last = np.where(rows, applied, self._last)
        return reward, {"applied": applied}

    def _seen(self) -> QuadrupedState:
        if self._state is None:
            self._state = self.simulation.states()
        return self._state

    def _info(self) -> dict[str, Any]:
        state = self._seen()
        return {
            "cost": self.task.fallen(state).astype(np.float64),
            "success": np.zeros(self.num_envs, dtype=np.bool_),
            "torque_limit": self._limits,
            "x": state.position[:, 0],
            "speed": state.velocity[:, 0],
            "height": state.position[:, 2],
            "up": state.up[:, 2],
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.asarray(info["cost"] > 0.0)


class QuadrupedEnv(RenderedEnv):
    """Single environment of one of the quadruped's tasks, with the numbers of a row of QuadrupedVectorEnv.

    Attributes:
      task: The task.
    """

    def __init__(self, task: Quadruped, *, render_mode: str | None = None) -> None:
        """Build the quadruped.

        Raises:
          ValueError: if the render mode is unknown.
        """
        rows = QuadrupedVectorEnv(task, 1, threads=1, autoreset=False)
        super().__init__(rows, task.control_period_s, render_mode)
        self.task, self._simulation = task, rows.simulation

    def _camera(self) -> Camera:
        return Camera(self._simulation)
