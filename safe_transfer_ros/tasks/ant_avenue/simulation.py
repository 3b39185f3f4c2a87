# SPDX-License-Identifier: Apache-2.0
"""Ants in MuJoCo, many at once: `mujoco.rollout` steps them on all cores."""

from __future__ import annotations

import mujoco
import mujoco.rollout
import numpy as np

from safe_transfer_ros.robots.simulation import UnstableSimulationError, check_stable
from safe_transfer_ros.tasks.ant_avenue.scene import LEGS, ant_model
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue, AntStart, AntState, Array, Flags, to_world


class AntSimulation:
    """E independent ants, each a function of its start and its actions alone.

    Attributes:
      task: The task.
      model: The model stepped.
      count: E.
      state: Full physics state of every ant, shape (E, size): time, positions, velocities, in MuJoCo's order.
      control: Actions of each physics step of a control period, shape (E, substeps, 8), in [-1, 1].
      inputs: What `control` is made of, as MuJoCo's mjtState bits.
    """

    def __init__(self, task: AntAvenue, count: int, *, threads: int = 1) -> None:
        """Build the ants; `place` each before stepping.

        Args:
          task: The task.
          count: Number of ants.
          threads: Physics threads.

        Raises:
          ValueError: if count or threads is not positive.
        """
        if count < 1 or threads < 1:
            raise ValueError(f"count and threads must be at least 1, got {count} and {threads}")
        self.task, self.count = task, count
        self.model = model = ant_model(gear=task.gear, timestep=task.timestep_s)
        self.inputs = mujoco.mjtState.mjSTATE_CTRL
        self._models = [model] * count
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._pool = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)
        size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self.state, self._states = np.zeros((count, size)), np.empty((count, task.substeps, size))
        self._sensors = np.zeros((count, task.substeps, model.nsensordata))
        self.control = np.zeros((count, task.substeps, model.nu))
        self._q, self._v = slice(1, 1 + model.nq), slice(1 + model.nq, 1 + model.nq + model.nv)
        self._contact: Flags = np.zeros((count, len(LEGS)), dtype=np.bool_)

    def close(self) -> None:
        """End the physics threads."""
        self._pool.close()

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
        task = self.task
        rows = slice(None) if moving is None or moving.all() else np.flatnonzero(moving)
        self.control[:] = actions[:, None]
        started = self.state[rows]
        count = len(started)
        if count == 0:
            return
        # A rollout starts the constraint solver cold: what it leads to hangs on state and actions alone.
        self._pool.rollout(
            self._models[:count],
            self._data,
            started,
            self.control[rows],
            control_spec=self.inputs,
            skip_checks=True,
            nstep=task.substeps,
            state=self._states[:count],
            sensordata=self._sensors[:count],
        )
        reached = self._states[:count, -1]
        # A rollout that went bad stops where it is and says nothing.
        if not (reached[:, 0] > started[:, 0] + (task.substeps - 0.5) * task.timestep_s).all():
            raise UnstableSimulationError("the simulation diverged; use a weaker gear or a shorter timestep")
        check_stable(reached[:, self._v], task.timestep_s)
        self.state[rows] = reached
        self._contact[rows] = self._sensors[:count, -1] > 0.0

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
