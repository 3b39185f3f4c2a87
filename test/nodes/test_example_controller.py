# SPDX-License-Identifier: Apache-2.0
"""examples/own_controller.py drives the simulated arm through the filter, as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import graph_runs
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import SafetyDecision

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import qos

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_controller.py"
# A machine shared with others.
PATIENT = {name: 3.0 for name in ("action_timeout", "trip_timeout", "joint_state_timeout", "frozen_timeout")}


@pytest.mark.timeout(180)
def test_a_controller_of_ones_own_is_heard_and_bounded() -> None:
    claimed = domain.claim()
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    node = Node("observer", context=context)
    decisions: list[SafetyDecision] = []
    node.create_subscription(SafetyDecision, "safety_filter/decision", decisions.append, qos.RECORD)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    processes = []
    try:
        for name, parameters in (("mujoco_sim", {}), ("safety_filter", PATIENT)):
            words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
            command = [sys.executable, "-m", f"safe_transfer_ros.nodes.{name}", "--ros-args", "-p", "timing:=realtime"]
            processes.append(subprocess.Popen([*command, *words], env=environment))
        example = subprocess.Popen([sys.executable, EXAMPLE], env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(example)
        graph_runs.wait_for(lambda: executor.spin_once(timeout_sec=0.01) or example.poll() is not None, 120, "its end")
        assert example.returncode == 0 and example.communicate()[0] == "60 proposals made\n"
        graph_runs.wait_for(
            lambda: executor.spin_once(timeout_sec=0.01) or any(one.last for one in decisions), 30, "the last one"
        )
    finally:
        for process in processes:
            process.kill()
            process.wait()
        rclpy.shutdown(context=context)
        claimed.release()
    taken = [decision for decision in decisions if decision.verdict != SafetyDecision.VERDICT_REJECTED]
    assert len(taken) > 50
    assert all(abs(torque) <= decision.torque_limit for decision in taken for torque in decision.applied_effort)
