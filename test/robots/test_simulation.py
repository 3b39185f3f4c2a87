# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo arm: its mass matrix, perturbations, limits and determinism."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.simulation import (
    NOMINAL,
    PERTURBATIONS,
    ArmSimulation,
    Perturbation,
    UnstableSimulationError,
    build_model,
    check_stable,
    perturbation,
)

FACTS = yaml.safe_load((Path(__file__).parent / "pr2_left_arm_facts.yaml").read_text())
ROBOT = load("pr2_left_arm")
MODEL = build_model(ROBOT)
factors = st.floats(0.01, 10.0)


def _arm(model: mujoco.MjModel = MODEL) -> ArmSimulation:
    arm = ArmSimulation(model, ROBOT.joint_names)
    arm.reset(ROBOT.home)
    return arm


def _mass_matrix(model: mujoco.MjModel, q: np.ndarray) -> np.ndarray:
    data = mujoco.MjData(model)
    data.qpos[:] = q
    mujoco.mj_forward(model, data)
    dense = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, dense)
    return dense


def _turn(axis: list[int], angle: float) -> np.ndarray:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _mass_matrix_from_facts(
    q: np.ndarray, mass: float = 1.0, inertia: float = 1.0, armature: float = 1.0
) -> np.ndarray:
    """Sum over links of J^T diag(m, I) J from the published numbers, the cup and the armature added."""
    frames: dict[str, tuple[np.ndarray, np.ndarray, int]] = {}
    origins, axes = [], []
    rotation, origin = np.eye(3), np.zeros(3)
    for index, (joint, angle) in enumerate(zip(FACTS["joints"], q, strict=True)):
        origin = origin + rotation @ np.array(joint["origin_xyz"])
        axes.append(rotation @ np.array(joint["axis"]))
        origins.append(origin)
        rotation = rotation @ _turn(joint["axis"], angle)
        frames[joint["child"]] = (rotation, origin, index)
    fingers = FACTS["gripper"]["finger"]
    fixed = [(entry["parent"], entry["child"], entry["xyz"]) for entry in FACTS["fixed"]] + [
        ("l_gripper_palm_link", "l_gripper_l_finger_link", fingers["l_origin"]),
        ("l_gripper_palm_link", "l_gripper_r_finger_link", fingers["r_origin"]),
        ("l_gripper_l_finger_link", "l_gripper_l_finger_tip_link", fingers["tip_origin_l"]),
        ("l_gripper_r_finger_link", "l_gripper_r_finger_tip_link", fingers["tip_origin_r"]),
    ]
    for parent, child, xyz in fixed:
        turned, at, index = frames[parent]
        frames[child] = (turned, at + turned @ np.array(xyz), index)
    links = {}
    for name, link in FACTS["links"].items():
        six = link["inertia"]
        tensor = np.array(
            [
                [six["ixx"], six["ixy"], six["ixz"]],
                [six["ixy"], six["iyy"], six["iyz"]],
                [six["ixz"], six["iyz"], six["izz"]],
            ]
        )
        links[name] = (link["mass"], np.array(link["com"]), tensor)
    # .2 kg, radius 3.5 cm, height 10 cm, axis along the tool's x.
    across = 0.2 * (3 * 0.035**2 + 0.1**2) / 12
    links["l_gripper_tool_frame"] = (0.2, np.zeros(3), np.diag([0.2 * 0.035**2 / 2, across, across]))
    matrix = armature * 0.04 * np.eye(7)
    for name, (weight, com, tensor) in links.items():
        turned, at, last = frames[name]
        centre = at + turned @ com
        linear, angular = np.zeros((3, 7)), np.zeros((3, 7))
        for joint in range(last + 1):
            linear[:, joint] = np.cross(axes[joint], centre - origins[joint])
            angular[:, joint] = axes[joint]
        turned_tensor = turned @ tensor @ turned.T
        matrix += mass * weight * linear.T @ linear + inertia * angular.T @ turned_tensor @ angular
    return matrix


def test_motors_and_joints_come_in_the_descriptions_order() -> None:
    assert tuple(MODEL.joint(i).name for i in range(MODEL.njnt)) == ROBOT.joint_names
    assert tuple(MODEL.actuator(i).name for i in range(MODEL.nu)) == ROBOT.joint_names


def test_limits_friction_and_armature_reach_the_model() -> None:
    np.testing.assert_array_equal(MODEL.jnt_actfrcrange[:, 1], ROBOT.limits.effort)
    np.testing.assert_array_equal(MODEL.jnt_actfrcrange[:, 0], -ROBOT.limits.effort)
    bounded = np.isfinite(ROBOT.limits.lower)
    np.testing.assert_array_equal(MODEL.jnt_limited.astype(bool), bounded)
    np.testing.assert_allclose(MODEL.jnt_range[bounded, 0], ROBOT.limits.lower[bounded])
    np.testing.assert_allclose(MODEL.jnt_range[bounded, 1], ROBOT.limits.upper[bounded])
    np.testing.assert_array_equal(MODEL.dof_damping, ROBOT.limits.damping)
    np.testing.assert_array_equal(MODEL.dof_frictionloss, 0.0)
    np.testing.assert_array_equal(MODEL.dof_armature, 0.04)
    assert MODEL.opt.timestep == 0.005
    assert MODEL.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_AUTORESET
    assert MODEL.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST


@pytest.mark.parametrize("seed", range(5))
def test_mass_matrix_equals_the_published_inertias(seed: int) -> None:
    q = np.random.default_rng(seed).uniform(-2, 2, 7)
    np.testing.assert_allclose(_mass_matrix(MODEL, q), _mass_matrix_from_facts(q), rtol=1e-9, atol=1e-12)


def test_fixed_links_are_fused_for_speed() -> None:
    assert MODEL.nbody == 1 + 7


def test_tool_site_is_where_the_kinematics_say() -> None:
    chain = SerialChain(ROBOT)
    data = mujoco.MjData(MODEL)
    for seed in range(10):
        data.qpos[:] = np.random.default_rng(seed).uniform(-3, 3, 7)
        mujoco.mj_kinematics(MODEL, data)
        position, rotation = chain.tool_pose(data.qpos)
        np.testing.assert_allclose(data.site("l_gripper_tool_frame").xpos, position, atol=1e-12)
        np.testing.assert_allclose(data.site("l_gripper_tool_frame").xmat.reshape(3, 3), rotation, atol=1e-12)


@pytest.mark.parametrize("name", sorted(PERTURBATIONS))
def test_arm_holds_still_without_torque(name: str) -> None:
    arm = _arm(build_model(ROBOT, perturbation(name)))
    arm.step(np.zeros(7), 2000)
    np.testing.assert_allclose(arm.position, ROBOT.home, atol=1e-6)


def test_arm_without_compensation_falls() -> None:
    arm = _arm(build_model(dataclasses.replace(ROBOT, gravity_compensated=False)))
    arm.step(np.zeros(7), 200)
    assert np.abs(arm.position - ROBOT.home).max() > 0.1


@settings(max_examples=20, deadline=None)
@given(factors, factors, factors, factors, st.floats(0.0, 2.0))
def test_perturbation_scales_exactly_what_it_says(
    mass: float, damping: float, inertia: float, armature: float, frictionloss: float
) -> None:
    perturbed = Perturbation(mass=mass, damping=damping, inertia=inertia, armature=armature, frictionloss=frictionloss)
    model = build_model(ROBOT, perturbed)
    np.testing.assert_allclose(model.body_mass, MODEL.body_mass * mass)
    np.testing.assert_allclose(
        _mass_matrix(model, ROBOT.home),
        _mass_matrix_from_facts(ROBOT.home, mass, inertia, armature),
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(model.dof_damping, MODEL.dof_damping * damping)
    np.testing.assert_allclose(model.dof_armature, MODEL.dof_armature * armature)
    np.testing.assert_allclose(model.dof_frictionloss, frictionloss)
    for untouched in ("jnt_range", "jnt_actfrcrange", "body_pos", "body_gravcomp"):
        np.testing.assert_array_equal(getattr(model, untouched), getattr(MODEL, untouched))


def test_perturbed_model_equals_one_rebuilt_from_a_scaled_urdf() -> None:
    def scaled(match: re.Match[str]) -> str:
        return f'{match[1]}="{float(match[2]) * 0.1!r}"'

    urdf = re.sub(r'(?<=<mass )(value)="([^"]+)"', scaled, ROBOT.urdf)
    urdf = re.sub(r'\b(i[xyz]{2})="([^"]+)"', scaled, urdf)
    urdf = re.sub(r'\b(damping)="([^"]+)"', scaled, urdf)
    assert ROBOT.payload is not None
    light = dataclasses.replace(
        ROBOT,
        urdf=urdf,
        armature=ROBOT.armature * 0.1,
        payload=dataclasses.replace(ROBOT.payload, mass=ROBOT.payload.mass * 0.1),
    )
    rebuilt, perturbed = build_model(light), build_model(ROBOT, PERTURBATIONS["tenth"])
    # Derived constants included: a model scaled after compilation would keep some of the old robot's.
    names = [
        "body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_M0", "dof_invweight0",
        "dof_damping", "dof_armature", "actuator_acc0",
    ]  # fmt: skip
    for name in names:
        np.testing.assert_allclose(getattr(perturbed, name), getattr(rebuilt, name), rtol=1e-9, err_msg=name)
    assert perturbed.stat.meaninertia == pytest.approx(rebuilt.stat.meaninertia)
    arms = [_arm(rebuilt), _arm(perturbed)]
    for arm in arms:
        arm.step(np.full(7, 0.3), 50)
    np.testing.assert_allclose(arms[0].position, arms[1].position, atol=1e-9)


def test_named_perturbations_are_the_studied_ones() -> None:
    assert PERTURBATIONS["nominal"] == NOMINAL == Perturbation()
    sticky = PERTURBATIONS["light_sticky"]
    assert sticky == dataclasses.replace(PERTURBATIONS["tenth"], frictionloss=0.2)
    assert PERTURBATIONS["thirtieth"].armature == pytest.approx(1 / 30)
    with pytest.raises(ValueError, match="did you mean 'light_sticky'"):
        perturbation("light_stick")


@pytest.mark.parametrize("bad", [{"mass": 0.0}, {"inertia": -1.0}, {"damping": -0.1}, {"frictionloss": float("nan")}])
def test_impossible_perturbation_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"perturbation: {next(iter(bad))} must be finite"):
        Perturbation(**bad)


def test_sticky_arm_does_not_move_under_a_tenth_newton_metre() -> None:
    """What makes the default transfer robot need more torque than the first limit allows."""
    sticky = _arm(build_model(ROBOT, PERTURBATIONS["light_sticky"]))
    slippery = _arm(build_model(ROBOT, PERTURBATIONS["tenth"]))
    for arm in (sticky, slippery):
        arm.step(np.full(7, 0.1), 200)
    assert np.abs(sticky.position - ROBOT.home).max() < 0.05
    assert np.abs(slippery.position - ROBOT.home).max() > 0.5


def test_effort_limit_bounds_the_motor() -> None:
    strong, limit = _arm(), _arm()
    strong.step(ROBOT.limits.effort * 10)
    limit.step(ROBOT.limits.effort)
    np.testing.assert_array_equal(strong.position, limit.position)


def test_next_state_depends_on_state_and_torque_alone() -> None:
    """Coulomb friction keeps the solver busy, so a warm start left over would show in the last digits."""
    model = build_model(ROBOT, PERTURBATIONS["light_sticky"])
    rng = np.random.default_rng(0)
    travelled = _arm(model)
    for _ in range(30):
        travelled.step(rng.normal(size=7), 10)
    fresh = ArmSimulation(model, ROBOT.joint_names)
    fresh.reset(travelled.position, travelled.velocity)
    torque = rng.normal(size=7)
    travelled.step(torque, 10)
    fresh.step(torque, 10)
    np.testing.assert_array_equal(travelled.position, fresh.position)
    np.testing.assert_array_equal(travelled.velocity, fresh.velocity)


def test_arrays_follow_the_given_joint_order() -> None:
    backwards = tuple(reversed(ROBOT.joint_names))
    arm, straight = ArmSimulation(MODEL, backwards), _arm()
    arm.reset(ROBOT.home[::-1])
    torque = np.arange(7) / 10
    arm.step(torque[::-1], 10)
    straight.step(torque, 10)
    np.testing.assert_array_equal(arm.position[::-1], straight.position)
    np.testing.assert_array_equal(arm.velocity[::-1], straight.velocity)
    assert arm.time == pytest.approx(0.05)
    arm.position[:] = 9.0
    assert arm.position[0] != 9.0


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.r_[np.zeros(6), np.inf], np.zeros(6)])
def test_bad_torque_is_refused_and_changes_nothing(bad: np.ndarray) -> None:
    arm = _arm()
    with pytest.raises(ValueError, match="torque must"):
        arm.step(bad)
    np.testing.assert_array_equal(arm.position, ROBOT.home)
    assert arm.time == 0.0


def test_reset_forgets_everything() -> None:
    arm = _arm()
    arm.step(np.ones(7), 100)
    arm.reset(ROBOT.home)
    assert arm.time == 0.0
    np.testing.assert_array_equal(arm.velocity, 0.0)
    np.testing.assert_array_equal(arm.data.ctrl, 0.0)
    arm.reset(ROBOT.home, np.arange(7) / 10)
    np.testing.assert_array_equal(arm.velocity, np.arange(7) / 10)


def test_bad_reset_and_unknown_joint_are_refused() -> None:
    arm = _arm()
    with pytest.raises(ValueError, match="position must be finite"):
        arm.reset(np.full(7, np.nan))
    with pytest.raises(ValueError, match="no joint and motor named 'l_elbow_flx_joint'.*l_elbow_flex_joint"):
        ArmSimulation(MODEL, ("l_elbow_flx_joint",))


@pytest.mark.parametrize("name", sorted(PERTURBATIONS))
def test_stable_under_full_random_torque(name: str) -> None:
    arm = _arm(build_model(ROBOT, PERTURBATIONS[name]))
    rng = np.random.default_rng(0)
    for _ in range(200):
        arm.step(rng.uniform(-3, 3, 7), 10)
    assert np.abs(arm.velocity).max() < 400.0


def test_divergence_is_an_error_not_a_silent_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to a file where it stands.
    arm = _arm(build_model(ROBOT, Perturbation(mass=0.01, damping=0.01, inertia=0.01, armature=0.01)))
    rng = np.random.default_rng(0)
    with pytest.raises(UnstableSimulationError, match="milder perturbation"):
        for _ in range(400):
            arm.step(rng.uniform(-30, 30, 7), 10)


@pytest.mark.parametrize("velocity", [np.nan, np.inf, 700.0])
def test_velocity_that_is_no_longer_physics_is_refused(velocity: float) -> None:
    check_stable(np.full(7, 600.0), 0.005)
    with pytest.raises(UnstableSimulationError, match="diverged"):
        check_stable(np.r_[np.zeros(6), velocity], 0.005)


def test_building_costs_little_more_than_compiling() -> None:
    def seconds(action: object) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            for _ in range(5):
                action()  # type: ignore[operator]
            times.append(time.perf_counter() - start)
        return min(times)

    baseline = seconds(lambda: mujoco.MjModel.from_xml_string(ROBOT.urdf))
    assert seconds(lambda: build_model(ROBOT, PERTURBATIONS["tenth"])) < 6.0 * baseline
