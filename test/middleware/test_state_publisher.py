# SPDX-License-Identifier: Apache-2.0
"""A late listener of a state gets the newest, once; the recorder gets all of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import graph_runs
import pytest
from listener_bench import alone
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import String

from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.state_publisher import StatePublisher

ECHO = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)  # as `ros2 topic echo` asks for it
NODES = Path(__file__).parents[2] / "safe_transfer_ros"


@pytest.fixture
def node() -> Iterator[Node]:
    with alone("state") as node:
        yield node


STATE = dataclasses.replace(topics.FILTER_STATUS, name="status", kind=String)


def spin(node: Node) -> Callable[[], None]:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    return lambda: executor.spin_once(timeout_sec=0.005)


def test_a_late_listener_gets_the_newest_only_and_a_late_recorder_all(node: Node) -> None:
    publisher = StatePublisher(node, STATE)
    for number in range(20):
        publisher.publish(String(data=str(number)))
    late: list[str] = []
    all_of_it: list[str] = []
    node.create_subscription(String, "status", lambda message: late.append(message.data), ECHO)
    recorder = QoSProfile(depth=1000, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(String, STATE.history.name, lambda message: all_of_it.append(message.data), recorder)
    once = spin(node)

    def heard() -> bool:
        once()
        return bool(late) and len(all_of_it) == 20

    graph_runs.wait_for(heard, 30, "both having heard")
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        once()
    assert late == ["19"]
    assert all_of_it == [str(number) for number in range(20)]


def test_no_latched_topic_keeps_more_than_its_newest_state() -> None:
    """But for histories, which nobody but the recorder asks for."""
    latched = [topic for topic in topics.TOPICS if topic.offered.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL]
    assert len(latched) > 5 and {topic.offered.depth for topic in latched} == {1}
    deep = [
        f"{file.name}: {line.strip()}"
        for file in NODES.rglob("*.py")
        for line in file.read_text().splitlines()
        if "create_publisher(" in line and "LATCHED_RECORD" in line
    ]
    assert not deep
