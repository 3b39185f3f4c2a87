# SPDX-License-Identifier: Apache-2.0
"""The visualizer alone: what it publishes of what it hears, and what it leaves to others."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import graph_runs
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision
from sensor_msgs.msg import JointState
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.link_tree import LinkTree

ROBOT = load("pr2_left_arm")


class Scene:
    """A stand-in for the graph, and a viewer of what the visualizer makes of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._executor = SingleThreadedExecutor(context=context)
        self.node = self.join("graph")
        self.states = topics.JOINT_STATES.advertise(self.node)
        self.decisions = topics.DECISIONS.advertise(self.node)
        self.status = topics.FILTER_STATUS.advertise(self.node)
        self.moving: list[TFMessage] = []
        self.fixed: list[TFMessage] = []
        self.pictures: list[MarkerArray] = []
        for topic, heard in ((topics.TF, self.moving), (topics.TF_STATIC, self.fixed), (topics.MARKERS, self.pictures)):
            topic.listen(self.node, heard.append)
        self._seconds = 0

    def close(self) -> None:
        for node in self._executor.get_nodes():
            node.destroy_node()

    def join(self, name: str) -> Node:
        node = Node(name, context=self._context)
        self._executor.add_node(node)
        return node

    def until(self, condition: Callable[[], bool], what: str, act: Callable[[], None] = lambda: None) -> None:
        deadline = time.monotonic() + 30.0
        while not condition():
            assert time.monotonic() < deadline, f"not so within 30 s: {what}"
            act()
            self._executor.spin_once(timeout_sec=0.02)

    def move(self) -> None:
        self._seconds += 1
        state = JointState(name=[*ROBOT.joint_names, "gripper"])
        state.position = [*ROBOT.home, 0.3]
        state.velocity = [0.0] * len(state.name)
        state.header.stamp.sec = self._seconds
        self.states.publish(state)

    def words(self) -> str:
        """What the newest picture says of the filter."""
        if not self.pictures:
            return ""
        return next(marker.text for marker in self.pictures[-1].markers if marker.ns == "safety filter")


@pytest.fixture
def scene() -> Iterator[Scene]:
    claimed = domain.claim()
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    command = [sys.executable, "-m", "safe_transfer_ros.nodes.visualizer", "--ros-args", "-p", "rate:=50.0"]
    process = subprocess.Popen(command, env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)))
    scene = Scene(context)
    yield scene
    ended = process.poll()
    process.kill()
    process.wait()
    scene.close()
    rclpy.shutdown(context=context)
    claimed.release()
    assert ended is None, "whatever it hears, it goes on"


def test_transforms_and_markers_follow_what_is_heard(scene: Scene) -> None:
    scene.until(lambda: bool(scene.moving and scene.fixed), "transforms", scene.move)
    [fixed] = scene.fixed
    expected = LinkTree(ROBOT)
    assert [t.child_frame_id for t in fixed.transforms] == [pose.link for pose in expected.fixed]
    for shown, pose in zip(scene.moving[-1].transforms, expected.moving(ROBOT.home), strict=True):
        assert (shown.header.frame_id, shown.child_frame_id) == (pose.parent, pose.link)
        turned = shown.transform.rotation
        np.testing.assert_allclose((turned.x, turned.y, turned.z, turned.w), pose.orientation, atol=1e-12)
        assert shown.header.stamp.sec > 0, "the joint state's own"
    scene.until(lambda: scene.words() == "no safety filter heard", "a picture", scene.move)

    decision = SafetyDecision(verdict=SafetyDecision.VERDICT_BOUNDED, reasons=1, torque_limit=0.5)
    decision.joint_names, decision.applied_effort = list(reversed(ROBOT.joint_names)), [0.1 * i for i in range(7)]
    scene.status.publish(FilterStatus(mode=SafetyDecision.MODE_ARMED, torque_limit=0.5))

    def act() -> None:
        scene.decisions.publish(decision)
        scene.move()

    scene.until(lambda: scene.words() == "ARMED, bounded\nCLAMPED_TORQUE_LIMIT", "the verdict", act)
    picture = scene.pictures[-1].markers
    assert picture[0].action == Marker.DELETEALL and {marker.action for marker in picture[1:]} == {Marker.ADD}
    assert {marker.header.frame_id for marker in picture} == {ROBOT.base_link}
    assert all(0 < marker.lifetime.sec < 10 for marker in picture[1:]), "none outlives the visualizer for long"
    assert len({(marker.ns, marker.id) for marker in picture[1:]}) == len(picture) - 1
    assert {"safety filter", "torque", "safety cone"} == {marker.ns for marker in picture[1:]}
    bars = [marker.scale.z for marker in picture if marker.type == Marker.CUBE]
    # By name: the first joint of ours is the last of the message. No bar is longer than the limit.
    np.testing.assert_allclose(bars, [0.15, 0.15, 0.12, 0.09, 0.06, 0.03, 0.002], atol=1e-12)

    scene.status.publish(FilterStatus(mode=SafetyDecision.MODE_TRIPPED, cause=512, torque_limit=0.5))
    scene.until(lambda: "TRIPPED" in scene.words() and "JOINT_STATE_STALE" in scene.words(), "the trip")
    scene.until(lambda: "what is shown is old" in scene.words(), "silence being told")

    # What cannot be read is as what was not heard.
    decision.verdict, decision.applied_effort = 250, [float("nan")] * 7
    seen = len(scene.pictures)
    scene.until(lambda: len(scene.pictures) > seen + 20, "pictures going on", act)
    assert not [marker for marker in scene.pictures[-1].markers if marker.type == Marker.CUBE]


def test_transforms_are_left_to_a_robot_state_publisher(scene: Scene) -> None:
    scene.until(lambda: bool(scene.moving), "transforms", scene.move)
    other = scene.join("robot_state_publisher")
    theirs = topics.TF.advertise(other)

    def publishers() -> set[str]:
        return {info.node_name for info in scene.node.get_publishers_info_by_topic("/tf")}

    scene.until(lambda: publishers() == {"robot_state_publisher"}, "ours being gone", scene.move)
    seen = len(scene.pictures)
    scene.until(lambda: len(scene.pictures) > seen + 3, "pictures going on", scene.move)
    other.destroy_publisher(theirs)
    scene.until(lambda: publishers() == {"visualizer"}, "ours being back once it has gone", scene.move)
