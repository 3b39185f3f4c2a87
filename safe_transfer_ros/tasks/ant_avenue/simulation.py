# SPDX-License-Identifier: Apache-2.0
"""Ants in MuJoCo, many at once: `mujoco.rollout` steps them on all cores."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.robots.batch_simulation import BatchSimulation
from safe_transfer_ros.tasks.ant_avenue.scene import LEGS, ant_model
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue, AntStart, AntState, Array, Flags, to_world


class AntSimulation(BatchSimulation):
    """E independent ants, each a function of its start and its actions alone; see BatchSimulation.

    `control` holds the actions, in [-1, 1].

    Attributes:
      task: The task.
    """

    def __init__(self, task: AntAvenue, count: int, *, threads: int | None = 1) -> None:
        """Build the ants; `place` each before stepping.

        Args:
          task: The task.
          count: Number of ants.
          threads: Physics threads; None takes every core this process may use, up to count.

        Raises:
          ValueError: if count or threads is not positive.
        """
        model = ant_model(gear=task.gear, timestep=task.timestep_s)
        super().__init__(model, count, task.substeps, threads=threads)
        self.task = task
        self._q, self._v = slice(1, 1 + model.nq), slice(1 + model.nq, 1 + model.nq + model.nv)
        self._contact: Flags = np.zeros((count, len(LEGS)), dtype=np.bool_)

    def place(self, row: int, start: AntStart) -> None:
        """Put one ant at the start of an episode, at rest above the floor."""
        self.state[row] = 0.0
        self.state[row, self._q] = (*start.position, 1.0, 0.0, 0.0, 0.0, *start.joint_position)
        self._contact[row] = False

    def step(self, actions: Array, moving: Flags | None = None) -> None:
        """Act for one control period.

        Args:
          actions: Shape (E, 8), in [-1, 1].
          moving: Which ants go on, shape (E,); the others stay as they are and cost nothing. All by default.

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        self.control[:] = actions[:, None]
        rows, sensors = self.advance(moving, self._v)
        self._contact[rows] = sensors[:, -1] > 0.0

    def states(self) -> AntState:
        """States as the task uses them, every field with E rows; copies."""
        position, velocity = self.state[:, self._q].copy(), self.state[:, self._v].copy()
        orientation = position[:, 3:7]
        return AntState(
            position=position[:, :3],
            velocity=velocity[:, :3],
            orientation=orientation,
            # A free joint turns in its own frame and moves in the world's.
            angular_velocity=to_world(orientation, velocity[:, 3:6]),
            joint_position=position[:, 7:],
            joint_velocity=velocity[:, 6:],
            contact=self._contact.copy(),
        )

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one ant into a MjData of this or another `ant_model`, for rendering."""
        mujoco.mj_setState(model, data, self.state[row], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_forward(model, data)
