# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer up panda_push robot:=hardware`: the graph before the ros2_control stand-in of a Panda."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

import graph_runs
from client import Client, started
from geometry_msgs.msg import PoseStamped
from safe_transfer_msgs.msg import SafetyDecision
from std_srvs.srv import SetBool
from test_hardware_run import PATIENT, SHORT

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.middleware import qos
from safe_transfer_ros.middleware.object_pose import pose_message
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.tasks.deployment import in_graph

pytestmark = pytest.mark.timeout(300)
GRAPH = in_graph("panda_push_boundary")
STEPS = 10


class Perception:
    """Sees the block where the test has it, with the last digits' noise of a measurement."""

    def __init__(self, arm: Client) -> None:
        self._arm, self._rng = arm, np.random.default_rng(0)
        self._poses = arm.create_publisher(PoseStamped, "object_pose", qos.RECORD)
        self.block = np.array([-0.12, 0.0, 0.05])
        arm.create_timer(0.04, self._tell)

    def _tell(self) -> None:
        if self._arm.states:
            place = self.block + GRAPH.task.table_centre + 1e-6 * self._rng.standard_normal(3)
            pose = np.r_[place, 0.0, 0.0, 0.0, 1.0]
            self._poses.publish(pose_message("panda_link0", to_ns(self._arm.states[-1].header.stamp), pose))


def test_an_episode_on_hardware_ends_when_the_block_is_seen_beyond_the_boundary(tmp_path: Path) -> None:
    run_dir, joints = tmp_path / "run", list(GRAPH.task.robot.joint_names)
    sections = {
        "stand_in": {"start": ["joint_state_broadcaster"], "robot": "panda"},
        "controller_manager": {"update_rate": 100},
        "effort_controller": {"joints": joints},
        "forward_controller": {"joints": joints},
    }
    start = GRAPH.start_position(np.random.default_rng(0))
    with started(shared=True, robot="panda", **sections) as arm:
        arm.arm.place(start + 0.1)
        arm.requests["activate"] = arm.create_client(SetBool, "controller_supervisor/activate")
        perception = Perception(arm)
        patient = (*PATIENT, "safety_filter.object_timeout:=5.0", "safety_filter.object_frozen_timeout:=5.0")
        with graph_runs.started(
            run_dir, *SHORT, *patient, "task:=boundary", graph="panda_push", ROS_DOMAIN_ID=str(arm.domain)
        ) as process:
            decisions: list[SafetyDecision] = []
            arm.create_subscription(SafetyDecision, "safety_filter/decision", decisions.append, qos.RECORD)
            arm.until(lambda: arm.call("activate", SetBool.Request(data=True)).success, "activation")
            arm.until(lambda: len(decisions) > STEPS or process.poll() is not None, "the episode", seconds=120.0)
            perception.block = np.array([0.0, 0.08, 0.05])
            arm.until(lambda: process.poll() is not None, "the run", seconds=120.0)
            _, err = process.communicate()
        assert process.returncode == 0, err
        arm.until(lambda: arm.state_of("effort_controller") == "inactive", "an inactive controller")
        assert arm.arm.torque() == 0.0
    recorded = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/decision"])]
    [at] = [row for row, decision in enumerate(recorded) if decision.last]
    last, after = recorded[at], recorded[at + 1 :]
    assert last.terminated and STEPS < last.step < GRAPH.task.horizon
    # An end is said each period until the filter is heard to have disarmed: one that comes after that is refused.
    assert all((one.verdict, one.step) == (SafetyDecision.VERDICT_REJECTED, last.step) for one in after)
    assert last.object_pose[1] == pytest.approx(0.08, abs=1e-4)
    assert all(list(decision.action_names) == ["tool_x", "tool_y"] for decision in recorded)
    assert np.abs(np.array(recorded[0].position) - start).max() < 0.1, "it was moved to the start first"
    [record] = read(run_dir / "iterations.csv")
    assert record.steps == last.step and record.unsafety_rate > 0.0 and record.unsafety_max > 0.0
    efforts = [max(map(abs, m.data)) for _, m, _ in messages(run_dir / "bag", ["/effort_controller/commands"])]
    assert 0.1 < max(efforts) <= 1.0
