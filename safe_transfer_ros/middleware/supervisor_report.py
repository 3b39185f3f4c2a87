# SPDX-License-Identifier: Apache-2.0
"""Reports of controller_supervisor: status on change, diagnostics once per second, log lines."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.state_publisher import StatePublisher
from safe_transfer_ros.safety.supervisor.rest_effort import Rest


class Phase(enum.Enum):
    """Phase of the controller."""

    INACTIVE = "inactive"  # known to be, and nothing wrong with that
    ACTIVATING = "activating"
    ACTIVE = "active"
    STOPPING = "stopping"  # not yet known to be inactive; also at the start


_LEVELS = {
    Phase.INACTIVE: DiagnosticStatus.WARN,
    Phase.ACTIVATING: DiagnosticStatus.WARN,
    Phase.ACTIVE: DiagnosticStatus.OK,
    Phase.STOPPING: DiagnosticStatus.ERROR,
}
_AGE = re.compile(r" \(none for \d+ ms\)")


@dataclass(frozen=True, kw_only=True)
class Told:
    """Content of a report.

    Attributes:
      phase: Of the controller.
      why: Why it is not active; empty where there is nothing to say.
      rest: What is known of the torque at the arm.
      held: The sentence for it, where it has not ended.
      last_stop: Why the controller was stopped last; empty while it is active and before the first stop.
    """

    phase: Phase
    why: str
    rest: Rest
    held: str
    last_stop: str


class SupervisorReport:
    """Publishes and logs what a supervisor has to tell."""

    def __init__(self, node: Node, hardware: str, fixed: Mapping[str, str]) -> None:
        """Create the publishers.

        Args:
          node: The supervisor.
          hardware: Name of the robot.
          fixed: What stands in every status, by name.
        """
        self._node, self._hardware, self._fixed = node, hardware, dict(fixed)
        self._status = StatePublisher(node, topics.SUPERVISOR_STATUS)
        self._diagnostics = topics.DIAGNOSTICS.advertise(node)
        self._last: object = None

    def tell(self, told: Told) -> None:
        """Publish the status when it has changed; ages of silences and efforts, which always change, do not count."""
        new = (told.phase, _AGE.sub("", told.why), told.rest)
        if new == self._last:
            return
        self._last = new
        self._status.publish(self._describe(told))
        words = "; ".join(filter(None, (told.held, told.why)))
        line = f"{told.phase.value}: {words}" if words else told.phase.value
        if told.held:  # two calls: a logger's line keeps its severity
            self._node.get_logger().error(line)
        else:
            self._node.get_logger().info(line)

    def diagnose(self, told: Told, beside: Mapping[str, str]) -> None:
        """Publish diagnostics, with what else there is to know by name."""
        message = DiagnosticArray(status=[self._describe(told, beside)])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _describe(self, told: Told, beside: Mapping[str, str] | None = None) -> DiagnosticStatus:
        values = {
            "phase": told.phase.value,
            **self._fixed,
            "torque": told.rest.value,
            "last_stop": told.last_stop,
            **(beside or {}),
        }
        return DiagnosticStatus(
            level=DiagnosticStatus.ERROR if told.held else _LEVELS[told.phase],
            name="controller_supervisor",
            hardware_id=self._hardware,
            message="; ".join(filter(None, (told.held, told.why))) or told.phase.value,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
