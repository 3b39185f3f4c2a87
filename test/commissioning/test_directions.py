# SPDX-License-Identifier: Apache-2.0
"""Which joint a torque drove, told from how all of them moved."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.commissioning.directions import driven_joint, pushing_torque
from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.dynamics import ArmDynamics
from safe_transfer_ros.robots.simulation import ArmSimulation, build_model, perturbation

ROBOT = load("pr2_left_arm")
HOME = np.asarray(ROBOT.home)
DYNAMICS = ArmDynamics(ROBOT)
DURATION, TIMESTEP = 0.5, 0.002


def pushed(robot: str, position: np.ndarray, joint: int, amplitude: float) -> np.ndarray:
    """How far all joints have moved after a push of one, rad."""
    arm = ArmSimulation(build_model(ROBOT, perturbation(robot), TIMESTEP), ROBOT.joint_names)
    arm.reset(position)
    torque = np.zeros(7)
    for time_s in np.arange(0.0, DURATION, TIMESTEP):
        torque[joint] = amplitude * np.sin(2.0 * np.pi * time_s / DURATION)
        arm.step(torque)
    return arm.position - position


@pytest.mark.parametrize("robot", ["nominal", "tenth", "light_sticky"])
@pytest.mark.parametrize("joint", range(7))
def test_the_driven_joint_is_found_whatever_the_coupling(robot: str, joint: int) -> None:
    mobility = DYNAMICS.mobility(HOME)
    amplitude, way = pushing_torque(0.02, DURATION, mobility.max()), np.zeros(7)
    while np.abs(way).max() < 0.005:
        way = pushed(robot, HOME, joint, amplitude)
        amplitude *= 2.0
    assert driven_joint(way, mobility) == joint
    assert 0.0 < way[joint] < 0.3


def test_the_largest_displacement_alone_would_name_another_joint() -> None:
    rng = np.random.default_rng(0)
    limits = ROBOT.limits
    misled = 0
    for _ in range(10):
        position = rng.uniform(np.fmax(limits.soft_lower, -3.0), np.fmin(limits.soft_upper, 3.0))
        mobility = DYNAMICS.mobility(position)
        way = pushed("nominal", position, 0, pushing_torque(0.01, DURATION, mobility[0]))
        assert driven_joint(way, mobility) == 0
        misled += int(np.argmax(np.abs(way)) != 0)
    assert misled > 0


def test_a_push_moves_a_free_joint_as_far_as_was_asked() -> None:
    """Integrated by steps, of a joint with a mobility of 4."""
    amplitude = pushing_torque(0.02, DURATION, 4.0)
    times = np.arange(0.0, DURATION, 1e-4)
    speed = np.cumsum(4.0 * amplitude * np.sin(2.0 * np.pi * times / DURATION)) * 1e-4
    assert np.sum(speed) * 1e-4 == pytest.approx(0.02, rel=1e-3)
    assert abs(speed[-1]) < 1e-3, "at rest again"
