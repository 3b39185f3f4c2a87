# SPDX-License-Identifier: Apache-2.0
"""Nothing moves before all required subscribers are connected: a run's record has its beginning."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import graph_runs
import pytest
import rclpy
from listener_bench import own_domain
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray

from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.launching import domain, pr2_cup_swirl
from safe_transfer_ros.launching.embedded import child_environment
from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.parameters.experiment import ExperimentParameters

# In the graph of a simulated task without an object.
LISTENING = {
    (topic.history if topic.has_history else topic).name: set(topic.must_hear) - {"franka_robot"}
    for topic in topics.TOPICS
    if topic.must_hear and topic is not topics.OBJECT_POSE
}
COMMANDS = topics.commands("controller")


@pytest.fixture
def context() -> Iterator[Context]:
    with own_domain() as context:
        yield context


@pytest.fixture
def join(context: Context) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []

    def create(name: str, listen: QoSProfile | None = None, namespace: str = "") -> Node:
        node = Node(name, context=context, namespace=namespace)
        nodes.append(node)
        if listen is not None:
            node.create_subscription(Float64MultiArray, "/controller/commands", lambda message: None, listen)
        return node

    yield create
    for node in nodes:
        node.destroy_node()


def says(listeners: Listeners, node: Node, expected: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    executor = SingleThreadedExecutor(context=node.context)
    while listeners.missing() != expected:
        assert time.monotonic() < deadline, f"still: {listeners.missing()!r}"
        rclpy.spin_once(node, executor=executor, timeout_sec=0.02)


def spin_for(node: Node, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    executor = SingleThreadedExecutor(context=node.context)
    while time.monotonic() < deadline:
        rclpy.spin_once(node, executor=executor, timeout_sec=0.02)


def test_those_who_must_hear_are_waited_for_by_name(join: Callable[..., Node]) -> None:
    node = join("safety_filter")
    publisher = node.create_publisher(Float64MultiArray, "controller/commands", qos.STREAM)
    graph = ("safety_filter", "bag_recorder", "mujoco_sim", "trainer")
    listeners = Listeners(node, publisher, COMMANDS, graph)
    alone = Listeners(node, publisher, COMMANDS, ())
    assert alone.missing() == ""
    join("somebody", listen=qos.STREAM)
    join("bag_recorder_of_another_kind", listen=qos.STREAM)
    says(listeners, node, "bag_recorder and mujoco_sim not listening to controller/commands yet")
    join("bag_recorder", listen=qos.RECORD, namespace="/right")  # of another arm's graph
    join("mujoco_sim", listen=qos.STREAM)
    says(listeners, node, "bag_recorder not listening to controller/commands yet")
    join("viewer", listen=qos.LATCHED)  # never gets anything from a volatile publisher, and must not be waited for
    recorder = join("bag_recorder", listen=qos.RECORD)
    says(listeners, node, "")
    assert publisher.get_subscription_count() == 5
    recorder.destroy_node()
    assert listeners.missing() == "", "who leaves later is the launcher's to notice"


def test_a_list_of_nodes_that_is_none_is_refused() -> None:
    assert build(ExperimentParameters, {"graph": "a, b"}, where="x").nodes == ("a", "b")
    for graph in ("a,,b", "a,b,a", ","):
        with pytest.raises(ConfigurationError, match="graph must be"):
            build(ExperimentParameters, {"graph": graph}, where="x")


@pytest.mark.parametrize("late", ["bag_recorder", "safety_filter"])
def test_a_run_begins_only_when_the_last_one_listens(tmp_path: Path, late: str) -> None:
    given = {"run_dir": str(tmp_path / "run"), "iterations": "1", "trainer.episodes_per_iteration": "1"}
    plan = pr2_cup_swirl.GRAPH.plan(given)
    claimed = domain.claim()
    started: dict[str, subprocess.Popen[bytes]] = {}

    def start(node: str) -> None:
        command = [sys.executable, "-m", f"safe_transfer_ros.nodes.{node}", "--ros-args", "--params-file"]
        environment = child_environment(claimed.number)
        started[node] = subprocess.Popen([*command, str(plan.parameters_file)], env=environment)

    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    observer, limits = Node("observer", context=context), []
    topics.TORQUE_LIMIT.listen(observer, limits.append)

    def listening(topic: str) -> set[str]:
        return {endpoint.node_name for endpoint in observer.get_subscriptions_info_by_topic(f"/{topic}")}

    try:
        for process in plan.processes:
            if process.node != late:
                start(process.node)
        others = {topic: nodes - {late} for topic, nodes in LISTENING.items()}
        others[topics.TORQUE_LIMIT.name] |= {"observer"}
        graph_runs.wait_for(
            lambda: all(listening(topic) == nodes for topic, nodes in others.items()), 60.0, f"all but {late}"
        )
        time.sleep(2.0)  # enough to have run the whole episode, had they not waited
        spin_for(observer, 0.5)
        assert not limits, "who is not there yet has no way to hear the first limit"
        start(late)
        assert started["trainer"].wait(timeout=60) == 0
        spin_for(observer, 0.5)
        assert limits
        stay = {topic: nodes - {"trainer"} for topic, nodes in LISTENING.items()}
        stay[topics.TORQUE_LIMIT.name] |= {"observer"}
        graph_runs.wait_for(
            lambda: all(listening(topic) - {"trainer"} == nodes for topic, nodes in stay.items()), 20.0, "all seen"
        )
    finally:
        for node in reversed(started):
            started[node].terminate()
        for node in started.values():
            node.wait(timeout=20)
        observer.destroy_node()
        context.try_shutdown()
    bag = Bag(tmp_path / "run" / "bag")
    messages = [(topic, message) for topic, message, _ in bag.messages()]
    steps = [message.step for topic, message in messages if topic == "/safety_filter/decision"]
    states = [to_ns(message.header.stamp) for topic, message in messages if topic == "/joint_states"]
    proposed = [to_ns(message.header.stamp) for topic, message in messages if topic == "/policy_server/action"]
    assert steps == list(range(201))
    assert states[:3] == proposed[:3] and len(proposed) == 201
