# SPDX-License-Identifier: Apache-2.0
"""Check that all required subscribers of a topic are connected. Messages published before are lost to the others.

So is a latched message whose publisher leaves before a subscriber was connected: of a run of a second, recorded at
real-time priority beside another, the bag had no configuration.

A writer asks for its own topic: only its middleware knows whom it sends to. That another process has seen two nodes of
a graph does not mean that those two have seen each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, qos_check_compatible

from safe_transfer_ros.middleware.topics import Topic


class Listeners:
    """Required subscribers of one publisher's topic."""

    def __init__(self, node: Node, publisher: Publisher, topic: Topic, graph: tuple[str, ...]) -> None:
        """Wait for the nodes of `graph` that are required subscribers of `topic`.

        Args:
          node: That publishes.
          publisher: Of the topic.
          topic: What it publishes.
          graph: Names of the graph's nodes; none are waited for if it is empty.
        """
        self._node, self._publisher, self._topic = node, publisher, topic.name
        self._wanted = frozenset(topic.must_hear) & frozenset(graph)
        self._complete = not self._wanted

    def missing(self) -> str:
        """Subscribers not yet connected to the publisher, as a sentence; empty once all were."""
        if self._complete:
            return ""
        name = self._publisher.topic_name
        # As the middleware has it: a profile of ours leaves open what the middleware then fills in.
        own, within = self._node.get_name(), self._node.get_namespace()
        offered = [
            publisher.qos_profile
            for publisher in self._node.get_publishers_info_by_topic(name)
            if publisher.node_name == own and publisher.node_namespace == within
        ]
        known = [
            (listener.node_name, listener.node_namespace)
            for listener in self._node.get_subscriptions_info_by_topic(name)
            if all(qos_check_compatible(qos, listener.qos_profile)[0] != QoSCompatibility.ERROR for qos in offered)
        ]
        absent = sorted(self._wanted.difference(name for name, namespace in known if namespace == within))
        if absent:
            return f"{' and '.join(absent)} not listening to {self._topic} yet"
        if self._publisher.get_subscription_count() < len(known):  # somebody known is not yet sent to: which is unknown
            return f"not all listeners of {self._topic} are connected yet"
        self._complete = True
        return ""


def all_missing(listeners: Iterable[Listeners]) -> str:
    """Subscribers of several topics that are not yet connected, as a sentence; empty once all were."""
    return "; ".join(filter(None, (each.missing() for each in listeners)))
