# SPDX-License-Identifier: Apache-2.0
"""What forbids motion as long as it lasts, whatever the filter's mode: seen around the filter, not in its data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rclpy.node import Node
from std_msgs.msg import Bool

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.safety.filter.external_stop import ExternalStop
from safe_transfer_ros.safety.reasons import Reason


class StandingCauses:
    """A stop that is pressed, permission that is not given, a second publisher; and who does not hear the filter yet.

    Attributes:
      unheard: Who of the graph does not hear the filter yet, as a sentence; empty if everybody does who must.
    """

    def __init__(
        self, node: Node, *, e_stop_lease_s: float, permission_lease_s: float, stop: Callable[[Reason], None]
    ) -> None:
        """Know nothing yet.

        Args:
          node: The filter's.
          e_stop_lease_s: Longest silence of the external stop, s; 0: none is required.
          permission_lease_s: Longest silence of the controller's supervisor, s; 0: none is required.
          stop: Called as soon as a message forbids motion, with what it is.
        """
        self._node, self._stop = node, stop
        self._external_stop = ExternalStop(e_stop_lease_s)
        self._permission = ExternalStop(permission_lease_s, "the controller supervisor", "permits no torque")
        self._listeners: Sequence[Listeners] = ()
        self._exclusive: Sequence[str] = ()
        self.unheard = ""

    def watch(self, listeners: Sequence[Listeners], exclusive: Sequence[str]) -> None:
        """Begin to listen.

        Args:
          listeners: Of the filter's own topics.
          exclusive: Topics that one node at most may publish.
        """
        self._listeners, self._exclusive = listeners, exclusive
        self._node.create_subscription(Bool, "safety_filter/e_stop", self._on_external_stop, qos.STREAM)
        self._node.create_subscription(Bool, "controller_supervisor/permission", self._on_permission, qos.COMMAND)
        self.unheard = self._missing()

    def heard_at_last(self) -> bool:
        """Whether everybody who must hear the filter does since this call."""
        if not self.unheard:
            return False
        self.unheard = self._missing()
        return not self.unheard

    def _missing(self) -> str:
        return "; ".join(filter(None, (listeners.missing() for listeners in self._listeners)))

    def reasons(self) -> Reason:
        """All that stands against motion."""
        reasons = Reason.NONE
        now = time.monotonic_ns()
        if any(self._node.count_publishers(topic) > 1 for topic in self._exclusive):
            reasons |= Reason.SECOND_PUBLISHER
        if self._permission.problem(now):
            reasons |= Reason.NO_PERMISSION
        if self._external_stop.problem(now):
            reasons |= Reason.OPERATOR_STOP
        return reasons

    def refusal(self) -> str | None:
        """Why the filter must not be armed, in words; None when only `reasons` can tell."""
        now = time.monotonic_ns()
        return self.unheard or self._permission.problem(now) or self._external_stop.problem(now)

    def described(self) -> dict[str, str]:
        """For an operator's dashboard."""
        now = time.monotonic_ns()
        return {
            "permission": self._permission.problem(now) or "given or not needed",
            "external_stop": self._external_stop.problem(now) or "clear",
        }

    def _on_external_stop(self, message: Bool) -> None:
        self._external_stop.hear(message.data, time.monotonic_ns())
        if message.data:
            self._stop(Reason.OPERATOR_STOP)

    def _on_permission(self, message: Bool) -> None:
        self._permission.hear(not message.data, time.monotonic_ns())
        if not message.data:
            self._stop(Reason.NO_PERMISSION)
