# SPDX-License-Identifier: Apache-2.0
"""`robot:=hardware`: the whole graph before the ros2_control stand-in, an operator beside it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("controller_manager_msgs")

import graph_runs
from client import Client, started
from safe_transfer_msgs.msg import SafetyDecision
from std_srvs.srv import SetBool

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.middleware import diagnostics, qos
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.record.episode import episodes_from_decisions
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.tasks.task import make

pytestmark = pytest.mark.timeout(400)

SHORT = ("iterations:=1", "trainer.episodes_per_iteration:=1", "robot:=hardware", "allow_uncommissioned:=true")
# Two cores shared with others are no real-time machine.
PATIENT = (
    "safety_filter.permission_lease:=3.0",
    "safety_filter.e_stop_lease:=off",
    "safety_filter.joint_state_timeout:=3.0",
    "safety_filter.frozen_timeout:=3.0",
    "safety_filter.action_timeout:=3.0",
    "safety_filter.trip_timeout:=4.0",
    "controller_supervisor.command_timeout:=1.0",
    "controller_supervisor.service_timeout:=5.0",
    "unsafety_monitor.lease:=60.0",
)


def stall(arm: Client, process: int) -> None:
    """Not scheduled for longer than ten joint states, proposals or decisions take."""
    os.kill(process, signal.SIGSTOP)
    arm.let(0.6)
    os.kill(process, signal.SIGCONT)


def test_an_iteration_on_hardware(tmp_path: Path) -> None:
    """An operator activates, the arm is moved to the start, an episode is run, the controller is left inactive.

    The machine stalls meanwhile, and nothing of the record is lost.
    """
    run_dir = tmp_path / "run"
    task = make("pr2_cup_swirl")
    with started(
        shared=True, stand_in={"start": ["joint_state_broadcaster"]}, controller_manager={"update_rate": 100}
    ) as arm:
        arm.arm.place(np.asarray(task.robot.home) + 0.3)
        arm.requests["activate"] = arm.create_client(SetBool, "controller_supervisor/activate")
        with graph_runs.started(run_dir, *SHORT, *PATIENT, ROS_DOMAIN_ID=str(arm.domain)) as process:
            decisions: list[SafetyDecision] = []
            arm.create_subscription(SafetyDecision, "safety_filter/decision", decisions.append, qos.RECORD)
            arm.until(lambda: arm.call("activate", SetBool.Request(data=True)).success, "activation")
            for step, node in ((20, "safety_filter"), (60, "policy_server"), (100, "unsafety_monitor")):
                arm.until(lambda step=step: len(decisions) > step, "the episode being under way", seconds=100.0)
                stall(arm, graph_runs.nodes_of(run_dir)[node])
            arm.until(lambda: process.poll() is not None, "the run", seconds=200.0)
            _, err = process.communicate()
        assert process.returncode == 0, err
        arm.until(lambda: arm.state_of("effort_controller") == "inactive", "an inactive controller")
        assert arm.arm.torque() == 0.0
    [record] = read(run_dir / "iterations.csv")
    start, _ = task.initial_state(generator(Purpose.INITIAL_STATE, 0, 0))
    recorded = [message for _, message, _ in messages(run_dir / "bag", ["/safety_filter/decision"])]
    accepted = [message for message in recorded if message.verdict != SafetyDecision.VERDICT_REJECTED]
    assert [message.step for message in accepted] == list(range(task.horizon + 1)) and accepted[-1].last
    assert record.steps == task.horizon
    stamps = np.array([message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec for message in recorded])
    assert np.median(np.diff(stamps)) > 0.04, "what a stall missed is not made up for in a burst"
    [episode] = episodes_from_decisions(recorded)
    # The policy draws what it draws in simulation, whatever the machine does: the seed says it.
    drawn = generator(Purpose.ACTION_NOISE, 0, 0).standard_normal((task.horizon, len(task.robot.joint_names)))
    np.testing.assert_allclose((episode.proposed - episode.mean) / episode.stddev, drawn, atol=1e-9)
    first = recorded[0]
    assert np.abs(np.asarray(first.position) - start).max() < 0.1, "it began at the start of the episode"
    lines = {line.name for _, message, _ in messages(run_dir / "bag", ["/diagnostics"]) for line in message.status}
    assert lines == set(diagnostics.NAMES) - {"franka_robot", "mujoco_sim"}
    limits = [message.torque_limit for _, message, _ in messages(run_dir / "bag", ["/safety_filter/status"])]
    assert limits and max(limits) < 1.0, "the limit of the move is no limit of the policy's"
    efforts = [max(map(abs, m.data)) for _, m, _ in messages(run_dir / "bag", ["/effort_controller/commands"])]
    assert 0.1 < max(efforts) <= 0.5, "the move used its own limit, and no more"


def test_a_missing_controller_manager_is_said_on_the_screen(tmp_path: Path) -> None:
    """Who started a run and sees nothing move must not have to guess."""
    said: list[str] = []
    with (
        graph_runs.to_share() as number,
        graph_runs.started(
            tmp_path / "run", *SHORT, "learner:=none", ROS_DOMAIN_ID=str(number), PYTHONUNBUFFERED="1"
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if "controller_manager is not there" in line:
                break
        graph_runs.interrupt(process)
        process.communicate(timeout=60)
    assert f"controller_manager is not there (ROS_DOMAIN_ID={number}): start ros2_control" in said[-1], "".join(said)
