# SPDX-License-Identifier: Apache-2.0
"""Messages of publishers whose quality of service a subscription does not fit, and which it therefore never receives.

A best-effort subscription receives everybody's messages, and a message does not say whose it is. So a second one, in
the quality of the subscription that does not fit all, tells which of them are received anyway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.numbered import Marks, Numbered, nobody, silent_node, take
from safe_transfer_ros.middleware.topics import Topic

SETTLING_NS = 200_000_000  # till when a message has come by the other subscription as well, if it does


def _incompatible(node: Node, topic: str, heard: QoSProfile) -> list[tuple[str, str]]:
    """Name of each publisher of a topic whom a subscription in `heard` does not receive, and why."""
    checked = [
        (publisher.node_name, *qos_check_compatible(publisher.qos_profile, heard))
        for publisher in node.get_publishers_info_by_topic(topic)
    ]
    return [(name, why.strip("; ")) for name, found, why in checked if found == QoSCompatibility.ERROR]


def has_incompatible_publisher(node: Node, topic: str, heard: QoSProfile) -> bool:
    """Whether somebody publishes a topic, by its full name, whom a subscription in `heard` does not receive."""
    return bool(_incompatible(node, topic, heard))


def unheard(node: Node, topics: Iterable[Topic]) -> str:
    """Publishers whom a node listens to and cannot hear, with the reason; empty where there is none."""
    return "; ".join(
        f"{topic.name} of {name} cannot be heard ({why})"
        for topic in topics
        for name, why in _incompatible(node, node.resolve_topic_name(topic.name), topic.heard)
    )


class IncompatibleMessages:
    """Serialised messages of one topic that a subscription does not receive, looked for, each once."""

    def __init__(self, beside: Node, name: str, kind: type, topic: str, heard: QoSProfile) -> None:
        """Begin to listen.

        Args:
          beside: The node that looks for them.
          name: Of the node that listens.
          kind: Type of the messages.
          topic: Full name.
          heard: Of the subscription that receives the others.
        """
        self._node, self._kind = silent_node(beside, name), kind
        self._compatible = self._node.create_subscription(kind, topic, nobody, heard, raw=True)
        self._all = self._node.create_subscription(kind, topic, nobody, qos.BEST_EFFORT_RECORD, raw=True)
        self._received = Marks()
        self._waiting: deque[Numbered] = deque()

    def look(self, now_ns: int) -> list[Numbered]:
        """Messages found long enough before steady time `now_ns` to know that they come by no other way."""
        for one in take(self._compatible, self._kind, now_ns, raw=True):
            self._received.add(one.mark)
        self._waiting.extend(take(self._all, self._kind, now_ns, raw=True))
        settled = []
        while self._waiting and now_ns - self._waiting[0].found_ns >= SETTLING_NS:
            one = self._waiting.popleft()
            if one.mark not in self._received:
                settled.append(one)
        return settled

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_node()
