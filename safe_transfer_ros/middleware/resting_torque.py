# SPDX-License-Identifier: Apache-2.0
"""Torque at rest of an arm that does not carry itself, computed from joint states, independently of the filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rclpy.node import Node

from safe_transfer_ros.middleware import clock, topics
from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard
from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.safety.filter.gravity_term import Array, at_rest

FRESH_NS = 500_000_000  # older joint states tell nothing about where the arm is


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
        self._states = JointStatesHeard(node, robot.joint_names)
        self._commands = np.array([robot.joint_names.index(joint) for joint in joints])
        self._effort_limit = robot.limits.effort[self._commands]
        self._gravity: Array | None = None
        self._reckoned_ns = 0
        topics.JOINT_STATES.listen(node, self._on_joint_state, raw=True)

    def _on_joint_state(self, data: bytes) -> None:
        now = clock.now_ns()
        state = self._states.read(data, now)
        if state is None:  # left out, and missed when no good one follows
            return
        self._gravity = None
        if np.isfinite(state.position).all():
            self._gravity, self._reckoned_ns = self._dynamics.gravity_torque(state.position)[self._commands], now

    def __call__(self, command: Sequence[float]) -> bool:
        """Whether a command, N·m, asks for no motion; never without a joint state that tells where the arm is."""
        if self._gravity is None or len(command) != len(self._gravity):
            return False
        if clock.now_ns() - self._reckoned_ns > FRESH_NS:
            return False
        return at_rest(np.asarray(command), self._gravity, self._effort_limit)
