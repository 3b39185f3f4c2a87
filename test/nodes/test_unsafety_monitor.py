# SPDX-License-Identifier: Apache-2.0
"""The monitor as a process: what it says of a start that may break the bound."""

from __future__ import annotations

import subprocess
import sys
import time

import graph_runs
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from safe_transfer_msgs.msg import TorqueLimit

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import topics


def said_at_the_start(*parameters: str) -> str:
    """What a monitor writes to its log until its limit is heard, or it ends by itself."""
    claimed = domain.claim()
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    process = subprocess.Popen(
        [sys.executable, "-m", "safe_transfer_ros.nodes.unsafety_monitor", "--ros-args", *arguments],
        env=graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number)),
        stderr=subprocess.PIPE,
        text=True,
    )
    context = Context()
    rclpy.init(context=context, domain_id=claimed.number)
    peer = rclpy.create_node("peer", context=context)
    turning = SingleThreadedExecutor(context=context)
    limits: list[TorqueLimit] = []
    topics.TORQUE_LIMIT.listen(peer, limits.append)
    try:
        deadline = time.monotonic() + 60.0
        while not limits and process.poll() is None:
            assert time.monotonic() < deadline, "neither a limit nor an end"
            rclpy.spin_once(peer, executor=turning, timeout_sec=0.05)
        process.terminate()
        return process.communicate(timeout=20.0)[1]
    finally:
        process.kill()
        process.wait()
        peer.destroy_node()
        rclpy.shutdown(context=context)


def test_a_start_above_d_safe_is_refused_unless_overridden_and_then_told() -> None:
    unsafe = ("initial_torque_limit:=1.8", "d_safe:=1.3")
    assert "must not be above D_safe (1.3)" in said_at_the_start(*unsafe)
    told = said_at_the_start(*unsafe, "allow_unsafe_start:=true")
    assert "allow_unsafe_start: begins with 1.8 N·m, above D_safe 1.3" in told
    resumed = ("first_iteration:=3", "first_torque_limit:=2.0")
    assert "allow_unsafe_start" not in said_at_the_start(*unsafe, "allow_unsafe_start:=true", *resumed)


def test_a_resumed_session_without_the_rules_memory_says_so_and_a_wrong_one_is_refused() -> None:
    resumed = ("benefit:=true", "first_iteration:=3", "first_torque_limit:=0.11")
    assert "benefit: nothing is known of the iterations before this session" in said_at_the_start(*resumed)
    said = said_at_the_start(*resumed, "benefit_memory:='{}'")
    assert "benefit_memory: expected what a benefit rule remembered" in said and "Traceback" not in said


def test_moved_is_refused_where_actions_are_not_torques() -> None:
    said = said_at_the_start("task:=panda_push_topple", "joints:=moved")
    assert "unsafety_monitor.joints: 'moved' follows from the distribution of the joints' torques" in said
    assert "Traceback" not in said


def test_the_old_name_of_the_limit_is_refused_and_names_the_new_ones() -> None:
    said = said_at_the_start("torque_limit_min:=0.1")
    assert "unknown parameter 'torque_limit_min'; it is now initial_torque_limit" in said
    assert "torque_limit_floor" in said and "Traceback" not in said
