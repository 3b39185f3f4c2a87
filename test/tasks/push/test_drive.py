# SPDX-License-Identifier: Apache-2.0
"""Pushing through the safety filter: actions at 25 Hz, torques from joint states at 500 Hz, torque motors in MuJoCo."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.robots.simulation import ArmSimulation
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, Proposal, SafetyFilter
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict
from safe_transfer_ros.tasks.push.drive import PushDrive
from safe_transfer_ros.tasks.push.scene import BLOCK, push_model
from safe_transfer_ros.tasks.push.scripted import ScriptedPush
from safe_transfer_ros.tasks.push.simulation import PushSimulation
from safe_transfer_ros.tasks.push.task import PushStart
from safe_transfer_ros.tasks.push.tasks import PushTopple

TASK = PushTopple()
STATE_PERIOD = 0.002
START = PushStart(block=np.array([-0.12, 0.01]), goal=np.array([0.12, -0.02]))


@dataclasses.dataclass
class _Push:
    tool: np.ndarray
    block: np.ndarray
    torque: np.ndarray
    change: float
    reasons: Reason
    succeeded: bool
    failed: bool


def _simulated(periods: int) -> tuple[PushSimulation, list[np.ndarray], _Push]:
    """A scripted push by motors inside MuJoCo, and its actions."""
    simulation, actions, rows = PushSimulation(TASK, 1), [], []
    simulation.place(0, START)
    script = ScriptedPush(TASK, 1, height=0.04, speed=0.12)
    for _ in range(periods):
        actions.append(script.action(simulation.scenes()))
        simulation.step(actions[-1])
        scene = simulation.scenes()
        rows.append((scene.tool[0], scene.block[0]))
    tool, block = (np.array(column) for column in zip(*rows, strict=True))
    succeeded, failed = bool(TASK.succeeded(scene)[0]), bool(TASK.failed(scene)[0])
    return simulation, actions, _Push(tool, block, np.empty(0), 0.0, Reason.NONE, succeeded, failed)


def _filtered(simulation: PushSimulation, actions: list[np.ndarray], torque_limit: float) -> _Push:
    """The same actions, proposed to the safety filter 25 times a second; a torque for each of 500 joint states."""
    simulation.place(0, START)
    model = push_model(TASK, torque_motors=True, timestep=STATE_PERIOD)
    arm = ArmSimulation(model, TASK.robot.joint_names)
    arm.reset(simulation.position[0])
    block = model.jnt_qposadr[model.body(BLOCK).jntadr[0]]
    centre = np.array(TASK.table_centre)
    arm.data.qpos[block : block + 3] = centre + (*START.block, 0.05)
    rules = SafetyFilter(
        TASK.robot.joint_names,
        TASK.robot.limits.effort,
        FilterSettings(state_period_s=STATE_PERIOD),
        TorqueLimitGuard(torque_limit, torque_limit),
        soft_limits=SoftLimits(
            **{field.name: getattr(TASK.robot.limits, field.name) for field in dataclasses.fields(SoftLimits)}
        ),
        drive=PushDrive(TASK),
    )
    rows, torques, reasons, previous, change = [], [], Reason.NONE, np.zeros(7), 0.0
    n = TASK.action_size
    for step, action in enumerate(actions):
        for substep in range(round(TASK.control_period_s / STATE_PERIOD)):
            now = round(1e9 + arm.time * 1e9)
            assert rules.observe_state(now, arm.position, arm.velocity, now) is Reason.NONE
            if step == substep == 0:
                assert rules.arm(now) is None
            if substep == 0:
                proposal = Proposal(
                    stamp_ns=now,
                    iteration=0,
                    episode=0,
                    step=step,
                    last=False,
                    policy_version=0,
                    mean=action[0],
                    stddev=np.ones(n),
                    effort=action[0],
                )
                assert rules.propose(proposal, now) is Reason.NONE
            torque = rules.cycle(now).copy()
            assert rules.mode is Mode.ARMED and rules.verdict in (Verdict.ACCEPTED, Verdict.BOUNDED)
            reasons |= rules.last_reasons
            change, previous = max(change, float(np.abs(torque - previous).max())), torque
            torques.append(torque)
            arm.step(torque)
        rows.append((TASK.chain.tool_position(arm.position) - centre, arm.data.qpos[block : block + 3] - centre))
    tool, blocks = (np.array(column) for column in zip(*rows, strict=True))
    near = bool(np.hypot(*(blocks[-1, :2] - START.goal)) < TASK.goal_distance)
    upright = bool(blocks[-1, 2] > 0.045)
    return _Push(tool, blocks, np.array(torques), change, reasons, near, not upright)


def test_push_through_the_filter_is_the_push_of_training() -> None:
    simulation, actions, trained = _simulated(58)
    assert trained.succeeded and not trained.failed
    filtered = _filtered(simulation, actions, torque_limit=20.0)
    assert filtered.succeeded and not filtered.failed
    # An action that asks for another velocity asks for another torque at once, which the rate limit spreads.
    assert filtered.reasons == Reason.CLAMPED_TORQUE_RATE
    # The same actions, open loop. The block may turn a little otherwise.
    assert np.linalg.norm(filtered.tool - trained.tool, axis=1).max() < 0.001
    assert np.linalg.norm(filtered.block - trained.block, axis=1).max() < 0.015


def test_torque_limit_and_rate_hold_for_what_drives_the_tool() -> None:
    simulation, actions, _ = _simulated(30)
    filtered = _filtered(simulation, actions, torque_limit=1.5)
    assert np.abs(filtered.torque).max() == pytest.approx(1.5)
    assert filtered.reasons & Reason.CLAMPED_TORQUE_LIMIT
    assert filtered.change <= 1000.0 * STATE_PERIOD + 1e-9


def test_action_begun_anew_starts_from_the_tool_and_waits_where_it_was_sent() -> None:
    drive = PushDrive(TASK)
    home = TASK.robot.home
    tool = TASK.chain.tool_position(home)
    drive.begin(np.array([1.0, 0.0, 0.0]), home, anew=True)
    there = tool + (TASK.greatest_speed * TASK.control_period_s, 0.0, 0.0)
    np.testing.assert_allclose(drive.set_point, there)
    stiffness, damping = 1500.0, 150.0
    pull = TASK.chain.jacobian(home)[:3].T

    def torque(elapsed: float) -> np.ndarray:
        return drive.torque(home, np.zeros(7), elapsed)

    np.testing.assert_allclose(torque(0.0), pull @ [damping * 0.15, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(torque(0.02), pull @ [stiffness * 0.003 + damping * 0.15, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(torque(1.0), pull @ [stiffness * 0.006, 0.0, 0.0], atol=1e-9)
    drive.begin(np.array([1.0, 0.0, 0.0]), home, anew=False)
    np.testing.assert_allclose(drive.set_point, there + (there - tool))
    drive.begin(np.zeros(3), home, anew=True)
    np.testing.assert_allclose(drive.set_point, tool)


def test_drive_needs_no_simulator() -> None:
    program = (
        "import sys, safe_transfer_ros.tasks.push.drive; "
        "sys.exit(bool({'torch', 'mujoco', 'gymnasium'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_model_with_torque_motors_takes_no_torque_limit() -> None:
    with pytest.raises(ValueError, match="bound the torque before"):
        push_model(TASK, torque_motors=True, torque_limit=1.0)
    assert isinstance(push_model(TASK), mujoco.MjModel)
