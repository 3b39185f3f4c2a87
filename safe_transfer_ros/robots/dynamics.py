# SPDX-License-Identifier: Apache-2.0
"""Gravity torque of an arm at rest, and the inertia of each of its joints; from the URDF, by MuJoCo."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.simulation import build_model, joint_addresses

Array = npt.NDArray[np.float64]


class ArmDynamics:
    """Gravity torque and mobility of one arm, payload included. Not thread safe."""

    def __init__(self, description: RobotDescription) -> None:
        """Build the model.

        Args:
          description: The robot; whether its hardware compensates gravity makes no difference here.
        """
        self._model = build_model(dataclasses.replace(description, gravity_compensated=False))
        self._data = mujoco.MjData(self._model)
        self._at = joint_addresses(self._model, description.joint_names)
        self._inverse = np.zeros((self._model.nv, self._model.nv))

    def gravity_torque(self, position: Array) -> Array:
        """Torque that holds the arm up at rest, g(q), shape (n_joints,), N·m; `position` of the same shape, rad."""
        self._place(position)
        held: Array = self._data.qfrc_bias[self._at.velocity]
        return held

    def mobility(self, position: Array) -> Array:
        """Diagonal of the inverse joint inertia, diag M(q)^-1, shape (n_joints,), 1/(kg·m²); `position` in rad.

        The acceleration of joint i per torque on joint i alone, all others free.
        """
        self._place(position)
        mujoco.mj_solveM(self._model, self._data, self._inverse, np.eye(self._model.nv))
        mobility: Array = np.diag(self._inverse)[self._at.velocity].copy()
        return mobility

    def _place(self, position: Array) -> None:
        self._data.qpos[self._at.position] = position
        self._data.qvel[:] = 0.0
        mujoco.mj_forward(self._model, self._data)
