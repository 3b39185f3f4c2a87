# SPDX-License-Identifier: Apache-2.0
"""Point and car against numbers worked out by hand: masses, motors, what they stand on."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.traps.scene import BODY, car_model, point_model


def test_point_weighs_what_its_parts_do_and_is_driven_along_its_heading() -> None:
    model = point_model(timestep=0.002)
    mass = 4.0 / 3.0 * math.pi * 0.1**3 + 0.1**3
    assert model.body_mass.sum() == pytest.approx(mass)
    data = mujoco.MjData(model)
    data.qpos[2], data.ctrl[:] = math.radians(90.0), (5.0, 0.0)  # beyond the range
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qfrc_actuator, [0.0, 0.3 * 0.05, 0.0], atol=1e-12)
    data.ctrl[:] = (-1.0, -1.0)
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qfrc_actuator, [0.0, -0.3 * 0.05, -0.3 * 0.05], atol=1e-12)


def test_points_speeds_settle_where_motor_and_damping_balance() -> None:
    model = point_model(timestep=0.002)
    data = mujoco.MjData(model)
    data.ctrl[0] = 1.0
    mujoco.mj_step(model, data, 2500)
    assert data.qvel[0] == pytest.approx(0.015 / 0.01, rel=0.01)
    data.ctrl[:] = (0.0, 0.5)
    mujoco.mj_step(model, data, 500)
    assert data.qvel[2] == pytest.approx(0.3 * 0.5 / (0.3**2 + 0.005), rel=0.01)


def test_car_stands_on_three_wheels_and_drives_ahead() -> None:
    model = car_model(timestep=0.004)
    mass = 5.0 * (0.2 * 0.2 * 0.1 + 2.0 * math.pi * 0.05**2 * 0.05 + 4.0 / 3.0 * math.pi * 0.05**3)
    assert model.body_mass.sum() == pytest.approx(mass)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 250)
    assert data.body(BODY).xpos[2] == pytest.approx(0.1, abs=0.002)
    assert {model.geom(contact.geom2).name for contact in data.contact} == {"left", "right", "rear"}
    data.ctrl[:] = 3.0  # beyond the range
    mujoco.mj_forward(model, data)
    assert data.actuator_force.tolist() == [0.02, 0.02]
    data.ctrl[:] = 0.3
    mujoco.mj_step(model, data, 500)
    assert data.qpos[0] > 0.3 and abs(data.qpos[1]) < 0.05


def test_cars_wheels_turn_it() -> None:
    model = car_model(timestep=0.004)
    data = mujoco.MjData(model)
    data.ctrl[:] = (-0.3, 0.3)  # left back, right ahead: counter-clockwise
    mujoco.mj_step(model, data, 100)
    assert data.qvel[5] > 0.5


@pytest.mark.parametrize("build", [point_model, car_model])
@pytest.mark.parametrize("timestep", [0.0, -0.002, math.nan])
def test_senseless_timestep_is_refused(build: object, timestep: float) -> None:
    with pytest.raises(ValueError, match="timestep"):
        build(timestep=timestep)  # type: ignore[operator]
