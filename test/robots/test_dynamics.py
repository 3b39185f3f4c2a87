# SPDX-License-Identifier: Apache-2.0
"""What carries an arm, against the energy and against the arm itself."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.robots.simulation import ArmSimulation, build_model
from safe_transfer_ros.safety.filter.gravity_term import GravityTerm

ROBOT = load("pr2_left_arm")
HANGING = np.array([0.714, 1.2, 1.828, -1.459, 1.634, -1.306, 0.0])  # not more than the motors can hold
DYNAMICS = ArmDynamics(ROBOT)


def heavy(timestep: float = 0.001) -> mujoco.MjModel:
    """The arm without the springs that carry it."""
    model = build_model(ROBOT, timestep=timestep)
    model.body_gravcomp[:] = 0.0
    return model


@pytest.mark.parametrize("position", [np.asarray(ROBOT.home), HANGING])
def test_gravity_torque_is_the_slope_of_the_potential_energy(position: np.ndarray) -> None:
    model = heavy()
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    data = mujoco.MjData(model)

    def energy(where: np.ndarray) -> float:
        data.qpos[:] = where
        mujoco.mj_forward(model, data)
        return float(data.energy[0])

    step = 1e-5 * np.eye(7)
    slope = [(energy(position + one) - energy(position - one)) / 2e-5 for one in step]
    np.testing.assert_allclose(DYNAMICS.gravity_torque(position), slope, atol=1e-6)


def test_the_term_carries_an_arm_that_falls_without_it() -> None:
    arm = ArmSimulation(heavy(), ROBOT.joint_names)
    ways = {}
    for carried in (True, False):
        term = GravityTerm(DYNAMICS.gravity_torque, ROBOT.limits.effort, 1000.0)
        arm.reset(HANGING)
        for step in range(1000):
            term.move(arm.position, step * 1_000_000, 0.001)
            arm.step(term.carry(np.zeros(7), np.empty(7)) if carried else np.zeros(7))
        ways[carried] = float(np.abs(arm.position - HANGING).max())
    assert ways[True] < 1e-6 and ways[False] > 0.3


def test_mobility_is_acceleration_per_torque_of_a_joint_alone() -> None:
    model = build_model(ROBOT)
    data = mujoco.MjData(model)
    data.qpos[:] = HANGING
    model.dof_damping[:] = 0.0
    for joint, mobility in enumerate(DYNAMICS.mobility(HANGING)):
        data.qfrc_applied[:] = 0.0
        data.qfrc_applied[joint] = 1e-3
        mujoco.mj_forward(model, data)
        assert data.qacc[joint] == pytest.approx(1e-3 * mobility, rel=1e-6)
