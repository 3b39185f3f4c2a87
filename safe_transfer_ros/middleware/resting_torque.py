# SPDX-License-Identifier: Apache-2.0
"""What a command of rest is for an arm that does not carry itself: reckoned from joint states, not by the filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.joint_state_reader import JointStateError, JointStateReader
from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.safety.filter.gravity_term import Array, at_rest


class RestingTorque:
    """Tells commands that only carry the arm from those that move it."""

    def __init__(self, node: Node, robot: RobotDescription, joints: Sequence[str]) -> None:
        """Listen to joint states.

        Args:
          node: Whose subscription it is.
          robot: The arm.
          joints: Its joints in the order of commands.
        """
        self._dynamics = ArmDynamics(robot)
        self._states = JointStateReader(robot.joint_names)
        self._commands = np.array([robot.joint_names.index(joint) for joint in joints])
        self._effort_limit = robot.limits.effort[self._commands]
        self._gravity: Array | None = None
        node.create_subscription(JointState, "joint_states", self._on_joint_state, qos.STREAM, raw=True)

    def _on_joint_state(self, data: bytes) -> None:
        self._gravity = None
        try:
            position = self._states.read(data).position
        except JointStateError:
            return
        if np.isfinite(position).all():
            self._gravity = self._dynamics.gravity_torque(position)[self._commands]

    def __call__(self, command: Sequence[float]) -> bool:
        """Whether a command, N·m, asks for no motion; never before a joint state has told where the arm is."""
        if self._gravity is None or len(command) != len(self._gravity):
            return False
        return at_rest(np.asarray(command), self._gravity, self._effort_limit)
