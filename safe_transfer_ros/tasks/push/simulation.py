# SPDX-License-Identifier: Apache-2.0
"""Pushing scenes in MuJoCo, many at once: `mujoco.rollout` steps them on all cores."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros.robots.batch_simulation import BatchSimulation
from safe_transfer_ros.robots.inverse_kinematics import joint_position_at
from safe_transfer_ros.robots.simulation import NOMINAL, Perturbation
from safe_transfer_ros.robots.task_space import TaskSpaceController
from safe_transfer_ros.robots.task_space_motors import MOTORS, motor_controls
from safe_transfer_ros.tasks.push.scene import BLOCK, OBSTACLE, push_model
from safe_transfer_ros.tasks.push.task import Array, Flags, PushScene, PushStart, PushTask, motion_between


class PushSimulation(BatchSimulation):
    """E independent scenes of one task, each a function of its start and its actions alone; see BatchSimulation.

    `control` is made of the motors, then the obstacle where nothing moves it.

    Attributes:
      task: The task.
      goal: Goals, shape (E, 2), m, table frame.
    """

    def __init__(
        self,
        task: PushTask,
        count: int,
        perturbed: Perturbation = NOMINAL,
        *,
        torque_limit: float | None = None,
        threads: int | None = 1,
    ) -> None:
        """Build the scenes; `place` each before stepping.

        Args:
          task: The task.
          count: Number of scenes.
          perturbed: How the robots differ from their description.
          torque_limit: Bound on every joint's torque beside its own effort limit, N·m.
          threads: Physics threads; None takes every core this process may use, up to count.

        Raises:
          ValueError: if count, threads or the torque limit is not positive.
        """
        model = push_model(task, perturbed, torque_limit=torque_limit)
        inputs = int(mujoco.mjtState.mjSTATE_CTRL) | (int(mujoco.mjtState.mjSTATE_MOCAP_POS) if model.nmocap else 0)
        super().__init__(model, count, task.substeps, threads=threads, inputs=inputs)
        self.task = task
        self._centre = np.array(task.table_centre)
        self._leash = task.leash
        self._block_height = 0.5 * task.block_size[2]
        self._joints = joint_position_at(
            TaskSpaceController(task.robot), task.robot, np.add(task.tool_start, task.table_centre)
        )
        n, substeps = task.robot.joint_count, task.substeps
        # The arm's joints come first in the model; the state is time, positions, velocities.
        self._q, self._v = slice(1, 1 + n), slice(1 + model.nq, 1 + model.nq + n)
        self._block, self._orientation = _pose_in_state(model, BLOCK)
        self._moved = _pose_in_state(model, OBSTACLE) if task.obstacle_mass is not None else None
        # Where in its way through the period the set-point is at each physics step: half-way through the step.
        self._way = ((np.arange(substeps) + 0.5) / substeps)[None, :, None]
        self._set_point = np.zeros((count, 3))
        self._before = (np.zeros((count, 3)), np.zeros((count, 4)))
        self._touched: Flags = np.zeros(count, dtype=np.bool_)
        self.goal, self._obstacle = np.zeros((count, 2)), np.zeros((count, 3))

    @property
    def position(self) -> Array:
        """Joint positions, shape (E, n_joints), rad; a copy."""
        return self.state[:, self._q].copy()

    @property
    def velocity(self) -> Array:
        """Joint velocities, shape (E, n_joints), rad/s; a copy."""
        return self.state[:, self._v].copy()

    @property
    def object_pose(self) -> Array:
        """Poses of the blocks in the base frame, x y z, m, and quaternion x y z w, shape (E, 7); a copy."""
        w_x_y_z = self.state[:, self._orientation]
        return np.concatenate([self.state[:, self._block], w_x_y_z[:, [1, 2, 3, 0]]], axis=1)

    def place(self, row: int, start: PushStart) -> None:
        """Put one scene at the start of an episode, everything at rest."""
        state = self.state[row]
        state[:] = 0.0
        state[self._q] = self._joints
        state[self._block] = self._centre + (*start.block, self._block_height)
        state[self._orientation] = (1.0, 0.0, 0.0, 0.0)
        self._set_point[row] = self.task.tool_start + self._centre
        for array, part in zip(self._before, (self._block, self._orientation), strict=True):
            array[row] = state[part]
        self._touched[row] = False
        self.goal[row] = start.goal
        self._obstacle[row] = self.task.obstacle_at(start)
        if self._moved is not None:
            place, orientation = self._moved
            state[place], state[orientation] = self._centre + self._obstacle[row], (1.0, 0.0, 0.0, 0.0)
        elif start.obstacle is not None:
            self.control[row, :, len(MOTORS) :] = self._centre + self._obstacle[row]

    def step(self, actions: Array, moving: Flags | None = None) -> None:
        """Act for one control period.

        Args:
          actions: Shape (E, action_size), finite.
          moving: Which scenes go on, shape (E,); the others stay as they are and cost nothing. All by default.

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        task, state = self.task, self.state
        rows = slice(None) if moving is None or moving.all() else np.flatnonzero(moving)
        for array, part in zip(self._before, (self._block, self._orientation), strict=True):
            array[rows] = state[rows, part]
        tool = task.chain.tool_position(state[:, self._q])
        there = self._leash.advanced(self._set_point, task.increment(actions, self._set_point), tool)
        way = (there - self._set_point)[:, None]
        self.control[:, :, : len(MOTORS)] = motor_controls(
            task.robot, self._set_point[:, None] + self._way * way, way / task.control_period_s
        )
        self._set_point = there
        rows, sensors = self.advance(moving, self._v)
        self._touched[rows] = sensors.any(axis=(1, 2))

    def scenes(self) -> PushScene:
        """Scenes as the tasks use them, every field with E rows."""
        state, task = self.state, self.task
        tool, _, tool_velocity = task.chain.tool_motion(state[:, self._q], state[:, self._v])
        pose = (state[:, self._block], state[:, self._orientation])
        velocity, spin = motion_between(self._before, pose, task.control_period_s)
        return PushScene(
            tool=tool - self._centre,
            tool_velocity=tool_velocity,
            block=pose[0] - self._centre,
            orientation=pose[1].copy(),
            block_velocity=velocity,
            block_spin=spin,
            goal=self.goal.copy(),
            obstacle=self._obstacle.copy() if self._moved is None else state[:, self._moved[0]] - self._centre,
            touched=self._touched.copy(),
        )

    def show(self, row: int, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Bring one scene into a MjData of this or another `push_model` of the task, for rendering."""
        mujoco.mj_setState(model, data, self.state[row], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_setState(model, data, self.control[row, -1], self.inputs)
        mujoco.mj_forward(model, data)


def _pose_in_state(model: mujoco.MjModel, body: str) -> tuple[slice, slice]:
    """Place of a free body's position and quaternion in the full physics state, behind the time."""
    at = 1 + int(model.jnt_qposadr[model.body(body).jntadr[0]])
    return slice(at, at + 3), slice(at + 3, at + 7)
