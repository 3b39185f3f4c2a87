# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics against homogeneous transforms, MuJoCo and finite differences."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safe_transfer_ros.robots.description import RobotDescription, load
from safe_transfer_ros.robots.kinematics import SerialChain

FACTS = yaml.safe_load((Path(__file__).parent / "pr2_left_arm_facts.yaml").read_text())
ROBOT = load("pr2_left_arm")
CHAIN = SerialChain(ROBOT)
positions = hnp.arrays(np.float64, 7, elements=st.floats(-4.0, 4.0))
rates = hnp.arrays(np.float64, 7, elements=st.floats(-5.0, 5.0))


def _rodrigues(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _transform(rotation: np.ndarray, translation: list[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, translation
    return matrix


def _tool_from_facts(q: np.ndarray) -> np.ndarray:
    """Product of homogeneous transforms from the published numbers; the PR2's joints have no rpy."""
    product = np.eye(4)
    for joint, angle in zip(FACTS["joints"], q, strict=True):
        product = product @ _transform(np.eye(3), joint["origin_xyz"])
        product = product @ _transform(_rodrigues(np.array(joint["axis"]), angle), [0, 0, 0])
    return product @ _transform(np.eye(3), [0.18, 0, 0])


def _tilted_chain(seed: int) -> RobotDescription:
    """The PR2's URDF with every joint's axis, origin and orientation made general."""
    rng = np.random.default_rng(seed)
    text = ROBOT.urdf
    for axis in ("1 0 0", "0 1 0", "0 0 1"):
        while f'<axis xyz="{axis}"/>' in text:
            new = " ".join(f"{value:.6f}" for value in rng.normal(size=3))
            text = text.replace(f'<axis xyz="{axis}"/>', f'<axis xyz="{new}"/>', 1)
    while 'xyz="0 0 0" rpy="0 0 0"' in text:
        numbers = [" ".join(f"{value:.6f}" for value in rng.normal(size=3)) for _ in range(2)]
        text = text.replace('xyz="0 0 0" rpy="0 0 0"', f'xyz="{numbers[0]}" rpy="{numbers[1]}"', 1)
    return dataclasses.replace(ROBOT, urdf=text)


def _mujoco_tool(description: RobotDescription) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """MuJoCo's own reading of the URDF, with nothing fused, so the tool is a body."""
    spec = mujoco.MjSpec.from_string(description.urdf)
    spec.compiler.fusestatic = False
    model = spec.compile()
    return model, mujoco.MjData(model)


@given(positions)
def test_pose_equals_product_of_homogeneous_transforms(q: np.ndarray) -> None:
    expected = _tool_from_facts(q)
    position, rotation = CHAIN.tool_pose(q)
    np.testing.assert_allclose(position, expected[:3, 3], atol=1e-14)
    np.testing.assert_allclose(rotation, expected[:3, :3], atol=1e-14)


@pytest.mark.parametrize("description", [ROBOT, _tilted_chain(1), _tilted_chain(2)], ids=["pr2", "a", "b"])
def test_pose_velocity_and_jacobian_equal_mujocos(description: RobotDescription) -> None:
    model, data = _mujoco_tool(description)
    chain = SerialChain(description)
    tool = model.body(description.tool_link).id
    rng = np.random.default_rng(0)
    for _ in range(20):
        q, dq = rng.uniform(-3, 3, 7), rng.uniform(-3, 3, 7)
        data.qpos[:], data.qvel[:] = q, dq
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        linear, angular = np.zeros((3, 7)), np.zeros((3, 7))
        mujoco.mj_jac(model, data, linear, angular, data.xpos[tool], tool)
        position, rotation, velocity = chain.tool_motion(q, dq)
        np.testing.assert_allclose(position, data.xpos[tool], atol=1e-12)
        np.testing.assert_allclose(rotation, data.xmat[tool].reshape(3, 3), atol=1e-12)
        np.testing.assert_allclose(velocity, linear @ dq, atol=1e-12)
        np.testing.assert_allclose(chain.jacobian(q), np.vstack([linear, angular]), atol=1e-12)


@given(positions)
def test_jacobian_equals_finite_differences(q: np.ndarray) -> None:
    step = 1e-6
    jacobian = CHAIN.jacobian(q)
    _, rotation = CHAIN.tool_pose(q)
    for joint in range(7):
        nudge = np.eye(7)[joint] * step
        (before, turned_before), (after, turned_after) = (
            CHAIN.tool_pose(q - nudge),
            CHAIN.tool_pose(q + nudge),
        )
        np.testing.assert_allclose(jacobian[:3, joint], (after - before) / (2 * step), atol=1e-8)
        # dR/dq R^T is the cross-product matrix of the angular rate.
        spin = (turned_after - turned_before) / (2 * step) @ rotation.T
        np.testing.assert_allclose(jacobian[3:, joint], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-8)


@given(positions, rates)
def test_velocity_is_the_linear_jacobian_times_rates(q: np.ndarray, dq: np.ndarray) -> None:
    np.testing.assert_allclose(CHAIN.tool_velocity(q, dq), CHAIN.jacobian(q)[:3] @ dq, atol=1e-12)


@given(hnp.arrays(np.float64, (13, 2, 7), elements=st.floats(-7, 7)))
def test_one_state_gives_the_same_bits_alone_and_in_a_batch(states: np.ndarray) -> None:
    q, dq = states[:, 0], states[:, 1]
    batch = (*CHAIN.tool_motion(q, dq), CHAIN.jacobian(q), CHAIN.tool_position(q))
    for row in range(len(q)):
        alone = (*CHAIN.tool_motion(q[row], dq[row]), CHAIN.jacobian(q[row]), CHAIN.tool_position(q[row]))
        for one, many in zip(alone, batch, strict=True):
            np.testing.assert_array_equal(one, many[row])
    for pose in (CHAIN.tool_pose(q), CHAIN.pose_and_jacobian(q)):
        np.testing.assert_array_equal(pose[0], batch[0])
        np.testing.assert_array_equal(pose[1], batch[1])


def test_leading_dimensions_are_kept() -> None:
    q = np.random.default_rng(0).normal(size=(4, 5, 7))
    position, rotation = CHAIN.tool_pose(q)
    assert position.shape == (4, 5, 3) and rotation.shape == (4, 5, 3, 3)
    assert CHAIN.jacobian(q).shape == (4, 5, 6, 7)
    np.testing.assert_array_equal(position[2, 3], CHAIN.tool_position(q[2, 3]))
    np.testing.assert_array_equal(rotation[2, 3], CHAIN.tool_rotation(q[2, 3]))
    np.testing.assert_array_equal(CHAIN.jacobian(q)[2, 3], CHAIN.jacobian(q[2, 3]))


def test_home_points_straight_down() -> None:
    np.testing.assert_allclose(CHAIN.tool_rotation(ROBOT.home)[:, 0], [0, 0, -1], atol=2e-4)


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., 7\).*got \(6,\)"):
        CHAIN.tool_position(np.zeros(6))
    with pytest.raises(ValueError, match="same shape"):
        CHAIN.tool_velocity(np.zeros(7), np.zeros((2, 7)))


def test_chain_that_does_not_reach_the_tool_is_refused() -> None:
    broken = dataclasses.replace(ROBOT, urdf=ROBOT.urdf.replace('<child link="l_gripper_tool_frame"/>', ""))
    with pytest.raises(ValueError, match="not connected"):
        SerialChain(broken)
    with pytest.raises(ValueError, match="moves by"):
        SerialChain(dataclasses.replace(ROBOT, joint_names=ROBOT.joint_names[:-1]))


def test_kinematics_imports_neither_simulator_nor_learning_library() -> None:
    program = (
        "import sys; import safe_transfer_ros.robots.kinematics; "
        "print([name for name in ('mujoco', 'torch', 'gymnasium', 'rclpy', 'scipy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
