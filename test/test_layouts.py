# SPDX-License-Identifier: Apache-2.0
"""The layouts for RViz, Foxglove and PlotJuggler: in each tool's own format, of topics and fields that there are.

None of the three tools runs here. What they would say of a file is taken from elsewhere: Foxglove's panels and their
settings from its SDK, RViz's and PlotJuggler's from the files that these tools ship and write.
"""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.message_types import type_store
from safe_transfer_ros.cli.run import OURS, pick_graph
from safe_transfer_ros.launching.graph import read_parameters
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.safety.reasons import Mode
from safe_transfer_ros.tasks.deployment import in_graph

ROOT = Path(__file__).resolve().parents[1]
TOPICS = {f"/{topic.name}": topic for topic in topics.TOPICS}
FOXGLOVE = json.loads((ROOT / "foxglove/safe_transfer.json").read_text(encoding="utf-8"))
PLOTJUGGLER = ElementTree.parse(ROOT / "plotjuggler/safe_transfer.xml").getroot()
JOINTS = 7


def has_number(path: str, separator: str) -> bool:
    """Whether a path, a topic and then fields behind `separator`, leads to numbers, by the definition in a bag."""
    name = max((name for name in TOPICS if path.startswith(f"{name}{separator}")), key=len, default="")
    if not name or not TOPICS[name].recorded:
        return False
    definition = MessageDefinitions().find(TOPICS[name].type_name)
    fields = type_store("ros2msg", definition.type_name, definition.text.encode()).fielddefs
    kind = definition.type_name
    for part in path[len(name) + 1 :].split(separator):
        field, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", part).groups()
        found = dict(fields[kind][1]).get(field)
        if found is None or (index is not None and int(index) >= JOINTS):
            return False
        node, details = found
        is_array = node.name in ("ARRAY", "SEQUENCE")
        if is_array != (index is not None):
            return False
        node, details = details[0] if is_array else (node, details)
        if node.name == "BASE":
            return details[0] not in ("string", "wstring")
        kind = details
    return False


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/safety_filter/decision.torque_limit", True),
        ("/safety_filter/decision.applied_effort[6]", True),
        ("/safety_filter/decision.header.stamp.sec", True),
        ("/safety_filter/decision.applied_effort", False),
        ("/safety_filter/decision.applied_effort[7]", False),
        ("/safety_filter/decision.torque_limit[0]", False),
        ("/safety_filter/decision.joint_names[0]", False),
        ("/safety_filter/decision.limit", False),
        ("/safety_filter/decisions.torque_limit", False),
        ("/clock.clock.sec", False),  # not recorded
    ],
)
def test_a_path_is_judged_rightly(path: str, there: bool) -> None:
    assert has_number(path, ".") == there


# RViz ----------------------------------------------------------------------------------------------------------------

# Class -> what it shows, and where it says of which topic.
RVIZ_DISPLAYS = {
    "rviz_default_plugins/Grid": None,
    "rviz_default_plugins/RobotModel": ("Description Topic", topics.ROBOT_DESCRIPTION),
    "rviz_default_plugins/TF": None,  # of /tf and /tf_static
    "rviz_default_plugins/MarkerArray": ("Topic", topics.MARKERS),
}


def rviz(graph: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"rviz/{graph}.rviz").read_text(encoding="utf-8"))


def test_every_graph_has_an_rviz_layout() -> None:
    assert {path.stem for path in (ROOT / "rviz").iterdir()} == set(OURS)


@pytest.mark.parametrize("graph", OURS)
def test_rviz_shows_the_robot_of_the_graph_and_what_the_stack_knows(graph: str) -> None:
    layout = rviz(graph)
    assert set(layout) == {"Panels", "Visualization Manager"}
    manager = layout["Visualization Manager"]
    assert set(manager) == {"Class", "Displays", "Enabled", "Global Options", "Name", "Tools", "Value", "Views"}
    configured = read_parameters(pick_graph(graph).configuration)[SHARED]
    assert manager["Global Options"]["Fixed Frame"] == in_graph(configured["task"]).task.robot.base_link
    assert [display["Class"] for display in manager["Displays"]] == list(RVIZ_DISPLAYS)
    for display in manager["Displays"]:
        assert display["Enabled"] is display["Value"] and display["Name"]
        shown = RVIZ_DISPLAYS[display["Class"]]
        if shown is not None:
            heard, topic = display[shown[0]], shown[1]
            assert heard["Value"] == f"/{topic.name}"
            latched = topic.offered.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
            assert heard["Durability Policy"] == ("Transient Local" if latched else "Volatile")
            assert heard["Reliability Policy"] == "Reliable"
            assert topic.offered.reliability == QoSReliabilityPolicy.RELIABLE
    classes = [tool["Class"] for tool in manager["Tools"]]
    assert not {name for name in classes if re.search("Goal|Pose|Publish", name)}, "nothing here sends an arm anywhere"


# Foxglove ------------------------------------------------------------------------------------------------------------

# A panel's name in a layout file, and its class in the SDK.
FOXGLOVE_PANELS = {
    "3D": "ThreeDeePanel",
    "DiagnosticSummary": "DiagnosticsSummaryPanel",
    "Indicator": "IndicatorPanel",
    "Plot": "PlotPanel",
    "StateTransitions": "StateTransitionsPanel",
}


def keys(value: Any) -> set[str]:
    """Names that a class of the SDK writes into a layout."""
    fields = {field.name: None for field in dataclasses.fields(value) if field.default is dataclasses.MISSING}
    return set(value(**fields)._to_dict())


def split(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
        return
    assert set(node) == {"direction", "splitPercentage", "first", "second"}
    assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
    yield from split(node["first"])
    yield from split(node["second"])


def test_foxglove_knows_every_panel_and_every_setting() -> None:
    sdk = pytest.importorskip("foxglove.layouts", reason="the extra foxglove is not installed")
    assert set(FOXGLOVE) == {"configById", "globalVariables", "userNodes", "playbackConfig", "layout"}
    panels = FOXGLOVE["configById"]
    assert sorted(split(FOXGLOVE["layout"])) == sorted(panels), "each is shown once"
    for name, config in panels.items():
        panel = getattr(sdk, FOXGLOVE_PANELS[name.split("!")[0]])
        known = set(panel()._to_dict()["config"]._to_dict()) | {"title"}
        assert set(config) <= known, name
    scene = panels["3D!scene"]
    assert set(scene["cameraState"]) <= keys(sdk.ThreeDeeCameraState)
    assert set(scene["scene"]) <= keys(sdk.BaseRendererSceneSettings)
    assert set(scene["scene"]["transforms"]) <= keys(sdk.BaseRendererTransforms)
    for layer in scene["layers"].values():
        assert set(layer) <= keys(sdk.BaseRendererGridLayerSettings) and layer["layerId"] == "foxglove.Grid"
    for rule in panels["Indicator!mode"]["rules"]:
        assert set(rule) == keys(sdk.IndicatorRule)
    series = {"Plot": sdk.PlotSeries, "StateTransitions": sdk.StateTransitionsSeries}
    for name, config in panels.items():
        for path in config.get("paths", []):
            assert set(path) <= keys(series[name.split("!")[0]])


def test_foxglove_shows_topics_and_fields_that_there_are() -> None:
    panels = FOXGLOVE["configById"]
    assert set(panels["3D!scene"]["topics"]) == {f"/{topics.ROBOT_DESCRIPTION.name}", f"/{topics.MARKERS.name}"}
    assert panels["DiagnosticSummary!nodes"]["topicToRender"] == f"/{topics.DIAGNOSTICS.name}"
    paths = [path["value"] for config in panels.values() for path in config.get("paths", [])]
    paths.append(panels["Indicator!mode"]["path"])
    assert len(paths) > 15 and all(has_number(path, ".") for path in paths)


def test_foxglove_calls_the_modes_by_their_names() -> None:
    rules = FOXGLOVE["configById"]["Indicator!mode"]["rules"]
    assert {rule["label"]: int(rule["rawValue"]) for rule in rules} == {mode.name: int(mode) for mode in Mode}


# PlotJuggler ---------------------------------------------------------------------------------------------------------


def test_plotjuggler_reads_the_structure() -> None:
    assert PLOTJUGGLER.tag == "root"
    children = ["tabbed_widget", "use_relative_time_offset", "Plugins", "customMathEquations", "snippets"]
    assert [child.tag for child in PLOTJUGGLER] == children
    tabs = PLOTJUGGLER.findall("tabbed_widget/Tab")
    assert len(tabs) == 3 and 0 <= int(PLOTJUGGLER.find("tabbed_widget/currentTabIndex").get("index")) < len(tabs)
    for tab in tabs:
        assert int(tab.get("containers")) == len(tab.findall("Container"))
        for splitter in tab.findall("Container/DockSplitter"):
            areas, sizes = splitter.findall("DockArea"), [float(size) for size in splitter.get("sizes").split(";")]
            assert int(splitter.get("count")) == len(areas) == len(sizes) and sum(sizes) == pytest.approx(1.0, abs=1e-3)
            for area in areas:
                [plot] = area
                assert plot.tag == "plot" and plot.get("mode") == "TimeSeries" and plot.get("style") == "Lines"
                assert {child.tag for child in plot} == {"range", "limitY", "curve"}
                assert set(plot.find("range").keys()) == {"left", "right", "bottom", "top"}


def test_plotjuggler_shows_topics_and_fields_that_there_are() -> None:
    curves = PLOTJUGGLER.findall(".//curve")
    assert len(curves) > 20 and all(has_number(curve.get("name"), "/") for curve in curves)
    assert all(re.fullmatch("#[0-9a-f]{6}", curve.get("color")) for curve in curves)
