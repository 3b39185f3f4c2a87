# SPDX-License-Identifier: Apache-2.0
"""Copies of one MuJoCo model side by side: `mujoco.rollout` takes them through a control period on all cores."""

from __future__ import annotations

import os

import mujoco
import mujoco.rollout
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.simulation import UnstableSimulationError, check_stable

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class BatchSimulation:
    """E independent copies, each a function of its start and its controls alone.

    Attributes:
      model: The model stepped.
      count: E.
      threads: Physics threads.
      state: Full physics state of every copy, shape (E, size): time, positions, velocities, in MuJoCo's order.
      control: What drives each physics step of a control period, shape (E, substeps, size).
      inputs: What `control` is made of, as MuJoCo's mjtState bits.
    """

    def __init__(
        self, model: mujoco.MjModel, count: int, substeps: int, *, threads: int | None = 1, inputs: int | None = None
    ) -> None:
        """Start every copy at zero.

        Args:
          model: The model.
          count: Number of copies.
          substeps: Physics steps of a control period.
          threads: Physics threads; None takes every core this process may use, up to E.
          inputs: mjtState bits of `control`; by default the motors'.

        Raises:
          ValueError: if count or threads is not positive.
        """
        threads = min(len(os.sched_getaffinity(0)), count) if threads is None else threads
        if count < 1 or threads < 1:
            raise ValueError(f"count and threads must be at least 1, got {count} and {threads}")
        self.model, self.count, self.threads = model, count, threads
        self.inputs = int(mujoco.mjtState.mjSTATE_CTRL) if inputs is None else inputs
        self._models = [model] * count
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._pool = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)
        self._substeps = substeps
        size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self.state, self._states = np.zeros((count, size)), np.empty((count, substeps, size))
        self._sensors = np.zeros((count, substeps, model.nsensordata))
        self.control = np.zeros((count, substeps, mujoco.mj_stateSize(model, self.inputs)))

    def close(self) -> None:
        """End the physics threads."""
        self._pool.close()

    def advance(self, moving: Flags | None, velocity: slice) -> tuple[slice | npt.NDArray[np.intp], Array]:
        """Step through a control period under `control`.

        Args:
          moving: Which copies go on, shape (E,); the others stay as they are and cost nothing. None: all.
          velocity: Where in the state the velocities are that tell whether the physics is stable.

        Returns:
          Which rows moved, and their sensors at each physics step, shape (moved, substeps, nsensordata).

        Raises:
          UnstableSimulationError: if the physics diverged.
        """
        rows = slice(None) if moving is None or moving.all() else np.flatnonzero(moving)
        started = self.state[rows]
        count = len(started)
        if count == 0:
            return rows, self._sensors[:0]
        # A rollout starts the constraint solver cold: what it leads to hangs on state and controls alone.
        self._pool.rollout(
            self._models if isinstance(rows, slice) else [self._models[row] for row in rows],
            self._data,
            started,
            self.control[rows],
            control_spec=self.inputs,
            skip_checks=True,
            nstep=self._substeps,
            state=self._states[:count],
            sensordata=self._sensors[:count],
        )
        reached, timestep = self._states[:count, -1], self.model.opt.timestep
        # A rollout that went bad stops where it is and says nothing.
        if not (reached[:, 0] > started[:, 0] + (self._substeps - 0.5) * timestep).all():
            raise UnstableSimulationError(
                "the simulation diverged; use a milder perturbation, weaker motors or a shorter timestep"
            )
        check_stable(reached[:, velocity], timestep)
        self.state[rows] = reached
        return rows, self._sensors[:count]
