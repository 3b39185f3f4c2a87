# SPDX-License-Identifier: Apache-2.0
"""The FR3's URDF says what Franka publishes, and urdf/fr3.xml is the same arm."""

from __future__ import annotations

import mujoco
import numpy as np

from safe_transfer_ros import resources
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.simulation import build_model

ROBOT = load("fr3")
FOR_FRANKA_SIM = mujoco.MjModel.from_xml_path(str(resources.path("urdf/fr3.xml")))
# "Limits for Franka Research 3" of Franka's FCI documentation: lower, upper, velocity, effort.
PUBLISHED = (
    (-2.7437, 2.7437, 2.62, 87.0),
    (-1.7837, 1.7837, 2.62, 87.0),
    (-2.9007, 2.9007, 2.62, 87.0),
    (-3.0421, -0.1518, 2.62, 87.0),
    (-2.8065, 2.8065, 5.26, 12.0),
    (0.5445, 4.5169, 4.18, 12.0),
    (-3.0159, 3.0159, 5.26, 12.0),
)


def test_limits_equal_the_published_numbers() -> None:
    limits = ROBOT.limits
    assert ROBOT.joint_names == tuple(f"fr3_joint{number}" for number in range(1, 8))
    for index, (lower, upper, velocity, effort) in enumerate(PUBLISHED):
        assert (limits.lower[index], limits.upper[index]) == (lower, upper)
        assert (limits.velocity[index], limits.effort[index]) == (velocity, effort)
    np.testing.assert_allclose(limits.soft_lower - limits.lower, 0.1, atol=1e-12)
    np.testing.assert_allclose(limits.upper - limits.soft_upper, 0.1, atol=1e-12)
    assert (limits.soft_lower < ROBOT.home).all() and (ROBOT.home < limits.soft_upper).all()


def test_nothing_in_the_description_can_hold_a_torque() -> None:
    assert "<safety_controller" not in ROBOT.urdf.split("-->")[-1]


def test_the_flange_is_where_the_documentation_puts_it() -> None:
    """At zero Denavit and Hartenberg's lengths add up: a4 and a5 cancel, a7 = .088; d1 + d3 + d5 - .107."""
    flange = SerialChain(ROBOT).tool_position(np.zeros(7))
    np.testing.assert_allclose(flange, [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107], atol=1e-12)


def test_the_arm_for_franka_sim_is_the_arm_of_the_description() -> None:
    ours, theirs = build_model(ROBOT), FOR_FRANKA_SIM
    names = [theirs.joint(index).name for index in range(theirs.njnt)]
    assert names == list(ROBOT.joint_names)
    np.testing.assert_allclose(theirs.jnt_range, np.stack([ROBOT.limits.lower, ROBOT.limits.upper], axis=1))
    np.testing.assert_array_equal(theirs.dof_armature, ROBOT.armature)
    random = np.random.default_rng(5)
    for _ in range(3):
        position = random.uniform(ROBOT.limits.lower, ROBOT.limits.upper)
        inertia, gravity = zip(*(_dynamics(model, position) for model in (ours, theirs)), strict=True)
        np.testing.assert_allclose(*inertia, atol=1e-5)
        np.testing.assert_allclose(*gravity, atol=1e-3)


def _dynamics(model: mujoco.MjModel, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inertia matrix, kg m2, and g(q), N m, at rest."""
    data = mujoco.MjData(model)
    data.qpos[:] = position
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    return inertia, data.qfrc_bias.copy()
