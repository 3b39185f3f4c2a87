# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process: what was delivered before it was told to end is in the bag."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import graph_runs
import rclpy
from rclpy.context import Context
from safe_transfer_msgs.msg import FilterStatus, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.state_publisher import StatePublisher

COUNT = 3000
STATES = 300


def test_what_a_busy_machine_kept_from_it_is_written_before_it_ends(tmp_path: Path) -> None:
    claimed = domain.claim()
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.bag_recorder", "--ros-args", "-p", f"bag:={tmp_path / 'bag'}"],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
    )
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    try:
        robot = rclpy.create_node("robot", context=context)
        publisher = robot.create_publisher(JointState, "joint_states", qos.RECORD)
        status = StatePublisher(robot, topics.FILTER_STATUS)
        heard = {topic: robot.count_subscribers for topic in ("joint_states", topics.FILTER_STATUS.history.name)}
        graph_runs.wait_for(
            lambda: publisher.get_subscription_count() == 1 and all(count(topic) for topic, count in heard.items()),
            30,
            "the recorder listening",
        )
        time.sleep(0.2)  # and hearing us: the other direction of discovery
        process.send_signal(signal.SIGSTOP)
        for number in range(COUNT):
            publisher.publish(JointState(position=[float(number)]))
            if number % (COUNT // STATES) == 0:
                status.publish(FilterStatus(iteration=number))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        rclpy.shutdown(context=context)
    positions = [message.position[0] for _, message, _ in messages(tmp_path / "bag", ["/joint_states"])]
    assert len(positions) == COUNT and positions == [float(number) for number in range(COUNT)]
    # A state's own topic keeps the newest; what the stalled recorder lacks of the others comes from its history.
    iterations = [message.iteration for _, message, _ in messages(tmp_path / "bag", ["/safety_filter/status"])]
    assert iterations == list(range(0, COUNT, COUNT // STATES))


def test_every_publisher_is_recorded_whatever_quality_of_service_it_offers(tmp_path: Path) -> None:
    """A stop that was heard and is not in the bag cannot be found again; nothing is there twice either."""
    claimed = domain.claim()
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    peers = rclpy.create_node("peers", context=context)
    stop = topics.EXTERNAL_STOP.name
    buttons = {
        "best effort": peers.create_publisher(Bool, stop, qos.COMMAND),
        "reliable": peers.create_publisher(Bool, stop, qos.STREAM),
        "latched": peers.create_publisher(Bool, stop, qos.LATCHED),
    }
    buttons["latched"].publish(Bool(data=True))  # before the recorder is there
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.bag_recorder", "--ros-args", "-p", f"bag:={tmp_path / 'bag'}"],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
    )
    try:
        arm = peers.create_publisher(JointState, "joint_states", qos.RECORD)
        gripper = peers.create_publisher(JointState, "joint_states", qos.COMMAND)
        limits = peers.create_publisher(TorqueLimit, topics.TORQUE_LIMIT.name, qos.STREAM)  # not latched
        # One subscription of the recorder fits the arm's joint states, and two more since there is a gripper's.
        wanted = {
            arm: 3,
            gripper: 1,
            limits: 1,
            buttons["best effort"]: 1,
            buttons["reliable"]: 2,
            buttons["latched"]: 3,
        }
        graph_runs.wait_for(
            lambda: {one: one.get_subscription_count() for one in wanted} == wanted, 30, "the recorder listening"
        )
        time.sleep(0.2)  # and hearing us: the other direction of discovery
        for number in range(100):
            arm.publish(JointState(name=["a"], position=[float(number)]))
            gripper.publish(JointState(name=["finger"], position=[float(number)]))
            limits.publish(TorqueLimit(iteration=number))
            buttons["best effort"].publish(Bool(data=True))
            buttons["reliable"].publish(Bool(data=number % 10 == 0))
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        rclpy.shutdown(context=context)
    heard = [message for _, message, _ in messages(tmp_path / "bag", ["/joint_states"])]
    for name in ("a", "finger"):
        assert [message.position[0] for message in heard if message.name == [name]] == [float(n) for n in range(100)]
    iterations = [message.iteration for _, message, _ in messages(tmp_path / "bag", [f"/{topics.TORQUE_LIMIT.name}"])]
    assert iterations == list(range(100))
    pressed = [message.data for _, message, _ in messages(tmp_path / "bag", [f"/{stop}"])]
    assert (pressed.count(True), pressed.count(False)) == (1 + 100 + 10, 90)
    assert pressed[0], "what was latched before"
