# SPDX-License-Identifier: Apache-2.0
"""Graphs in namespaces: two arms share a ROS domain, each with its own filter, parameters, topics and bag."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import graph_runs
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, TorqueLimit

from safe_transfer_ros.bags.graph import namespace
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching import domain, pr2_cup_swirl
from safe_transfer_ros.launching.embedded import Launcher, child_environment
from safe_transfer_ros.launching.graph import Process, complete, write_parameters
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.record.continuity import gaps
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import recompute
from safe_transfer_ros.safety.reasons import Reason

pytestmark = pytest.mark.timeout(300)
ARMS = ("/left", "/right")
FILTER = {"e_stop_lease": 5.0, "permission_lease": 0.7, "torque_rate_limit": 500.0}


@pytest.fixture(autouse=True)
def free_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)


@pytest.fixture
def claimed() -> domain.Domain:
    return domain.claim()


@pytest.fixture
def observer(claimed: domain.Domain) -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    node = Node("observer", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def until(node: Node, condition: Any, what: str, seconds: float = 60.0) -> None:
    executor = SingleThreadedExecutor(context=node.context)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        rclpy.spin_once(node, executor=executor, timeout_sec=0.05)


def test_a_domain_that_is_named_is_shared_by_namespaces_and_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    left = domain.claim(namespace="/left")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(left.number))
    right = domain.claim(namespace="/right")
    nested = domain.claim(namespace="/left/arm")
    assert {left.number, right.number, nested.number} == {left.number}
    with pytest.raises(ConfigurationError, match=rf"namespace /left of ROS domain {left.number} is in use"):
        domain.claim(namespace="/left")
    here = [run.namespace for run in domain.running() if run.number == left.number]
    assert here == ["/left", "/left/arm", "/right"]
    monkeypatch.delenv("ROS_DOMAIN_ID")
    assert domain.claim().number != left.number, "who names no domain gets one for himself"


def test_two_arms_fine_tune_in_one_domain(tmp_path: Path, claimed: domain.Domain) -> None:
    """Each run is whole, and its bag tells the same numbers as if it had been alone."""
    with ExitStack() as stack:
        launchers = []
        for arm in ARMS:
            given = {"run_dir": str(tmp_path / arm[1:]), "namespace": arm, "iterations": "1"}
            plan = pr2_cup_swirl.GRAPH.plan(given | {"trainer.episodes_per_iteration": "1"})
            launcher = Launcher(plan.processes, plan.parameters_file, claimed, plan.log_dir, namespace=plan.namespace)
            launchers.append(stack.enter_context(launcher))
        # Not `any`: each launcher is to be asked, so that a process that failed is told of.
        graph_runs.wait_for(lambda: not sum([launcher.running() for launcher in launchers]), 200.0, "both runs")
    rows = []
    for arm in ARMS:
        bag = Bag(tmp_path / arm[1:] / "bag")
        assert {summary.topic.split("/")[1] for summary in bag.summary()} == {arm[1:]}
        assert namespace(bag) == arm and gaps(bag) == []
        again = recompute(bag)
        [row] = read(tmp_path / arm[1:] / "iterations.csv")
        rows.append(row.as_dict() | {"wall_time_s": 0.0})
        assert [record.as_dict() | {"wall_time_s": 0.0} for record in again.records] == [rows[-1]]
    assert rows[0] == rows[1], "the same seed: the other arm has changed nothing"


def test_a_second_publisher_stops_the_arm_it_speaks_to_and_no_other(
    tmp_path: Path, claimed: domain.Domain, observer: Node
) -> None:
    """The filters have what their file says, in whatever namespace; their exclusive topics are their own."""
    file = tmp_path / "parameters.yaml"
    write_parameters(complete({SHARED: {"timing": "realtime"}, "safety_filter": FILTER}), file)
    status: dict[str, FilterStatus] = {}
    one: Any = Process(node="safety_filter")
    with ExitStack() as stack:
        for arm in ARMS:
            stack.enter_context(Launcher((one,), file, claimed, tmp_path / arm[1:], namespace=arm))
            name = f"{arm}/{topics.FILTER_STATUS.name}"
            observer.create_subscription(
                FilterStatus, name, lambda said, arm=arm: status.__setitem__(arm, said), topics.FILTER_STATUS.heard
            )
        for arm in ARMS:
            client = observer.create_client(GetParameters, f"{arm}/safety_filter/get_parameters")
            until(observer, client.service_is_ready, f"the filter of {arm}")
            asked = client.call_async(GetParameters.Request(names=list(FILTER)))
            until(observer, asked.done, "its parameters")
            assert [value.double_value for value in asked.result().values] == list(FILTER.values())
        until(observer, lambda: len(status) == 2, "both filters")
        for _ in range(2):
            observer.create_publisher(PolicyAction, f"/left/{topics.PROPOSALS.name}", topics.PROPOSALS.offered)
        right = observer.create_publisher(PolicyAction, f"/right/{topics.PROPOSALS.name}", topics.PROPOSALS.offered)
        until(observer, lambda: Reason(status["/left"].cause) & Reason.SECOND_PUBLISHER, "the left arm being stopped")
        until(observer, lambda: right.get_subscription_count() == 1, "the right one's policy being heard")
        told: list[str] = []

        def on_diagnostics(message: DiagnosticArray) -> None:
            told.extend(value.value for one in message.status for value in one.values if value.key == "mode")

        observer.create_subscription(DiagnosticArray, f"/right/{topics.DIAGNOSTICS.name}", on_diagnostics, 10)
        until(observer, lambda: len(told) == 3, "two seconds of the right one")
        assert told == ["DISARMED"] * 3 and status["/right"].mode == 0 and status["/right"].cause == 0


@pytest.mark.parametrize(
    ("section", "arguments", "message"),
    [
        ("safety_filter", ("-r", "__ns:=/left"), "no section for /left/safety_filter in .*, which has /safety_filter"),
        ("/**/safety_filtre", (), "no section for /safety_filter in"),
        ("/right/safety_filter", ("-r", "__ns:=/left"), "write it as /\\*\\*/safety_filter"),
        ("/**/safety_filter", ("-r", "__node:=guard"), "no section for /guard in"),
    ],
)
def test_a_node_without_a_section_of_its_own_refuses_to_start(
    tmp_path: Path, claimed: domain.Domain, section: str, arguments: tuple[str, ...], message: str
) -> None:
    """ROS would run it on the defaults, where a lost permission or a silent stop button stops nothing."""
    file = tmp_path / "parameters.yaml"
    file.write_text(
        "/**:\n  ros__parameters: {timing: realtime}\n" + f"{section}:\n  ros__parameters: {{permission_lease: 0.1}}\n"
    )
    command = [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", "--params-file", str(file)]
    done = subprocess.run(
        [*command, *arguments],
        env=child_environment(claimed.number) | {"SAFE_TRANSFER_LAUNCHER_PID": str(os.getpid())},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("safety_filter: ")]
    assert re.search(message, line), line


def test_what_is_for_every_node_is_enough_where_nothing_is_by_name(
    tmp_path: Path, claimed: domain.Domain, observer: Node
) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text("/**:\n  ros__parameters: {timing: realtime}\n")
    one: Any = Process(node="unsafety_monitor")
    limits: list[TorqueLimit] = []
    name = f"/left/{topics.TORQUE_LIMIT.name}"
    observer.create_subscription(TorqueLimit, name, limits.append, topics.TORQUE_LIMIT.heard)
    with Launcher((one,), file, claimed, tmp_path, namespace="/left") as launcher:
        # `running` raises where it has refused to start.
        until(observer, lambda: launcher.running() and bool(limits), "the monitor's limit")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("use_sim_tim:=true", "unknown parameter 'use_sim_tim'; did you mean 'use_sim_time'?"),
        ("permission_leas:=0.1", "did you mean 'permission_lease'?"),
        ("permission_lease:=0.0", "write off instead of 0"),
    ],
)
def test_a_mistyped_parameter_is_refused_with_the_one_that_was_meant(
    claimed: domain.Domain, word: str, expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", "-p", word],
        env=child_environment(claimed.number),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and expected in done.stderr
