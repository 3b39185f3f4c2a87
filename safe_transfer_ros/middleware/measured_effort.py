# SPDX-License-Identifier: Apache-2.0
"""Measured torque at the arm's joints, beyond that of rest."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import bounded, clock, topics
from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError

Array = npt.NDArray[np.float64]


class MeasuredEffort:
    """Holder of the arm's newest joint state, which is read only on request, never while the arm is driven."""

    def __init__(self, node: Node, robot: RobotDescription, *, with_gravity: bool) -> None:
        """Listen to joint states.

        Args:
          node: Whose subscription it is.
          robot: The arm.
          with_gravity: The arm's efforts hold the torque that carries it, so that rest is g(q) and not zero.
        """
        self._order = JointOrder(robot.joint_names)
        # As the serialised message has them. Looking for them costs a microsecond, reading a message fifty.
        self._names = tuple(name.encode() + b"\0" for name in robot.joint_names)
        self._unknown = np.full(robot.joint_count, np.nan)
        self._gravity: Callable[[Array], Array] | None = None
        if with_gravity:
            dynamics = importlib.import_module("safe_transfer_ros.robots.dynamics")  # brings mujoco
            self._gravity = dynamics.ArmDynamics(robot).gravity_torque
        self._data = b""
        self.heard_ns = 0
        topics.JOINT_STATES.listen(node, self._on_joint_state, raw=True)

    def _on_joint_state(self, data: bytes) -> None:
        if len(data) <= bounded.LARGEST_BYTES and not any(name in data for name in self._names):
            return  # a gripper's, or another arm's: it tells nothing, and hides nothing
        self._data, self.heard_ns = data, clock.now_ns()

    def beyond_rest(self) -> Array:
        """Torque of the newest joint state, shape (n_joints,), N·m, in the robot's order; NaN where it is missing."""
        try:
            message = bounded.read(self._data, JointState)
            indices = self._order.indices(message.name)
            effort: Array = np.asarray(message.effort, dtype=np.float64)[indices]
            position: Array = np.asarray(message.position, dtype=np.float64)[indices]
        except (bounded.MessageError, JointOrderError, IndexError):
            return self._unknown
        if self._gravity is None:
            return effort
        return effort - self._gravity(position) if np.isfinite(position).all() else self._unknown
