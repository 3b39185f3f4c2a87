# SPDX-License-Identifier: Apache-2.0
"""Latched state of another node, believed only while one node publishes it.

A message does not say who sent it. So while two publish a state none of it is believed, not even the newest heard
before: it may have come from either. When one of them has gone, the other's newest state is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from safe_transfer_ros.middleware import bounded
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.topics import Topic

LOOK_SECONDS = 0.05  # between two looks at who publishes; every message is one too

Message = TypeVar("Message")


def _ignore(_: Any) -> None:
    """Do nothing."""


class SoleState(Generic[Message]):
    """Listener to a state that a node acts on.

    Attributes:
      newest: The newest message; None before the first, and while it is in doubt whose it is.
      doubt: Why nothing is believed now; empty while one node at most publishes it.
    """

    def __init__(
        self,
        node: Node,
        topic: Topic,
        heard: Callable[[Message], None] = _ignore,
        doubted: Callable[[str], None] = _ignore,
    ) -> None:
        """Begin to listen.

        Args:
          node: That acts on the state.
          topic: Latched; heard as its table says.
          heard: Called with each message that is believed.
          doubted: Called with the reason when a second publisher is seen.
        """
        self._node, self._topic = node, topic
        self._heard, self._doubted = heard, doubted
        self.newest: Message | None = None
        self.doubt = ""
        self._subscription = bounded.listen(node, topic, self._on_message)
        node.create_timer(LOOK_SECONDS, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def look(self) -> None:
        """Process who publishes now."""
        second = second_publisher(self._node, self._topic.name) or ""
        if second and not self.doubt:
            self.newest, self.doubt = None, second
            self._doubted(second)
        elif self.doubt and not second:
            self.doubt = ""
            # What still waits in the old subscription may be the other's; a new one gets what is latched.
            self._node.destroy_subscription(self._subscription)
            self._subscription = bounded.listen(self._node, self._topic, self._on_message)

    def _on_message(self, message: Message) -> None:
        # A second look could end the doubt in the middle of this subscription's own callback.
        if not self.doubt and second_publisher(self._node, self._topic.name):
            self.look()
        if not self.doubt:
            self.newest = message
            self._heard(message)
