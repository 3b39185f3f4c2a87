# SPDX-License-Identifier: Apache-2.0
"""The ant's task as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.tasks.ant_avenue.frames import Camera
from safe_transfer_ros.tasks.ant_avenue.simulation import AntSimulation
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue, AntState, Array, Flags
from safe_transfer_ros.tasks.offscreen import RenderedEnv
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv


class AntVectorEnv(NumberedVectorEnv):
    """Many ants side by side; see NumberedVectorEnv.

    Every info has besides, of shape (E,): "speed" (horizontal, m/s), "x" and "y" (m) of the torso, and "fallen".

    Attributes:
      task: The task.
      simulation: Its ants.
    """

    def __init__(
        self, task: AntAvenue, num_envs: int = 1, *, threads: int | None = None, autoreset: bool = True
    ) -> None:
        """Build the ants.

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
        self.simulation = AntSimulation(task, num_envs, threads=threads)
        self._limits = np.full(num_envs, np.inf)  # an action is a fraction of what the motors have
        self._state: AntState | None = None

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.simulation.close()

    def _place(self, row: int, rng: np.random.Generator) -> None:
        self.simulation.place(row, self.task.start(rng))
        self._state = None

    def _look(self) -> Array:
        return self.task.observe(self._seen())

    def _advance(self, actions: Array, running: Flags) -> tuple[Array, dict[str, Any]]:
        before, applied = self._seen(), np.clip(actions, -1.0, 1.0)
        self.simulation.step(applied, running)
        state = self._state = self.simulation.states()
        return self.task.reward(before, state, applied), {"applied": applied}

    def _seen(self) -> AntState:
        if self._state is None:
            self._state = self.simulation.states()
        return self._state

    def _info(self) -> dict[str, Any]:
        state = self._seen()
        return {
            "cost": self.task.cost(state),
            "success": np.zeros(self.num_envs, dtype=np.bool_),
            "torque_limit": self._limits,
            "speed": self.task.speed(state),
            "x": state.position[:, 0],
            "y": state.position[:, 1],
            "fallen": self.task.fallen(state),
        }

    def _terminal(self, info: dict[str, Any]) -> Flags:
        return np.asarray(info["fallen"])


class AntEnv(RenderedEnv):
    """Single environment of the ant's task, with the numbers of a row of AntVectorEnv.

    Info is that of the only row there, as single values.

    Attributes:
      task: The task.
    """

    def __init__(self, task: AntAvenue, *, render_mode: str | None = None) -> None:
        """Build the ant.

        Raises:
          ValueError: if the render mode is unknown.
        """
        rows = AntVectorEnv(task, 1, threads=1, autoreset=False)
        super().__init__(rows, task.control_period_s, render_mode)
        self.task, self._simulation = task, rows.simulation

    def _camera(self) -> Camera:
        return Camera(self._simulation)
