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
from sensor_msgs.msg import JointState

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos

COUNT = 3000


def test_what_a_busy_machine_kept_from_it_is_written_before_it_ends(tmp_path: Path) -> None:
    claimed = domain.claim()
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.bag_recorder", "--ros-args", "-p", f"bag:={tmp_path / 'bag'}"],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
    )
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    try:
        publisher = rclpy.create_node("robot", context=context).create_publisher(JointState, "joint_states", qos.RECORD)
        graph_runs.wait_for(lambda: publisher.get_subscription_count() == 1, 30, "the recorder listening")
        time.sleep(0.2)  # and hearing us: the other direction of discovery
        process.send_signal(signal.SIGSTOP)
        for number in range(COUNT):
            publisher.publish(JointState(position=[float(number)]))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        rclpy.shutdown(context=context)
    positions = [message.position[0] for _, message, _ in messages(tmp_path / "bag", ["/joint_states"])]
    assert len(positions) == COUNT and positions == [float(number) for number in range(COUNT)]
