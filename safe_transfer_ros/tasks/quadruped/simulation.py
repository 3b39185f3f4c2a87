# SPDX-License-Identifier: Apache-2.0
"""Quadrupeds in MuJoCo, many at once: `mujoco.rollout` steps them on all cores, each with a build of its own."""

from __future__ import annotations

import copy

import mujoco
import numpy as np

from safe_transfer_ros.robots.batch_simulation import BatchSimulation
from safe_transfer_ros.tasks.quadruped.scene import FOOT_RADIUS, LEGS, LINK, TRUNK, quadruped_model
from safe_transfer_ros.tasks.quadruped.task import Array, Build, Flags, Quadruped, QuadrupedState

_LOOK_BACK = 3  # actions that a latency of two control periods can still bring to the servos


class QuadrupedSimulation(BatchSimulation):
    """E independent quadrupeds, each a function of its start, its build and its actions alone; see BatchSimulation.

    `control` holds the targets of the servos, rad.

    Attributes:
      task: The task.
    """

    def __init__(self, task: Quadruped, count: int, *, threads: int | None = 1) -> None:
        """Build the quadrupeds; `place` each before stepping.

        Args:
          task: The task.
          count: Number of quadrupeds.
          threads: Physics threads; None takes every core this process may use, up to count.

        Raises:
          ValueError: if count or threads is not positive.
        """
        model = quadruped_model(timestep=task.timestep_s, foot_friction=task.foot_friction)
        super().__init__(model, count, task.substeps, threads=threads)
        self.task = task
        if task.randomised:
            self._models = [copy.copy(model) for _ in range(count)]
        self._q, self._v = slice(1, 1 + model.nq), slice(1 + model.nq, 1 + model.nq + model.nv)
        self._targets = np.zeros((count, _LOOK_BACK, model.nu))  # newest first
        self._delay = np.zeros(count, dtype=np.int64)  # physics steps

    def place(self, row: int, joint_position: Array, build: Build) -> None:
        """Put one quadruped at the start of an episode, at rest, its lowest foot on the floor."""
        if self.task.randomised:
            rebuild(self._models[row], self.model, build)
        thigh, knee = joint_position[1::3], joint_position[1::3] + joint_position[2::3]
        down = LINK * (np.cos(thigh) + np.cos(knee)) * np.cos(joint_position[0::3]) + FOOT_RADIUS
        self.state[row] = 0.0
        self.state[row, self._q] = (0.0, 0.0, down.max(), 1.0, 0.0, 0.0, 0.0, *joint_position)
        self._targets[row] = self.task.targets(np.zeros(12))
        self._delay[row] = round(build.latency_s / self.task.timestep_s)

    def step(self, actions: Array, moving: Flags | None = None) -> None:
        """Act for one control period.

        Args:
          actions: Shape (E, 12), in [-1, 1].
          moving: Which quadrupeds go on, shape (E,); the others stay as they are and cost nothing. All by default.

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        self._targets = np.concatenate([self.task.targets(actions)[:, None], self._targets[:, :-1]], axis=1)
        # Of which action each physics step knows: 0 the newest.
        age = -((np.arange(self.task.substeps) - self._delay[:, None]) // self.task.substeps)
        self.control[:] = np.take_along_axis(self._targets, age[:, :, None], axis=1)
        self.advance(moving, self._v)

    def states(self) -> QuadrupedState:
        """States as the tasks use them, every field with E rows; copies."""
        position, velocity = self.state[:, self._q].copy(), self.state[:, self._v].copy()
        rotation = np.empty((self.count, 9))
        for row in range(self.count):
            mujoco.mju_quat2Mat(rotation[row], position[row, 3:7])
        turned = rotation.reshape(-1, 3, 3)
        return QuadrupedState(
            position=position[:, :3],
            up=turned[:, 2].copy(),
            velocity=velocity[:, :3],
            body_velocity=(turned * velocity[:, :3, None]).sum(axis=1),
            angular_velocity=velocity[:, 3:6],  # a free joint turns in its own frame
            joint_position=position[:, 7:],
            joint_velocity=velocity[:, 6:],
        )

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one quadruped into a MjData of this or another `quadruped_model`, for rendering."""
        mujoco.mj_setState(model, data, self.state[row], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_forward(model, data)


def rebuild(model: mujoco.MjModel, described: mujoco.MjModel, build: Build) -> None:
    """Make a model's masses, inertias, servos and feet those of a build of the quadruped described."""
    model.body_mass[:] = build.leg_mass * described.body_mass
    model.body_inertia[:] = build.leg_inertia * described.body_inertia
    trunk = model.body(TRUNK).id
    model.body_mass[trunk] = build.trunk_mass * described.body_mass[trunk]
    model.body_inertia[trunk] = build.trunk_inertia * described.body_inertia[trunk]
    model.actuator_forcerange[:] = np.reshape(build.strength, (-1, 1)) * described.actuator_forcerange
    for leg in LEGS:
        model.geom_friction[model.geom(leg.name).id, 0] = build.foot_friction
    mujoco.mj_setConst(model, mujoco.MjData(model))
