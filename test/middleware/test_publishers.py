# SPDX-License-Identifier: Apache-2.0
"""Names of those who publish, also of one whose node is not discovered yet."""

from __future__ import annotations

import pytest
from rclpy.topic_endpoint_info import TopicEndpointInfo

from safe_transfer_ros.middleware.publishers import name_of


@pytest.mark.parametrize(
    ("name", "namespace", "full", "short"),
    [
        ("safety_filter", "/", "/safety_filter", "safety_filter"),
        ("safety_filter", "/left", "/left/safety_filter", "safety_filter"),
        ("_NODE_NAME_UNKNOWN_", "_NODE_NAMESPACE_UNKNOWN_", *2 * ("a node not known by name yet",)),
    ],
)
def test_an_endpoint_is_named_by_its_node(name: str, namespace: str, full: str, short: str) -> None:
    info = TopicEndpointInfo(node_name=name, node_namespace=namespace)
    assert (name_of(info), name_of(info, full=False)) == (full, short)
