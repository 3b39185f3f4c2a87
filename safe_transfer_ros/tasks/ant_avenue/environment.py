# SPDX-License-Identifier: Apache-2.0
"""The ant's task as Gymnasium environments: one episode at a time, or many side by side."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.tasks.ant_avenue.frames import Camera
from safe_transfer_ros.tasks.ant_avenue.simulation import AntSimulation
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue, AntState, Array, Flags
from safe_transfer_ros.tasks.vector_environment import NumberedVectorEnv, SingleRowEnv


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
        threads = min(len(os.sched_getaffinity(0)), num_envs) if threads is None else threads
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


class AntEnv(SingleRowEnv):
    """Single environment of the ant's task, with the numbers of a row of AntVectorEnv.

    Info is that of the only row there, as single values.

    Attributes:
      task: The task.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 60}

    def __init__(self, task: AntAvenue, *, render_mode: str | None = None) -> None:
        """Build the ant.

        Raises:
          ValueError: if the render mode is unknown.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be one of {self.metadata['render_modes']}, got {render_mode!r}")
        rows = AntVectorEnv(task, 1, threads=1, autoreset=False)
        super().__init__(rows)
        self.task, self.render_mode = task, render_mode
        self._simulation = rows.simulation
        self._camera: Camera | None = None

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The ant as an image, shape (height, width, 3); None unless the render mode is "rgb_array"."""
        if self.render_mode is None:
            return None
        if self._camera is None:
            self._camera = Camera(self._simulation)
        return self._camera.image(0)

    def close(self) -> None:
        """End the renderer and the physics."""
        super().close()
        if self._camera is not None:
            self._camera.close()
            self._camera = None
