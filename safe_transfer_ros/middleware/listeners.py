# SPDX-License-Identifier: Apache-2.0
"""Whether everyone who has to hear a topic of this graph does. What is published before that is lost to who does not.

A writer asks for its own topic: only its middleware knows whom it sends to. That another process has seen two nodes of
a graph does not mean that those two have seen each other.
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, qos_check_compatible

COMMANDS = "commands"  # of the effort controller, whatever its name

# Who is lost without the first message. Those that look on, or belong to the hardware, are not waited for.
LISTENERS: dict[str, tuple[str, ...]] = {
    "joint_states": ("safety_filter", "policy_server", "unsafety_monitor", "bag_recorder"),
    "object_pose": ("safety_filter", "policy_server", "unsafety_monitor", "bag_recorder"),
    "policy_server/action": ("safety_filter", "bag_recorder"),
    COMMANDS: ("mujoco_sim", "bag_recorder"),
    "safety_filter/decision": ("unsafety_monitor", "trainer", "bag_recorder"),
}


class Listeners:
    """Those of one publisher's topic."""

    def __init__(self, node: Node, publisher: Publisher, topic: str, graph: tuple[str, ...]) -> None:
        """Wait for the nodes of `graph` that LISTENERS has for `topic`.

        Args:
          node: That publishes.
          publisher: Of the topic.
          topic: A key of LISTENERS.
          graph: Names of the graph's nodes; none are waited for if it is empty.
        """
        self._node, self._publisher, self._topic = node, publisher, topic
        self._wanted = frozenset(LISTENERS[topic]) & frozenset(graph)
        self._complete = not self._wanted

    def missing(self) -> str:
        """Who does not hear the publisher yet, as a sentence; empty from the time on when all did."""
        if self._complete:
            return ""
        name = self._publisher.topic_name
        # As the middleware has it: a profile of ours leaves open what the middleware then fills in.
        own = self._node.get_name()
        offered = [p.qos_profile for p in self._node.get_publishers_info_by_topic(name) if p.node_name == own]
        known = [
            listener.node_name
            for listener in self._node.get_subscriptions_info_by_topic(name)
            if all(qos_check_compatible(qos, listener.qos_profile)[0] != QoSCompatibility.ERROR for qos in offered)
        ]
        absent = sorted(self._wanted.difference(known))
        if absent:
            return f"{' and '.join(absent)} not listening to {self._topic} yet"
        if self._publisher.get_subscription_count() < len(known):  # somebody known is not yet sent to: which is unknown
            return f"not all listeners of {self._topic} are connected yet"
        self._complete = True
        return ""
