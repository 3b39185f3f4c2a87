# SPDX-License-Identifier: Apache-2.0
"""Hands with cubes in MuJoCo, many at once: `mujoco.rollout` steps them on all cores."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.robots.batch_simulation import BatchSimulation
from safe_transfer_ros.tasks.cube_in_hand.hand import JOINTS, START
from safe_transfer_ros.tasks.cube_in_hand.scene import CUBE, CUBE_START, hand_model
from safe_transfer_ros.tasks.cube_in_hand.task import Array, CubeInHand, Flags, HandState


class HandSimulation(BatchSimulation):
    """E independent hands, each a function of its actions alone; see BatchSimulation.

    `control` holds the targets of the servos, rad.

    Attributes:
      task: The task.
    """

    def __init__(self, task: CubeInHand, count: int, *, threads: int | None = 1) -> None:
        """Build the hands; `place` each before stepping.

        Args:
          task: The task.
          count: Number of hands.
          threads: Physics threads; None takes every core this process may use, up to count.

        Raises:
          ValueError: if count or threads is not positive.
        """
        model = hand_model(timestep=task.timestep_s)
        super().__init__(model, count, task.substeps, threads=threads)
        self.task = task
        self._v = slice(1 + model.nq, 1 + model.nq + model.nv)
        cube, first = model.joint(CUBE), model.joint(JOINTS[0].name)
        self._cube = slice(1 + int(cube.qposadr[0]), 8 + int(cube.qposadr[0]))
        self._motion = slice(self._v.start + int(cube.dofadr[0]), self._v.start + int(cube.dofadr[0]) + 6)
        self._joints = slice(1 + int(first.qposadr[0]), 1 + int(first.qposadr[0]) + len(JOINTS))

    def place(self, row: int) -> None:
        """Put one hand at the start of an episode, at rest, the cube just above it."""
        self.state[row] = 0.0
        self.state[row, self._joints] = START
        self.state[row, self._cube] = (*CUBE_START, 1.0, 0.0, 0.0, 0.0)

    def step(self, actions: Array, moving: Flags | None = None) -> None:
        """Act for one control period.

        Args:
          actions: Shape (E, 24), in [-1, 1].
          moving: Which hands go on, shape (E,); the others stay as they are and cost nothing. All by default.

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        self.control[:] = self.task.targets(actions)[:, None]
        self.advance(moving, self._v)

    def states(self) -> HandState:
        """States as the tasks use them, every field with E rows; copies."""
        cube, motion = self.state[:, self._cube].copy(), self.state[:, self._motion].copy()
        turning = np.empty((self.count, 3))
        for row in range(self.count):
            # A free joint turns in its own frame and moves in the world's.
            mujoco.mju_rotVecQuat(turning[row], motion[row, 3:], cube[row, 3:])
        return HandState(
            joint_position=self.state[:, self._joints].copy(),
            position=cube[:, :3] - CUBE_START,
            orientation=cube[:, 3:],
            velocity=motion[:, :3],
            angular_velocity=turning,
        )

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one hand into a MjData of this or another `hand_model`, for rendering."""
        mujoco.mj_setState(model, data, self.state[row], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_forward(model, data)
