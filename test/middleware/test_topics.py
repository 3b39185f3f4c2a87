# SPDX-License-Identifier: Apache-2.0
"""The table of topics: what other programs rely on stands as it is, and no second list of topics stands beside it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from rclpy.qos import QoSCompatibility, QoSDurabilityPolicy, QoSReliabilityPolicy, qos_check_compatible

import safe_transfer_ros
from safe_transfer_ros import topic_names
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.parameters import sections

PACKAGE = Path(safe_transfer_ros.__file__).parent
# A rename breaks recorded bags and other people's nodes: it is a breaking change, see CHANGELOG.md.
WIRE = {
    "camera/image": "sensor_msgs/msg/Image",
    "clock": "rosgraph_msgs/msg/Clock",
    "controller_supervisor/permission": "std_msgs/msg/Bool",
    "controller_supervisor/status": "diagnostic_msgs/msg/DiagnosticStatus",
    "franka_joint_states": "safe_transfer_msgs/msg/FrankaState",
    "franka_robot/status": "diagnostic_msgs/msg/DiagnosticStatus",
    "diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
    "effort_controller/commands": "std_msgs/msg/Float64MultiArray",
    "episode_reset/action": "safe_transfer_msgs/msg/PolicyAction",
    "joint_states": "sensor_msgs/msg/JointState",
    "object_pose": "geometry_msgs/msg/PoseStamped",
    "outside_policy/action": "safe_transfer_msgs/msg/PolicyAction",
    "outside_policy/chunk": "safe_transfer_msgs/msg/ActionChunk",
    "policy_server/action": "safe_transfer_msgs/msg/PolicyAction",
    "policy_server/policy_status": "safe_transfer_msgs/msg/PolicyStatus",
    "robot_description": "std_msgs/msg/String",
    "safety_filter/decision": "safe_transfer_msgs/msg/SafetyDecision",
    "safety_filter/e_stop": "std_msgs/msg/Bool",
    "safety_filter/status": "safe_transfer_msgs/msg/FilterStatus",
    "tf": "tf2_msgs/msg/TFMessage",
    "tf_static": "tf2_msgs/msg/TFMessage",
    "trainer/critic_weights": "safe_transfer_msgs/msg/CriticWeights",
    "trainer/policy_weights": "safe_transfer_msgs/msg/PolicyWeights",
    "trainer/run_config": "std_msgs/msg/String",
    "unsafety_monitor/estimate": "safe_transfer_msgs/msg/UnsafetyEstimate",
    "unsafety_monitor/torque_limit": "safe_transfer_msgs/msg/TorqueLimit",
    "visualizer/markers": "visualization_msgs/msg/MarkerArray",
}
# Words that are no topics: a key of a mapping file, what a step calls the description.
NO_TOPICS = {
    ("recording_map.py", "joint_states"),
    ("at_rest.py", "robot_description"),
    *((file, "object_pose") for file in ("decisions.py", "transitions.py", "episode.py")),  # a decision's field
    *((file, "object_pose") for file in ("api.py", "environment.py")),  # of an environment's info
}
NOT_RECORDED = {"clock", "controller_supervisor/permission"}


def test_names_and_types_are_what_others_rely_on() -> None:
    assert {topic.name: topic.type_name for topic in topics.TOPICS} == WIRE
    assert {topic.name for topic in topics.TOPICS if not topic.recorded} == NOT_RECORDED


@pytest.mark.parametrize("topic", topics.TOPICS, ids=lambda topic: topic.name)
def test_who_listens_as_the_table_says_hears_who_publishes_as_it_says(topic: topics.Topic) -> None:
    listening = [topic.heard, topic.recording] if topic.recorded else [topic.heard]
    for profile in listening:
        assert qos_check_compatible(topic.offered, profile)[0] != QoSCompatibility.ERROR


def test_nothing_that_moves_an_arm_is_latched() -> None:
    for topic in (
        topics.JOINT_STATES,
        topics.OBJECT_POSE,
        topics.PROPOSALS,
        topics.RESET_PROPOSALS,
        topics.COMMANDS,
        topics.OUTSIDE_ACTION,
        topics.OUTSIDE_CHUNK,
        topics.CAMERA_IMAGE,
    ):
        for profile in (topic.offered, topic.heard):
            assert profile.durability == QoSDurabilityPolicy.VOLATILE, topic.name
    assert topics.PERMISSION.offered.reliability == QoSReliabilityPolicy.BEST_EFFORT, "a killed listener holds it up"


def test_who_must_hear_is_a_node_that_there_is() -> None:
    for topic in topics.TOPICS:
        assert set(topic.must_hear) <= set(sections.NODES), topic.name


def test_what_a_run_is_told_by_is_recorded_before_it_is_published() -> None:
    """A publisher that leaves takes along what it latched for those it was not yet connected to."""
    of_the_run = {"trainer", "policy_server", "unsafety_monitor", "safety_filter"}
    for topic in topics.TOPICS:
        if topic.recorded and topic.publisher in of_the_run:
            assert "bag_recorder" in topic.must_hear, topic.name


def test_the_commands_go_by_the_controllers_name() -> None:
    assert topics.commands("arm").name == "arm/commands" and topics.commands("arm").kind is topics.COMMANDS.kind
    named = {topic.name for topic in topics.of_controller("arm")}
    assert named == set(WIRE) - {"effort_controller/commands"} | {"arm/commands"}


def test_the_package_names_a_topic_in_one_place_only() -> None:
    known = set(WIRE) | {f"/{name}" for name in WIRE}
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name == "topic_names.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and node.value in known:
                assert (file.name, node.value) in NO_TOPICS, (
                    f"{file}:{node.lineno} says '{node.value}': take it from topic_names or middleware/topics"
                )


def test_a_bag_has_the_whole_name() -> None:
    assert topic_names.in_bag(topic_names.JOINT_STATES) == "/joint_states"
    assert topic_names.in_bag(topic_names.JOINT_STATES, "/left") == "/left/joint_states"
