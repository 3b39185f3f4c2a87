# SPDX-License-Identifier: Apache-2.0
"""The Panda's URDF says what the published descriptions say, and its kinematics and dynamics follow from it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from safe_transfer_ros.robots.description import load
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.simulation import build_model

FACTS = yaml.safe_load((Path(__file__).parent / "panda_facts.yaml").read_text())
ROBOT = load("panda")
CHAIN = SerialChain(ROBOT)
MODEL = build_model(ROBOT)
ROD = 0.10  # m from the hand's tool centre point to the ball
# Denavit and Hartenberg's parameters as Craig has them, from Franka's documentation: a, d, alpha of the joint before.
CRAIG = [
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
]


def _tool_from_craig(q: np.ndarray) -> np.ndarray:
    product = np.eye(4)
    for (a, d, alpha), theta in zip(CRAIG, q, strict=True):
        c, s, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
        link = [[c, -s, 0, a], [s * ca, c * ca, -sa, -d * sa], [s * sa, c * sa, ca, d * ca], [0, 0, 0, 1]]
        product = product @ np.array(link)
    # Flange, hand turned by -45 degrees, fingers, rod.
    c, s = np.cos(-np.pi / 4), np.sin(-np.pi / 4)
    return product @ np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0.107 + 0.1034 + ROD], [0, 0, 0, 1]])


def test_limits_equal_the_published_numbers() -> None:
    limits = ROBOT.limits
    assert ROBOT.joint_names == tuple(joint["name"] for joint in FACTS["joints"])
    for index, joint in enumerate(FACTS["joints"]):
        published = joint["limit"]
        assert limits.lower[index] == published["lower"] < limits.soft_lower[index]
        assert limits.upper[index] == published["upper"] > limits.soft_upper[index]
        assert limits.velocity[index] == published["velocity"] and limits.effort[index] == published["effort"]
    assert (limits.k_position == 20.0).all() and list(limits.k_velocity) == [40.0] * 4 + [10.0] * 3
    np.testing.assert_allclose(limits.soft_lower - limits.lower, 0.1, atol=1e-12)
    np.testing.assert_allclose(limits.upper - limits.soft_upper, 0.1, atol=1e-12)
    assert (limits.damping == FACTS["friction"]["menagerie"]["damping"]).all()
    assert (ROBOT.armature == FACTS["friction"]["menagerie"]["armature"]).all()


def test_links_carry_the_published_masses_and_inertias() -> None:
    links = {link.get("name"): link for link in ElementTree.fromstring(ROBOT.urdf).iter("link")}
    expected = {f"panda_{name}": facts for name, facts in FACTS["links"].items() if name != "finger"}
    expected |= {f"panda_{side}finger": FACTS["links"]["finger"] for side in ("left", "right")}
    for name, facts in expected.items():
        inertial = links[name].find("inertial")
        assert inertial is not None, name
        mass, origin, inertia = (inertial.find(part) for part in ("mass", "origin", "inertia"))
        assert mass is not None and float(mass.get("value", "nan")) == facts["mass"], name
        assert origin is not None and [float(x) for x in origin.get("xyz", "").split()] == facts["com"], name
        assert inertia is not None and {key: float(x) for key, x in inertia.items()} == facts["inertia"], name
    massive = {name for name, link in links.items() if link.find("inertial") is not None}
    assert massive == {*expected, "panda_pusher"}


def test_tool_pose_equals_the_product_of_the_documented_transforms() -> None:
    rng = np.random.default_rng(0)
    for q in [ROBOT.home, *rng.uniform(ROBOT.limits.lower, ROBOT.limits.upper, (20, 7))]:
        position, rotation = CHAIN.tool_pose(q)
        expected = _tool_from_craig(q)
        np.testing.assert_allclose(position, expected[:3, 3], atol=1e-12)
        np.testing.assert_allclose(rotation, expected[:3, :3], atol=1e-12)


def test_home_points_straight_down_within_the_soft_limits() -> None:
    position, rotation = CHAIN.tool_pose(ROBOT.home)
    np.testing.assert_allclose(position, (0.5, 0.0, 0.055), atol=1e-8)
    np.testing.assert_allclose(rotation, np.diag([1.0, -1.0, -1.0]), atol=1e-8)
    assert (ROBOT.home > ROBOT.limits.soft_lower).all() and (ROBOT.home < ROBOT.limits.soft_upper).all()


def test_mass_matrix_is_the_sum_over_links_of_the_published_inertias() -> None:
    """Energy of a random motion, link by link from the facts, against half dq^T M dq of the simulated arm."""
    rng = np.random.default_rng(1)
    q, dq = rng.uniform(-1.5, 1.5, 7), rng.normal(size=7)
    rotation, origin = np.eye(3), np.zeros(3)
    spin, motion = np.zeros(3), np.zeros(3)
    energy = 0.5 * 0.1 * dq @ dq  # armature

    def add(facts: dict, mass_rotation: np.ndarray, at: np.ndarray) -> float:
        six = facts["inertia"]
        tensor = np.array(
            [
                [six["ixx"], six["ixy"], six["ixz"]],
                [six["ixy"], six["iyy"], six["iyz"]],
                [six["ixz"], six["iyz"], six["izz"]],
            ]
        )
        velocity = motion + np.cross(spin, at + mass_rotation @ np.array(facts["com"]) - origin)
        turned = mass_rotation @ tensor @ mass_rotation.T
        return 0.5 * facts["mass"] * velocity @ velocity + 0.5 * spin @ turned @ spin

    for index, ((a, d, alpha), theta) in enumerate(zip(CRAIG, q, strict=True)):
        ca, sa = np.cos(alpha), np.sin(alpha)
        before = origin
        origin = origin + rotation @ np.array([a, -d * sa, d * ca])
        motion = motion + np.cross(spin, origin - before)
        rotation = rotation @ np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
        spin = spin + dq[index] * rotation[:, 2]
        c, s = np.cos(theta), np.sin(theta)
        rotation = rotation @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        energy += add(FACTS["links"][f"link{index + 1}"], rotation, origin)
    c, s = np.cos(-np.pi / 4), np.sin(-np.pi / 4)
    hand = rotation @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    flange = origin + rotation @ np.array([0, 0, 0.107])
    energy += add(FACTS["links"]["hand"], hand, flange)
    fingers = flange + hand @ np.array([0, 0, 0.0584])
    energy += add(FACTS["links"]["finger"], hand, fingers)
    energy += add(FACTS["links"]["finger"], hand @ np.diag([-1.0, -1.0, 1.0]), fingers)
    rod = {"mass": 0.03, "com": [0, 0, 0.04], "inertia": dict.fromkeys(("ixy", "ixz", "iyz"), 0.0)}
    rod["inertia"] |= {"ixx": 5e-5, "iyy": 5e-5, "izz": 1e-6}
    energy += add(rod, hand, flange + hand @ np.array([0, 0, 0.1034]))

    data = mujoco.MjData(MODEL)
    data.qpos[:], data.qvel[:] = q, dq
    mujoco.mj_forward(MODEL, data)
    dense = np.zeros((7, 7))
    mujoco.mj_fullM(MODEL, data, dense)
    assert 0.5 * dq @ dense @ dq == pytest.approx(energy, rel=1e-9)


def test_arm_floats_under_zero_torque() -> None:
    data = mujoco.MjData(MODEL)
    data.qpos[:] = ROBOT.home
    mujoco.mj_step(MODEL, data, 400)
    np.testing.assert_allclose(data.qpos, ROBOT.home, atol=1e-9)
