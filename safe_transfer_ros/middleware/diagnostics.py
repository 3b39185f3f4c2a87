# SPDX-License-Identifier: Apache-2.0
"""A node's line in /diagnostics, once per second: a name, a level, a sentence, and figures, as diagnostic_updater does.

Every node whose end or refusal stops the arm has one; config/diagnostics.yaml sorts them for diagnostic_aggregator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from safe_transfer_ros.middleware import topics

NAMES = (
    "safety_filter",
    "unsafety_monitor",
    "controller_supervisor",
    "policy_server",
    "episode_reset",
    "trainer",
    "franka_robot",
    "mujoco_sim",
    "bag_recorder",
)
"""Names of all lines: each is its node's."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """State of a node.

    Attributes:
      message: In a sentence.
      attention: Whether somebody should look.
      failed: Whether it does not do what it is for.
      values: Figures and facts, by name.
    """

    message: str
    attention: bool = False
    failed: bool = False
    values: Mapping[str, str] = field(default_factory=dict)


class Diagnostics:
    """Publisher of one node's line."""

    def __init__(self, node: Node, hardware: str, look: Callable[[], Health]) -> None:
        """Begin to publish, once per second of the steady clock.

        Args:
          node: Whose line it is.
          hardware: What the line is about: the robot's name, where it is the robot.
          look: Gives the state at each time.
        """
        self._node, self._hardware, self._look = node, hardware, look
        self._publisher = topics.DIAGNOSTICS.advertise(node)
        node.create_timer(1.0, self.tell, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def tell(self) -> None:
        """Publish the state now."""
        health = self._look()
        level = DiagnosticStatus.ERROR if health.failed else DiagnosticStatus.OK
        if health.attention and not health.failed:
            level = DiagnosticStatus.WARN
        status = DiagnosticStatus(
            level=level,
            name=self._node.get_name(),
            hardware_id=self._hardware,
            message=health.message,
            values=[KeyValue(key=key, value=value) for key, value in health.values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
