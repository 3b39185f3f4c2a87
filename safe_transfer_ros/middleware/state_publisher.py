# SPDX-License-Identifier: Apache-2.0
"""A state as people and nodes want it, latched one deep, and its history as the recorder needs it.

A latched publisher that keeps a hundred states sends a late listener the old ones first, and `ros2 topic echo --once`
shows the oldest as if it were now. One that keeps a single state forgets what a stalled recorder still lacked: of 60
states sent while a listener stood still for 3 s it got 30. So there are two topics.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.middleware.topics import Topic


class StatePublisher:
    """Publishes a state on its topic, latched, and on its history."""

    def __init__(self, node: Node, topic: Topic) -> None:
        """Create both publishers.

        Args:
          node: Whose state it is.
          topic: Of the newest state; one that has a history.
        """
        self._node, self._topic = node, topic
        self._newest = topic.advertise(node)
        self._history = topic.history.advertise(node)

    def listeners(self, graph: tuple[str, ...]) -> Listeners:
        """Those who must hear its history; see `Listeners`."""
        return Listeners(self._node, self._history, self._topic.history, graph)

    def publish(self, message: Any) -> None:
        """Send one state."""
        self._newest.publish(message)
        self._history.publish(message)
