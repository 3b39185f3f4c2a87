# SPDX-License-Identifier: Apache-2.0
"""Leading the tool: the leash, and one law in two forms that give one motion."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from safe_transfer_ros.robots import description
from safe_transfer_ros.robots.inverse_kinematics import joint_position_at
from safe_transfer_ros.robots.panda import PANDA
from safe_transfer_ros.robots.simulation import arm_spec, build_model
from safe_transfer_ros.robots.task_space import Leash, TaskSpaceController, rotation_vector
from safe_transfer_ros.robots.task_space_motors import add_task_space_motors, motor_controls

ROBOT = description.load("panda")
CONTROLLER = TaskSpaceController(ROBOT)
LEASH = Leash(lower=np.array([0.28, -0.14, 0.02]), upper=np.array([0.72, 0.14, 0.15]), length=0.08)
START = joint_position_at(CONTROLLER, ROBOT, np.array([0.36, 0.0, 0.05]))
PERIOD = 0.04


@dataclasses.dataclass
class _Run:
    tool: np.ndarray
    set_point: np.ndarray
    position: np.ndarray
    torque: np.ndarray


def _lead(increments: np.ndarray, timestep: float, *, inside: bool, torque_limit: float | None = None) -> _Run:
    """The tool led by increments, once per period: by motors inside MuJoCo, or by torques from joint states."""
    if inside:
        spec = arm_spec(ROBOT, timestep=timestep)
        add_task_space_motors(spec, ROBOT, torque_limit)
        model = spec.compile()
    else:
        model = build_model(ROBOT, timestep=timestep)
    data = mujoco.MjData(model)
    data.qpos[:] = START
    bound = np.minimum(ROBOT.limits.effort, torque_limit or np.inf)
    steps = round(PERIOD / timestep)
    set_point = CONTROLLER.chain.tool_position(START)
    rows = []
    for increment in increments:
        there = LEASH.advanced(set_point, increment, CONTROLLER.chain.tool_position(data.qpos))
        velocity = (there - set_point) / PERIOD
        for step in range(steps):
            now = set_point + (step + 0.5) / steps * (there - set_point)
            if inside:
                data.ctrl[:] = motor_controls(ROBOT, now, velocity)
            else:
                data.ctrl[:] = np.clip(CONTROLLER.torque(data.qpos, data.qvel, now, velocity), -bound, bound)
            mujoco.mj_step(model, data)
        set_point = there
        rows.append((CONTROLLER.chain.tool_position(data.qpos), set_point, data.qpos.copy(), data.qfrc_actuator.copy()))
    return _Run(*(np.array(column) for column in zip(*rows, strict=True)))


def _velocities(seed: int, periods: int = 100, hold: int = 5) -> np.ndarray:
    """Increments of random velocities of up to .15 m/s along each axis, each held for some periods."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.uniform(-1, 1, (periods // hold, 3)), hold, axis=0) * 0.15 * PERIOD


def test_both_forms_move_the_tool_alike_within_a_millimetre() -> None:
    increments = _velocities(0)
    inside = _lead(increments, 0.004, inside=True)
    torques = _lead(increments, 0.002, inside=False)
    assert np.linalg.norm(inside.tool - torques.tool, axis=1).max() < 0.001
    assert np.abs(inside.position - torques.position).max() < 0.01
    # The same at a torque limit that is felt.
    limit = 3.0
    assert np.abs(inside.torque).max() > limit
    inside, torques = (
        _lead(increments, timestep, inside=form, torque_limit=limit)
        for timestep, form in ((0.004, True), (0.002, False))
    )
    for run in (inside, torques):
        assert np.abs(run.torque).max() == pytest.approx(limit, rel=1e-9)
    assert np.linalg.norm(inside.tool - torques.tool, axis=1).max() < 0.006


def test_torques_are_those_of_the_motors_in_any_state() -> None:
    spec = arm_spec(ROBOT)
    add_task_space_motors(spec, ROBOT)
    model = spec.compile()
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    for _ in range(20):
        data.qpos[:] = ROBOT.home + rng.uniform(-0.03, 0.03, 7)
        data.qvel[:] = rng.normal(size=7) * 0.1
        tool = CONTROLLER.chain.tool_position(data.qpos)
        set_point, velocity = tool + rng.uniform(-0.01, 0.01, 3), rng.uniform(-0.1, 0.1, 3)
        data.ctrl[:] = motor_controls(ROBOT, set_point, velocity)
        mujoco.mj_forward(model, data)
        torque = CONTROLLER.torque(data.qpos, data.qvel, set_point, velocity)
        np.testing.assert_allclose(data.qfrc_actuator, torque, rtol=1e-6, atol=1e-6)


def test_tool_follows_stays_upright_and_leaves_the_elbow_alone() -> None:
    run = _lead(_velocities(1), 0.004, inside=True)
    assert np.linalg.norm(run.tool - run.set_point, axis=1).max() < 0.015
    rotation = CONTROLLER.chain.tool_rotation(run.position)
    upright = np.arccos(np.clip(-rotation[:, 2, 2], -1, 1))
    assert np.degrees(upright).max() < 3.0
    assert np.abs(run.position[:, 2]).max() < 0.05  # joint 3, the posture
    soft = ROBOT.limits
    assert (run.position > soft.soft_lower).all() and (run.position < soft.soft_upper).all()


def test_held_back_tool_is_pulled_with_no_more_than_the_leash_allows() -> None:
    tool = np.array([0.5, 0.0, 0.05])
    set_point = tool.copy()
    for _ in range(100):
        set_point = LEASH.advanced(set_point, np.array([0.006, 0.002, 0.0]), tool)
    assert np.linalg.norm(set_point - tool) == pytest.approx(LEASH.length)


def test_set_point_adds_to_itself_and_stays_within_its_box() -> None:
    tool, lagging = np.array([0.5, 0.0, 0.05]), np.array([0.52, 0.0, 0.05])
    np.testing.assert_allclose(LEASH.advanced(lagging, np.array([0.01, 0.0, 0.0]), tool), [0.53, 0.0, 0.05])
    far = np.array([[0.70, 0.0, 0.05], [0.5, 0.0, 0.03]])
    step = np.array([[0.05, 0.0, 0.0], [0.0, 0.0, -0.05]])
    np.testing.assert_allclose(LEASH.advanced(far, step, far), [[0.72, 0.0, 0.05], [0.5, 0.0, 0.02]])


def test_rotation_vector_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    for vector in [*rng.normal(size=(50, 3)), np.zeros(3), np.array([1e-8, 0.0, -2e-8]), np.array([3.14, 0.0, 0.0])]:
        rotation = Rotation.from_rotvec(vector)
        np.testing.assert_allclose(rotation_vector(rotation.as_matrix()), rotation.as_rotvec(), atol=1e-7)


def test_inverse_kinematics_reaches_the_table_and_refuses_what_is_out_of_reach() -> None:
    for tool in ([0.30, -0.14, 0.02], [0.70, 0.14, 0.15]):
        q = joint_position_at(CONTROLLER, ROBOT, np.array(tool))
        position, rotation = CONTROLLER.chain.tool_pose(q)
        np.testing.assert_allclose(position, tool, atol=1e-8)
        np.testing.assert_allclose(rotation, CONTROLLER.orientation, atol=1e-8)
        assert q[2] == pytest.approx(0.0, abs=1e-8)
    for tool in ([1.2, 0.0, 0.05], [np.nan, 0.0, 0.05]):
        with pytest.raises(ValueError, match="cannot be at|finite"):
            joint_position_at(CONTROLLER, ROBOT, np.array(tool))


def test_robot_that_cannot_be_led_is_refused_with_its_reason() -> None:
    with pytest.raises(ValueError, match="states no task-space gains"):
        TaskSpaceController(description.load("pr2_left_arm"))
    heavy = description.describe(dataclasses.replace(PANDA, gravity_compensated=False), ROBOT.urdf)
    with pytest.raises(ValueError, match="does not carry its own weight"):
        TaskSpaceController(heavy)
    assert PANDA.task_space is not None
    wrong = dataclasses.replace(PANDA.task_space, posture_joint="panda_joint8")
    with pytest.raises(ValueError, match="posture joint 'panda_joint8'"):
        description.describe(dataclasses.replace(PANDA, task_space=wrong), ROBOT.urdf)
    with pytest.raises(ValueError, match="leash"):
        Leash(lower=np.zeros(3), upper=np.ones(3), length=0.0)
