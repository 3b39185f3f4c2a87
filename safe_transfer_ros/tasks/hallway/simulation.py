# SPDX-License-Identifier: Apache-2.0
"""Bodies in hallways in MuJoCo, many at once: `mujoco.rollout` steps them on all cores.

A model has room for the obstacles about a body only. Which those are follows from where it is; one that it touches or
can see is always among them.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.batch_simulation import BatchSimulation
from safe_transfer_ros.tasks.hallway.body import Motion
from safe_transfer_ros.tasks.hallway.course import Obstacles
from safe_transfer_ros.tasks.hallway.scene import hallway_model
from safe_transfer_ros.tasks.hallway.task import DEPTH_RANGE_M, Array, Hallway, Start

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_INPUTS = int(mujoco.mjtState.mjSTATE_CTRL | mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT)


class HallwaySimulation(BatchSimulation):
    """E independent bodies, each a function of its start and its actions alone; see BatchSimulation.

    Attributes:
      task: The task.
      slots: Obstacles that the model has room for.
      obstacles: Those of every body's episode, fields of shape (E, n).
      touched: Which of them a body touched in the last control period, shape (E, n).
      touched_side: Whether it touched a side then, shape (E,).
      acceleration: Of the bodies, mean of the last control period, world's frame, shape (E, 3), m/s^2.
    """

    def __init__(self, task: Hallway, count: int, *, threads: int | None = 1) -> None:
        """Build the bodies; `place` each before stepping.

        Args:
          task: The task.
          count: Number of bodies.
          threads: Physics threads; None takes every core this process may use, up to count.

        Raises:
          ValueError: if count or threads is not positive.
        """
        course = task.course
        seen = task.body.sight_m(DEPTH_RANGE_M) + course.clearance
        self.slots = min(2 * math.ceil(seen / course.least_step) + 1, course.count)
        model = hallway_model(task.body, course, self.slots)
        super().__init__(model, count, task.substeps, threads=threads, inputs=_INPUTS)
        self.task = task
        self._q, self._v = slice(1, 1 + model.nq), slice(1 + model.nq, 1 + model.nq + model.nv)
        n = course.count
        self.obstacles = Obstacles(
            place=np.zeros((count, n, 2)),
            turn=np.zeros((count, n)),
            clip=np.zeros((count, n), dtype=np.int64),
            phase=np.zeros((count, n)),
        )
        self.touched: Flags = np.zeros((count, n), dtype=np.bool_)
        self.touched_side: Flags = np.zeros(count, dtype=np.bool_)
        self.acceleration = np.zeros((count, 3))

    def place(self, row: int, start: Start) -> None:
        """Put one body at the start of an episode, at rest."""
        self.state[row] = 0.0
        self.state[row, self._q] = self.task.body.start(start.position, start.heading)
        for name in ("place", "turn", "clip", "phase"):
            getattr(self.obstacles, name)[row] = getattr(start.obstacles, name)
        self.touched[row], self.touched_side[row], self.acceleration[row] = False, False, 0.0
        self.control[row] = 0.0
        only = np.array([row])
        self._put_obstacles(only, self._near(only), np.zeros((1, self._substeps, 1)))

    def step(self, actions: Array, moving: Flags | None = None) -> None:
        """Act for one control period.

        Args:
          actions: Shape (E, n), in [-1, 1].
          moving: Which bodies go on, shape (E,); the others stay as they are and cost nothing. All by default.

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        rows = np.arange(self.count) if moving is None else np.flatnonzero(moving)
        if not len(rows):
            return
        near, velocity = self._near(rows), self._velocity()
        self.control[rows, :, : self.model.nu] = actions[rows, None]
        timestep = self.model.opt.timestep
        # A physics step goes by where obstacles are at its end.
        time = self.state[rows, :1] + timestep * np.arange(1, self._substeps + 1)
        self._put_obstacles(rows, near, time[..., None])
        _, sensors = self.advance(moving, self._v)
        self.acceleration[rows] = (self._velocity()[rows] - velocity[rows]) / self.task.control_period_s
        felt = np.asarray((sensors > 0.0).any(axis=1))
        self.touched_side[rows] = felt[:, 0]
        parts = felt[:, 1:].reshape(len(rows), self.slots, -1).any(axis=-1)
        self.touched[rows[:, None], near] = parts

    def motions(self) -> Motion:
        """Motions as the task uses them, every field with E rows; copies."""
        return self.task.body.motion(self.state[:, self._q].copy(), self.state[:, self._v].copy())

    def bring(self, row: int, data: mujoco.MjData) -> None:
        """Bring one of them into a MjData of the simulation's model, places of bodies and cameras only."""
        self._set(row, self.model, data)
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one of them into a MjData of this or another model of it, for rendering."""
        self._set(row, model, data)
        mujoco.mj_forward(model, data)

    def _set(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        mujoco.mj_setState(model, data, self.state[row], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_setState(model, data, self.control[row, -1], self.inputs)

    def _near(self, rows: Numbers) -> Numbers:
        """Numbers of the obstacles in every slot of the model, shape (rows, slots): those about each body.

        Obstacle i is always in slot i modulo their number, so that none moves from slot to slot while it is near.
        """
        x = self.state[rows, 1]
        before = (self.obstacles.place[rows, :, 0] < x[:, None]).sum(axis=1)
        first = np.clip(before - self.slots // 2, 0, self.task.course.count - self.slots)[:, None]
        return np.asarray(first + (np.arange(self.slots) - first) % self.slots)

    def _put_obstacles(self, rows: Numbers, near: Numbers, time: Array) -> None:
        """Put obstacles into the slots of some rows, for every physics step.

        Args:
          rows: Which.
          near: Numbers of their obstacles, shape (rows, slots).
          time: At the end of each step, shape (rows, substeps, 1), s.
        """
        at, mine = rows[:, None, None], near[:, None, :]
        chosen = Obstacles(
            **{name: getattr(self.obstacles, name)[at, mine] for name in ("place", "turn", "clip", "phase")}
        )
        poses = self.task.course.poses(chosen, time).reshape(len(rows), -1, self.model.nmocap, 7)
        begin, middle = self.model.nu, self.model.nu + 3 * self.model.nmocap
        steps = (len(rows), -1 if poses.shape[1] == self._substeps else 1)
        self.control[rows, :, begin:middle] = poses[..., :3].reshape(*steps, middle - begin)
        self.control[rows, :, middle:] = poses[..., 3:].reshape(*steps, 4 * self.model.nmocap)

    def _velocity(self) -> Array:
        """Of the bodies, in the world's frame, shape (E, 3), m/s."""
        return self.motions().velocity
