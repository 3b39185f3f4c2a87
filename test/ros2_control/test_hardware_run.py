# SPDX-License-Identifier: Apache-2.0
"""`robot:=hardware`: the whole graph before the ros2_control stand-in, an operator beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

import graph_runs
from client import started
from std_srvs.srv import SetBool

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.tasks.streams import initial_state_rng
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.transfer.iteration import read

pytestmark = pytest.mark.timeout(400)

SHORT = ("iterations:=1", "trainer.episodes_per_iteration:=1", "robot:=hardware")
# Two cores shared with others are no real-time machine.
PATIENT = (
    "safety_filter.permission_lease:=3.0",
    "safety_filter.joint_state_timeout:=3.0",
    "safety_filter.frozen_timeout:=3.0",
    "safety_filter.action_timeout:=3.0",
    "safety_filter.trip_timeout:=4.0",
    "controller_supervisor.command_timeout:=1.0",
    "controller_supervisor.service_timeout:=5.0",
    "unsafety_monitor.lease:=60.0",
)


@pytest.mark.xfail(
    strict=False,
    reason="open: in two of four runs beside other work a decision was missing, of an inner step or of the last",
)
def test_an_iteration_on_hardware(tmp_path: Path) -> None:
    """An operator activates, the arm is moved to the start, an episode is run, the controller is left inactive."""
    run_dir = tmp_path / "run"
    task = make("pr2_cup_swirl")
    with started(
        shared=True, stand_in={"start": ["joint_state_broadcaster"]}, controller_manager={"update_rate": 100}
    ) as arm:
        arm.arm.place(np.asarray(task.robot.home) + 0.3)
        arm.requests["activate"] = arm.create_client(SetBool, "controller_supervisor/activate")
        with graph_runs.started(run_dir, *SHORT, *PATIENT, ROS_DOMAIN_ID=str(arm.domain)) as process:
            arm.until(lambda: arm.call("activate", SetBool.Request(data=True)).success, "activation")
            arm.until(lambda: process.poll() is not None, "the run", seconds=200.0)
            _, err = process.communicate()
        assert process.returncode == 0, err
        assert arm.state_of("effort_controller") == "inactive"
        assert arm.arm.torque() == 0.0
    assert len(read(run_dir / "iterations.csv")) == 1
    start, _ = task.initial_state(initial_state_rng(0, 0))
    [first, *_] = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/decision"])]
    assert np.abs(np.asarray(first.position) - start).max() < 0.1, "it began at the start of the episode"
    limits = [message.torque_limit for _, message, _ in messages(run_dir / "bag", ["/safety_filter/status"])]
    assert limits and max(limits) < 1.0, "the limit of the move is no limit of the policy's"
    efforts = [max(map(abs, m.data)) for _, m, _ in messages(run_dir / "bag", ["/effort_controller/commands"])]
    assert 0.1 < max(efforts) <= 1.0, "the move used its own limit, and no more"
