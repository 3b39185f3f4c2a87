# SPDX-License-Identifier: Apache-2.0
"""The ant's model against numbers worked out by hand: sizes, masses, ranges, motors, contacts."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.ant_avenue.scene import TORSO, ant_model
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue, AntState
from safe_transfer_ros.tasks.floor import FLOOR

MOTORS = ("hip_4", "ankle_4", "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3")
BENT = np.radians([0.0, 90.0, 0.0, 90.0, 0.0, -90.0, 0.0, -90.0])


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return ant_model(gear=AntAvenue.gear, timestep=AntAvenue.timestep_s)


def placed(model: mujoco.MjModel, joints: np.ndarray, height: float = 0.75) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:3], data.qpos[7:] = (0.0, 0.0, height), joints
    mujoco.mj_forward(model, data)
    return data


def test_motors_and_joints_are_in_the_stated_order(model: mujoco.MjModel) -> None:
    assert tuple(model.actuator(index).name for index in range(model.nu)) == MOTORS
    assert tuple(model.joint(index + 1).name for index in range(8)) == MOTORS
    assert (model.actuator_gear[:, 0] == 150.0).all() and (model.actuator_ctrlrange == (-1.0, 1.0)).all()
    for index in range(8):
        data = placed(model, BENT)
        at_rest = data.qfrc_actuator.copy()
        data.ctrl[index] = 3.0  # beyond the range
        mujoco.mj_forward(model, data)
        expected = np.zeros(14)
        expected[6 + index] = 150.0
        np.testing.assert_allclose(data.qfrc_actuator - at_rest, expected)


def test_ranges_are_those_that_angles_are_scaled_by(model: mujoco.MjModel) -> None:
    task = AntAvenue()
    for end, value in ((0, -1.0), (1, 1.0)):
        joints = model.jnt_range[1:, end]
        zero = np.zeros(8)
        seen = AntState(
            position=zero,
            velocity=zero,
            orientation=zero,
            angular_velocity=zero,
            joint_position=joints,
            joint_velocity=zero,
            contact=zero > 0.0,
        )
        np.testing.assert_allclose(task.scaled_angle(seen), value)


def test_sizes_masses_and_joints(model: mujoco.MjModel) -> None:
    ball = 4.0 / 3.0 * math.pi
    short, long = math.hypot(0.2, 0.2), math.hypot(0.4, 0.4)
    capsules = sum(4 * (math.pi * 0.08**2 * length + ball * 0.08**3) for length in (short, short, long))
    assert model.body_mass.sum() == pytest.approx(5.0 * (ball * 0.25**3 + capsules))
    assert (model.dof_armature[6:] == 1.0).all() and (model.dof_damping[6:] == 1.0).all()
    assert (model.dof_damping[:6] == 0.0).all() and (model.dof_armature[:6] == 0.0).all()
    assert (model.geom_friction == (1.5, 0.1, 0.1)).all()
    assert model.opt.timestep == pytest.approx(1.0 / 240.0)
    assert model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_AUTORESET, "what diverged is not begun again"


def test_feet_point_down_and_outwards(model: mujoco.MjModel) -> None:
    """At 90 degrees straight down; at 30, the other end of the range, still below the hip, and further out."""
    for joints, down, out in ((BENT, 1.0, 0.0), (BENT / 3.0, 0.5, math.cos(math.radians(30.0)))):
        data = placed(model, joints)
        for leg, side in {"1": (1, 1), "2": (-1, 1), "3": (-1, -1), "4": (1, -1)}.items():
            foot = model.geom(f"foot_{leg}").id
            centre = data.geom_xpos[foot] - data.body(TORSO).xpos
            length = math.hypot(0.4, 0.4)
            reach = math.hypot(0.4, 0.4) + 0.5 * length * out  # aux and upper leg, then half the foot
            expected = (*(reach * math.sqrt(0.5) * np.array(side)), -0.5 * length * down)
            np.testing.assert_allclose(centre, expected, atol=1e-9)


def test_a_positive_hip_turns_its_leg_to_the_left(model: mujoco.MjModel) -> None:
    turned = placed(model, BENT + np.radians(10.0) * (np.arange(8) % 2 == 0))
    straight = placed(model, BENT)
    for leg in "1234":
        ends = [data.geom(f"foot_{leg}").xpos for data in (straight, turned)]
        assert np.cross(*ends)[2] > 0.0


def test_only_the_floor_is_touched(model: mujoco.MjModel) -> None:
    """Legs turned through each other, which their joints would not let them: an overlap is no contact."""
    data = placed(model, np.radians([80.0, 0.0, -80.0, 0.0, 80.0, 0.0, -80.0, 0.0]), height=0.05)
    feet = [model.geom(f"foot_{leg}").id for leg in "41"]
    assert mujoco.mj_geomDistance(model, data, *feet, 1.0, None) < -0.05
    touched = {frozenset(model.geom(int(geom)).name for geom in pair.geom) for pair in data.contact}
    assert len(touched) == 13 and all(FLOOR in pair for pair in touched)
    data = placed(model, BENT, 0.3)
    touched = {frozenset(model.geom(int(geom)).name for geom in pair.geom) for pair in data.contact}
    assert frozenset((FLOOR, TORSO)) not in touched
    assert frozenset((FLOOR, TORSO)) in {
        frozenset(model.geom(int(geom)).name for geom in pair.geom) for pair in placed(model, BENT, 0.24).contact
    }


@pytest.mark.parametrize("given", [{"gear": 0.0, "timestep": 0.01}, {"gear": 1.0, "timestep": float("nan")}])
def test_senseless_settings_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        ant_model(**given)
