# SPDX-License-Identifier: Apache-2.0
"""The external stop as a topic: received under any QoS of its publishers, each counted by itself."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import Bool

from safe_transfer_ros.middleware import clock, qos, topics
from safe_transfer_ros.middleware.numbered import NumberedMessages
from safe_transfer_ros.middleware.publishers import identities
from safe_transfer_ros.safety.filter.stop_buttons import StopButtons


class StopTopic:
    """Subscription that stops at once on any press, and knows the state of each publisher in between."""

    def __init__(self, node: Node, lease_s: float, pressed: Callable[[], None]) -> None:
        """Begin to listen.

        Args:
          node: The filter's.
          lease_s: Longest silence of each publisher, s; 0: none is required.
          pressed: Called as soon as a message says so.
        """
        self._node, self._pressed = node, pressed
        self._buttons = StopButtons(lease_s)
        # Best effort fits every publisher, reliable loses nothing of those that are, and latched ones are asked again.
        self._messages = NumberedMessages(
            node,
            f"{node.get_name()}_e_stop",
            Bool,
            node.resolve_topic_name(topics.EXTERNAL_STOP.name),
            (qos.PROPOSALS, qos.VIEW, qos.LATCHED_RECORD),
        )
        for profile in (qos.PROPOSALS, qos.VIEW):
            topics.EXTERNAL_STOP.listen(node, self._on_message, profile)
        self._present: frozenset[tuple[int, ...]] = frozenset()
        self._press = False  # heard without its number, and not yet with it

    def _on_message(self, message: Bool) -> None:
        if message.data:
            self._press = True
            self._pressed()
        else:
            self.look(clock.now_ns())
            self._press &= self._buttons.pressed or self._buttons.unheard() is not None

    def look(self, now_ns: int) -> None:
        """Process messages and publishers up to steady time `now_ns`."""
        present = identities(self._node, topics.EXTERNAL_STOP.name)
        if present != self._present:
            if present - self._present:
                self._messages.settle(now_ns)
            self._present = present
            self._buttons.see(present)
        for said in self._messages.look(now_ns):
            self._buttons.hear(said.sequence, bool(said.message.data), said.found_ns)
            self._press &= self._buttons.unheard() is not None

    def problem(self, now_ns: int) -> str | None:
        """Reason why the arm must not move at steady time `now_ns`; None when it may."""
        return "the external stop is pressed" if self._press else self._buttons.problem(now_ns)

    def unheard(self) -> str | None:
        """Reason why the filter must not be armed though nothing is known to be pressed."""
        return self._buttons.unheard()

    def close(self) -> None:
        """Listen no more."""
        self._messages.close()
