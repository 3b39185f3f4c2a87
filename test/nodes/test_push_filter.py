# SPDX-License-Identifier: Apache-2.0
"""The filter of a pushing task as a process: where the block is must be known, and its ceiling be one to stop from."""

from __future__ import annotations

import subprocess
import sys

import graph_runs
import numpy as np
from filter_bench import Bench, with_parameters
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.object_pose import pose_message
from safe_transfer_ros.middleware.stamps import set_ns
from safe_transfer_ros.safety.reasons import Mode, Reason
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH = in_graph("panda_push_boundary")
# A shared test machine may leave a process unscheduled for longer than an arm may go unwatched.
PATIENT = {"action_timeout": 8.0, "trip_timeout": 9.0, "joint_state_timeout": 9.0, "frozen_timeout": 9.0}


@with_parameters(task="panda_push_boundary", timing="realtime", object_timeout=1.0, **PATIENT)
def test_an_arm_whose_blocks_pose_is_lost_stops_with_that_reason(bench: Bench) -> None:
    poses = bench.create_publisher(PoseStamped, "object_pose", qos.STREAM)
    bench.until(lambda: poses.get_subscription_count() > 0, "the filter hearing poses")
    joints, home = list(GRAPH.task.robot.joint_names), GRAPH.task.robot.home

    def state(*, seen: bool, frame: str = "panda_link0") -> None:
        bench.time_ns += 2_000_000
        message = JointState(name=joints, position=(home + 1e-12 * bench.time_ns).tolist(), velocity=[0.0] * 7)
        set_ns(message.header.stamp, bench.time_ns)
        if seen:
            pose = np.array([0.45, 1e-12 * bench.time_ns, 0.05, 0.0, 0.0, 0.0, 1.0])
            poses.publish(pose_message(frame, bench.time_ns, pose))
        bench.states.publish(message)

    refused = bench.armed()
    assert not refused.success and "joint state" in refused.message
    state(seen=False)
    assert "no pose of the object has come" in bench.armed().message

    def refused_for_its_frame() -> bool:
        state(seen=True, frame="camera_color_optical_frame")
        return "frame 'panda_link0' (the robot's base link), got 'camera_color_optical_frame'" in bench.armed().message

    bench.until(refused_for_its_frame, "a refusal that names both frames")
    state(seen=True)
    bench.until(lambda: bench.armed().success, "the filter being armed")
    bench.propose(0, [0.5, 0.0], ["tool_x", "tool_y"])
    state(seen=True)
    bench.until(lambda: bool(bench.commands) and any(bench.commands[-1]), "torque")
    assert bench.status.mode == Mode.ARMED

    def tripped() -> bool:
        state(seen=True, frame="camera_color_optical_frame")  # the same numbers there are no pose
        return bool(bench.status.mode == Mode.TRIPPED)

    bench.until(tripped, "the filter stopping the arm")
    assert bench.status.cause == Reason.OBJECT_POSE_STALE
    bench.until(lambda: not any(bench.commands[-1]), "zero torque")
    assert bench.decisions[-1].reasons & Reason.OBJECT_POSE_STALE
    second = bench.create_publisher(PoseStamped, "object_pose", qos.STREAM)
    bench.until(lambda: bool(bench.status.cause & Reason.SECOND_PUBLISHER), "a second one of poses being seen")
    bench.destroy_publisher(second)


def test_a_ceiling_from_which_a_stop_takes_longer_than_a_control_period_is_refused_in_lockstep() -> None:
    given = {"task": "panda_push_boundary", "torque_limit_max": 60.0}
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    finished = subprocess.run(
        [sys.executable, "-m", "safe_transfer_ros.nodes.safety_filter", "--ros-args", *words],
        env=graph_runs.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 2
    assert "from torque_limit_max, 60 N·m, to zero must take no longer than a control period" in finished.stderr
