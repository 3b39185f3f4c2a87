# SPDX-License-Identifier: Apache-2.0
"""Publishers of a topic that only one node may publish.

A message does not say who sent it, so where two publish, none can be believed. Publishers are counted where they are
used: what one node has discovered, another may not have.
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

_UNKNOWN = "_NODE_NAME_UNKNOWN_"  # rmw's word for it: an endpoint may be discovered before its node


def second_publisher(node: Node, topic: str) -> str | None:
    """Reason why messages of a topic must not be trusted now; None where one node at most publishes it.

    Args:
      node: That listens.
      topic: As it was subscribed to.
    """
    count = node.count_publishers(topic)
    return f"{topic} has {count} publishers, expected one: {publishers(node, topic)}" if count > 1 else None


def name_of(info: TopicEndpointInfo, *, full: bool = True) -> str:
    """Name of an endpoint's node, with its namespace or without; in words where the node is not discovered yet."""
    if info.node_name == _UNKNOWN:
        return "a node not known by name yet"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}" if full else str(info.node_name)


def publishers(node: Node, topic: str) -> str:
    """Names of the publishers of a topic, a few at most."""
    infos = node.get_publishers_info_by_topic(_resolved(node, topic))
    names = sorted(name_of(info, full=False) for info in infos)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def publisher_names(node: Node, topic: str) -> set[str]:
    """Names of the nodes that publish a topic now."""
    return {info.node_name for info in node.get_publishers_info_by_topic(_resolved(node, topic))}


def identities(node: Node, topic: str) -> frozenset[tuple[int, ...]]:
    """Identities of the current publishers of a topic."""
    infos = node.get_publishers_info_by_topic(_resolved(node, topic))
    return frozenset(tuple(info.endpoint_gid) for info in infos)


def _resolved(node: Node, topic: str) -> str:
    return node.resolve_topic_name(topic)
