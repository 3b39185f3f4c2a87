# SPDX-License-Identifier: Apache-2.0
"""Lines of /diagnostics: what a node says of itself, and that config/diagnostics.yaml has a place for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from listener_bench import alone
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from safe_transfer_ros.launching import fine_tuning
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.diagnostics import NAMES, Diagnostics, Health
from safe_transfer_ros.parameters import sections

FILE = Path(__file__).resolve().parents[2] / "config" / "diagnostics.yaml"


def analyzers(level: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every GenericAnalyzer of the file, in the layout of diagnostic_aggregator's own example."""
    for analyzer in level.values():
        kind = analyzer["type"].removeprefix("diagnostic_aggregator/")
        here = (*path, analyzer["path"])
        if kind == "AnalyzerGroup":
            assert set(analyzer) == {"type", "path", "analyzers"}
            yield from analyzers(analyzer["analyzers"], here)
        else:
            assert kind == "GenericAnalyzer" and set(analyzer) == {"type", "path", "startswith", "timeout"}
            yield here, analyzer


def test_every_line_has_one_place_in_the_aggregators_file() -> None:
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert set(content) == {"analyzers"}, "the name of diagnostic_aggregator's node"
    parameters = content["analyzers"]["ros__parameters"]
    found = list(analyzers({name: each for name, each in parameters.items() if name not in ("path", "pub_rate")}))
    assert len({path for path, _ in found}) == len(found) > 5
    for name in NAMES:
        places = [path for path, analyzer in found if any(name.startswith(start) for start in analyzer["startswith"])]
        assert len(places) == 1, name
    wanted = {start for _, analyzer in found for start in analyzer["startswith"]}
    assert wanted == set(NAMES), "and none waits for what nobody says"


@pytest.mark.parametrize("robot", ["sim", "hardware", "franka"])
def test_every_node_whose_end_stops_a_run_has_a_line(robot: str) -> None:
    processes = fine_tuning._processes(robot, record=True, visualize=True)
    assert {process.node for process in processes if not process.optional} <= set(NAMES) < set(sections.NODES)
    assert [process.node for process in processes if process.optional] == ["visualizer"]


@pytest.fixture
def node() -> Iterator[Node]:
    with alone("trainer") as node:
        yield node


def test_a_node_tells_its_state_each_second_and_when_it_is_asked(node: Node) -> None:
    told = [
        Health(message="fine", values={"iteration": "3"}),
        Health(message="look", attention=True),
        Health(message="broken", attention=True, failed=True),
    ]
    states = chain(told, repeat(told[-1]))
    heard: list[DiagnosticArray] = []
    topics.DIAGNOSTICS.listen(node, heard.append)
    diagnostics = Diagnostics(node, "panda", lambda: next(states))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    while not heard:  # by itself, as nobody has asked
        executor.spin_once(timeout_sec=1.0)
    for count in (2, 3):
        diagnostics.tell()
        while len(heard) < count:
            executor.spin_once(timeout_sec=1.0)
    lines = [message.status[0] for message in heard[:3]]
    assert [line.level for line in lines] == [DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR]
    assert [line.message for line in lines] == ["fine", "look", "broken"]
    assert {(line.name, line.hardware_id) for line in lines} == {("trainer", "panda")}
    assert [(pair.key, pair.value) for pair in lines[0].values] == [("iteration", "3")]
    assert heard[0].header.stamp.sec > 0
