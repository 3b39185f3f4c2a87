# SPDX-License-Identifier: Apache-2.0
"""Points or cars in MuJoCo, many at once: `mujoco.rollout` steps them on all cores."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.robots.batch_simulation import BatchSimulation
from safe_transfer_ros.tasks.orientation import in_frame, rotation_about_z, rotation_of
from safe_transfer_ros.tasks.traps.scene import BODY, car_model, point_model
from safe_transfer_ros.tasks.traps.task import GRAVITY, Array, BodyState, CarTraps, Flags, Layout, Traps


class TrapsSimulation(BatchSimulation):
    """E independent bodies, each a function of its start and its actions alone; see BatchSimulation.

    `control` holds the actions, in [-1, 1].

    Attributes:
      task: The task.
    """

    def __init__(self, task: Traps, count: int, *, threads: int | None = 1) -> None:
        """Build the bodies; `place` each before stepping.

        Args:
          task: The task; its class tells which body.
          count: Number of bodies.
          threads: Physics threads; None takes every core this process may use, up to count.

        Raises:
          ValueError: if count or threads is not positive.
        """
        self.is_car = isinstance(task, CarTraps)
        model = (car_model if self.is_car else point_model)(timestep=task.timestep_s)
        super().__init__(model, count, task.substeps, threads=threads)
        self.task = task
        self._q, self._v = slice(1, 1 + model.nq), slice(1 + model.nq, 1 + model.nq + model.nv)
        self._height = float(model.body(BODY).pos[2])
        self._acceleration = np.zeros((count, 3))  # in the world's frame

    def place(self, row: int, layout: Layout) -> None:
        """Put one body at the start of an episode, at rest."""
        self.state[row] = 0.0
        x, y, heading = *layout.position, layout.heading
        if self.is_car:
            turned = (np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2))
            # Free joint, left wheel, right wheel, ball.
            self.state[row, self._q] = (x, y, self._height, *turned, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
        else:
            self.state[row, self._q] = (x, y, heading)
        self._acceleration[row] = 0.0

    def step(self, actions: Array, moving: Flags | None = None) -> None:
        """Act for one control period.

        Args:
          actions: Shape (E, 2), in [-1, 1].
          moving: Which bodies go on, shape (E,); the others stay as they are and cost nothing. All by default.

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        before = self._velocity()
        self.control[:] = actions[:, None]
        rows, _ = self.advance(moving, self._v)
        self._acceleration[rows] = (self._velocity()[rows] - before[rows]) / self.task.control_period_s

    def states(self) -> BodyState:
        """States as the task uses them, every field with E rows; copies."""
        position, velocity = self.state[:, self._q], self.state[:, self._v]
        if self.is_car:
            rotation = rotation_of(position[:, 3:7])
            angular_velocity = velocity[:, 3:6].copy()  # a free joint turns in its own frame
            ball = np.concatenate([rotation_of(position[:, 9:13]).reshape(-1, 9), velocity[:, 8:11]], axis=1)
        else:
            rotation = rotation_about_z(position[:, 2])
            zero = np.zeros(self.count)
            angular_velocity = np.stack([zero, zero, velocity[:, 2]], axis=1)
            ball = np.zeros((self.count, 0))
        felt = self._acceleration + (0.0, 0.0, GRAVITY)
        return BodyState(
            position=position[:, :2].copy(),
            rotation=rotation,
            velocity=in_frame(rotation, self._velocity()),
            angular_velocity=angular_velocity,
            acceleration=in_frame(rotation, felt),
            ball=ball,
        )

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one body into a MjData of this or another model of it, for rendering."""
        mujoco.mj_setState(model, data, self.state[row], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_forward(model, data)

    def _velocity(self) -> Array:
        """Of the bodies, in the world's frame, shape (E, 3), m/s."""
        velocity = np.zeros((self.count, 3))
        size = 3 if self.is_car else 2
        velocity[:, :size] = self.state[:, self._v][:, :size]
        return velocity
