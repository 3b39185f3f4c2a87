# SPDX-License-Identifier: Apache-2.0
"""Causes that forbid motion while they last, in any mode: observed around the filter, not in its data.

What the filter acts on is guarded as what it publishes is: each topic has one publisher, or nothing moves. Joint states
are the one exception, as a gripper's may be on the same topic: one publisher speaks of our joints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Bool

from safe_transfer_ros.middleware import bounded, clock, topics
from safe_transfer_ros.middleware.joint_state_publishers import JointStatePublishers
from safe_transfer_ros.middleware.listeners import Listeners, all_missing
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.stop_topic import StopTopic
from safe_transfer_ros.safety.filter.permission import Permission
from safe_transfer_ros.safety.motion.causes import Cause
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.untrusted import printable


class StandingCauses:
    """A pressed stop, an arm that takes no torque, no permission, a second publisher, or a required subscriber missing.

    Attributes:
      arm: What the arm says that takes no torque, in words; empty while it takes torque, or is not a Franka.
      unheard: Nodes of the graph that do not receive the filter yet, as a sentence; empty if all do that must.
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
        self._e_stop_lease_s = e_stop_lease_s
        self._permission = Permission(permission_lease_s)
        self._listeners: Sequence[Listeners] = ()
        self._exclusive: Sequence[str] = ()
        self.unheard = ""
        self.arm = ""

    def watch(self, listeners: Sequence[Listeners], exclusive: Sequence[str], joints: Sequence[str]) -> None:
        """Begin to listen.

        Args:
          listeners: Of the filter's own topics.
          exclusive: Topics that one node at most may publish, besides the permission.
          joints: Ours: one node at most may publish states of any of them.
        """
        self._listeners, self._exclusive = listeners, (*exclusive, topics.PERMISSION.name, topics.FRANKA_STATUS.name)
        self._external_stop = StopTopic(self._node, self._e_stop_lease_s, lambda: self._stop(Reason.OPERATOR_STOP))
        self._joint_states = JointStatePublishers(self._node, joints)
        bounded.listen(self._node, topics.PERMISSION, self._on_permission)
        bounded.listen(self._node, topics.FRANKA_STATUS, self._on_arm)
        self.unheard = self._missing()

    def close(self) -> None:
        """Listen no more."""
        self._external_stop.close()
        self._joint_states.close()

    def heard_at_last(self) -> bool:
        """Whether all required subscribers of the filter are connected since this call."""
        if not self.unheard:
            return False
        self.unheard = self._missing()
        return not self.unheard

    def _missing(self) -> str:
        return all_missing(self._listeners)

    def reasons(self, *, moving: bool = False) -> Reason:
        """Reasons that forbid motion.

        Args:
          moving: Whether the arm may move now, or was stopped for a second publisher: one more of joint states is then
            a second one until it is known to speak of other joints. Else it only forbids arming, see `refusal`.
        """
        reasons = Reason.NONE
        now = self._look()
        if any(self._node.count_publishers(topic) > 1 for topic in self._exclusive):
            reasons |= Reason.SECOND_PUBLISHER
        if self._joint_states.several or (moving and self._joint_states.doubt(now)):
            reasons |= Reason.SECOND_PUBLISHER
        if self._permission.problem(now):
            reasons |= Reason.NO_PERMISSION
        if self._external_stop.problem(now):
            reasons |= Reason.OPERATOR_STOP
        if self.arm:
            reasons |= Reason.ARM_STOPPED
        return reasons

    def refusal(self) -> str | None:
        """Reason why the filter must not be armed, in words; None when only `reasons` can tell."""
        now = self._look()
        return (
            self.unheard
            or self._permission.problem(now)
            or self.arm
            or self._external_stop.problem(now)
            or self._external_stop.unheard()
            or self._joint_states.doubt(now)
            or next(filter(None, (second_publisher(self._node, topic) for topic in self._exclusive)), None)
        )

    def unbelievable(self, topic: str) -> str | None:
        """Reason to refuse a message of a topic that one node at most may publish; None when there is none."""
        return second_publisher(self._node, topic)

    def described(self) -> dict[str, str]:
        """Values for an operator's dashboard."""
        now = self._look()
        return {
            "permission": self._permission.problem(now) or "given or not needed",
            "external_stop": self._external_stop.problem(now) or self._external_stop.unheard() or "clear",
        } | ({"arm": self.arm} if self.arm else {})

    def _look(self) -> int:
        now = clock.now_ns()
        self._external_stop.look(now)
        self._joint_states.look(now)
        return now

    def _on_permission(self, message: Bool) -> None:
        self._permission.hear(bool(message.data), clock.now_ns())
        if not message.data:
            self._stop(Reason.NO_PERMISSION)

    def _on_arm(self, message: DiagnosticStatus) -> None:
        """Process the arm's own word; whatever it is but that nothing stands against a motion is against it."""
        standing = next((entry.value for entry in message.values if entry.key == "standing"), "")
        self.arm = "" if standing == Cause.NONE.name else f"the arm: {printable(message.message)}"
        if self.arm:
            self._stop(Reason.ARM_STOPPED)
