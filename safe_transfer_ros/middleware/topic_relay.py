# SPDX-License-Identifier: Apache-2.0
"""Messages of a graph as they travel, for somebody who passes them on to people who look.

Best effort wherever the topic is a stream: a viewer that is stopped or slow does not burden who publishes. What is
latched, a description or a mode, comes late as well.
"""

from __future__ import annotations

from collections.abc import Callable

from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.guest import Guest

RELAYED = tuple(
    topic
    for topic in topics.TOPICS
    if topic.recorded and topic not in (topics.POLICY_WEIGHTS, topics.CRITIC_WEIGHTS)  # large, and nothing to look at
)
"""Topics that are passed on."""


class TopicRelay:
    """A listener to every topic in one ROS domain and namespace, until it is closed."""

    def __init__(self, take: Callable[[topics.Topic, bytes], None], *, domain: int, namespace: str = "") -> None:
        """Join the graph.

        Args:
          take: Called with each message, serialised.
          domain: ROS domain.
          namespace: The graph's namespace; empty: the root.

        Raises:
          ValueError, OSError: as `Guest`.
        """
        self._guest = Guest("viewer", domain=domain, namespace=namespace)
        for topic in RELAYED:

            def hear(data: bytes, topic: topics.Topic = topic) -> None:
                take(topic, data)

            profile = qos.LATCHED if topic.latched else qos.VIEW
            topic.listen(self._guest.node, hear, profile, raw=True)

    def spin(self, seconds: float) -> None:
        """Process messages for `seconds`."""
        self._guest.spin(seconds)

    def close(self) -> None:
        """Leave the graph."""
        self._guest.close()
