# SPDX-License-Identifier: Apache-2.0
"""Publisher of the safety filter's status: on every change of mode, cause or limit, and on refusal."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.filter_messages import status_message
from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.middleware.state_publisher import StatePublisher
from safe_transfer_ros.safety.filter.safety_filter import SafetyFilter
from safe_transfer_ros.safety.reasons import Mode, Reason, describe


class FilterStatusPublisher:
    """Publishes and remembers what was told last; a trip is logged once."""

    def __init__(
        self,
        node: Node,
        rules: SafetyFilter,
        *,
        unheard: Callable[[], str],
        arm: Callable[[], str],
        critic_version: Callable[[], str],
    ) -> None:
        """Advertise; nothing is told yet.

        Args:
          node: The filter's.
          rules: The filter itself.
          unheard: Gives the nodes of the graph that do not receive the filter yet; empty if all do that must.
          arm: Gives the arm's own word why it takes no torque; empty where it has none.
          critic_version: Gives the version of the newest critic accepted; empty without one.
        """
        self._node, self._rules = node, rules
        self._unheard, self._arm, self._critic_version = unheard, arm, critic_version
        self._publisher = StatePublisher(node, topics.FILTER_STATUS)
        self._told = (Mode.DISARMED, Reason.NONE, -1, 0.0)
        self._arm_said = ""

    def listeners(self, graph: tuple[str, ...]) -> Listeners:
        """Those who must hear every status; see `Listeners`."""
        return self._publisher.listeners(graph)

    def tell(self, *, accepted: bool, message: str = "") -> None:
        """Publish the status now; what holds or stopped the arm is in it, whatever it was published for.

        Args:
          accepted: Whether the limit, or critic, offered last was taken.
          message: Why not.
        """
        message = "; ".join(filter(None, (message, self._cause())))
        status = status_message(
            self._rules,
            accepted=accepted,
            unheard=self._unheard(),
            critic_version=self._critic_version(),
            text=message,
        )
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(status)
        if self._rules.mode is Mode.TRIPPED and self._told[0] is Mode.DISARMED and self._rules.cause == Reason.SHUTDOWN:
            self._node.get_logger().info("told to end while disarmed: nothing had to be stopped")
        elif self._rules.mode is Mode.TRIPPED and self._told[0] is not Mode.TRIPPED:
            self._node.get_logger().error(f"TRIPPED: {message}", throttle_duration_sec=0.1)
        self._told = self._now()

    def tell_changes(self) -> None:
        """Publish the status if the mode, its cause or the limit has changed since it was last published."""
        if self._told != self._now():
            self.tell(accepted=True)

    def _cause(self) -> str:
        """Cause that stands in the way, in words; an arm that was let go meanwhile is told with its last word."""
        cause = self._rules.cause
        self._arm_said = (self._arm() or self._arm_said) if cause & Reason.ARM_STOPPED else ""
        spent = Reason.DAMAGE_BUDGET_SPENT if self._rules.guard.exhausted else Reason.NONE
        return "; ".join(filter(None, (describe(cause | spent), self._arm_said)))

    def _now(self) -> tuple[Mode, Reason, int, float]:
        guard = self._rules.guard
        return self._rules.mode, self._rules.cause, guard.iteration, guard.in_force
