# SPDX-License-Identifier: Apache-2.0
"""The quadruped's model against numbers worked out by hand, and a build's effect on it."""

from __future__ import annotations

import copy
import math

import mujoco
import numpy as np
import pytest

from safe_transfer_ros.tasks.quadruped.scene import LEGS, TRUNK, quadruped_model
from safe_transfer_ros.tasks.quadruped.simulation import rebuild
from safe_transfer_ros.tasks.quadruped.task import HOME, Build


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return quadruped_model(timestep=0.004, foot_friction=1.25)


def test_masses_motors_and_ranges_are_those_stated(model: mujoco.MjModel) -> None:
    assert model.body_mass.sum() == pytest.approx(5.204 + 4.0 * (0.68 + 1.009 + 0.196))
    names = [f"{leg}_{joint}" for leg in ("FR", "FL", "RR", "RL") for joint in ("abduction", "hip", "knee")]
    assert [model.actuator(index).name for index in range(12)] == names
    assert [model.joint(index + 1).name for index in range(12)] == names
    np.testing.assert_allclose(model.jnt_range[1:4], [[-0.863, 0.863], [-0.686, 4.501], [-2.818, -0.888]])
    np.testing.assert_allclose(model.actuator_forcerange[:3, 1], [23.7, 23.7, 35.55])
    data = mujoco.MjData(model)
    data.qpos[7:] = HOME
    data.ctrl[:] = HOME + 0.1
    data.ctrl[4] = HOME[4] + 1.0
    mujoco.mj_forward(model, data)
    expected = np.full(12, 10.0)
    expected[4] = 23.7
    np.testing.assert_allclose(data.actuator_force, expected, atol=1e-9)


def test_standing_puts_every_foot_below_its_hip(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    data.qpos[:7], data.qpos[7:] = (0.0, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0), HOME
    mujoco.mj_forward(model, data)
    for leg in LEGS:
        expected = (0.1881 * leg.front, 0.12675 * leg.left, 0.3 - 2.0 * 0.213 * math.cos(0.9))
        np.testing.assert_allclose(data.geom(leg.name).xpos, expected, atol=1e-9)


def test_the_feet_alone_have_the_friction_given(model: mujoco.MjModel) -> None:
    feet = {leg.name for leg in LEGS}
    assert {model.geom(name).friction[0] for name in feet} == {1.25}
    assert {int(model.geom(name).priority[0]) for name in feet} == {1} and (model.geom_priority > 0).sum() == 4


def test_a_build_changes_what_it_says_and_nothing_else(model: mujoco.MjModel) -> None:
    changed = copy.copy(model)
    strength = np.linspace(0.8, 1.2, 12)
    rebuild(
        changed,
        model,
        Build(trunk_mass=1.1, leg_mass=0.9, trunk_inertia=0.7, leg_inertia=1.4, strength=strength, foot_friction=0.6),
    )
    legs = [index for index in range(1, model.nbody) if model.body(index).name != TRUNK]
    assert len(legs) == 12
    np.testing.assert_allclose(changed.body(TRUNK).mass, 1.1 * model.body(TRUNK).mass)
    np.testing.assert_allclose(changed.body(TRUNK).inertia, 0.7 * model.body(TRUNK).inertia)
    np.testing.assert_allclose(changed.body_mass[legs], 0.9 * model.body_mass[legs])
    np.testing.assert_allclose(changed.body_inertia[legs], 1.4 * model.body_inertia[legs])
    np.testing.assert_allclose(changed.actuator_forcerange, strength[:, None] * model.actuator_forcerange)
    assert changed.geom("FR").friction[0] == 0.6 and model.geom("FR").friction[0] == 1.25
    assert changed.geom("floor").friction[0] == model.geom("floor").friction[0]
    assert changed.dof_invweight0[0] == pytest.approx(model.dof_invweight0[0] / 1.1, rel=0.2)
    assert changed.dof_invweight0[0] != model.dof_invweight0[0]


@pytest.mark.parametrize("settings", [{"timestep": 0.0}, {"timestep": 0.004, "foot_friction": math.nan}])
def test_senseless_numbers_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        quadruped_model(**settings)
