# SPDX-License-Identifier: Apache-2.0
"""The PR2's URDF says what the published description says, and bad descriptions are refused."""

from __future__ import annotations

import dataclasses
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.robots import description
from safe_transfer_ros.robots.facts import SoftJointLimits
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.pr2 import PR2_LEFT_ARM

FACTS = yaml.safe_load((Path(__file__).parent / "pr2_left_arm_facts.yaml").read_text())
ROBOT = description.load("pr2_left_arm")


def _numbers(text: str | None) -> list[float]:
    return [float(value) for value in (text or "").split()]


def test_joint_names_are_the_published_ones_in_chain_order() -> None:
    assert ROBOT.joint_names == tuple(joint["name"] for joint in FACTS["joints"])


@pytest.mark.parametrize("index", range(7))
def test_limits_equal_the_published_numbers(index: int) -> None:
    facts, limits = FACTS["joints"][index], ROBOT.limits
    hard, safety = facts["limit"], facts["safety"]

    def given(value: float | None, absent: float) -> float:
        return absent if value is None else value

    assert limits.lower[index] == given(hard["lower"], -np.inf)
    assert limits.upper[index] == given(hard["upper"], np.inf)
    assert limits.effort[index] == hard["effort"]
    assert limits.velocity[index] == hard["velocity"]
    assert limits.soft_lower[index] == given(safety["soft_lower"], -np.inf)
    assert limits.soft_upper[index] == given(safety["soft_upper"], np.inf)
    assert limits.k_position[index] == given(safety["k_position"], np.inf)
    assert limits.k_velocity[index] == safety["k_velocity"]
    assert limits.damping[index] == facts["damping"]
    assert limits.friction[index] == facts["friction"]


def test_joint_that_turns_for_ever_has_no_finite_position_bound_to_multiply() -> None:
    forever = ROBOT.joint_names.index("l_forearm_roll_joint")
    limits = ROBOT.limits
    bound = limits.k_position[forever] * (limits.soft_upper[forever] - 1e6)
    assert bound == np.inf


def test_urdf_links_carry_the_published_masses_and_inertias() -> None:
    links = {link.get("name"): link for link in ElementTree.fromstring(ROBOT.urdf).iter("link")}
    for name, facts in FACTS["links"].items():
        inertial = links[name].find("inertial")
        assert inertial is not None, name
        assert float(inertial.find("mass").get("value")) == facts["mass"]  # type: ignore[union-attr, arg-type]
        assert _numbers(inertial.find("origin").get("xyz")) == facts["com"]  # type: ignore[union-attr]
        inertia = inertial.find("inertia")
        assert {key: float(value) for key, value in inertia.items()} == facts["inertia"]  # type: ignore[union-attr]
    massive = {name for name, link in links.items() if link.find("inertial") is not None}
    assert massive == set(FACTS["links"])


def test_arrays_cannot_be_written() -> None:
    for field in dataclasses.fields(ROBOT.limits):
        with pytest.raises(ValueError, match="read-only"):
            getattr(ROBOT.limits, field.name)[0] = 0.0


def test_home_lies_within_the_soft_limits() -> None:
    assert (ROBOT.home > ROBOT.limits.soft_lower).all()
    assert (ROBOT.home < ROBOT.limits.soft_upper).all()


def test_unknown_robot_names_the_nearest() -> None:
    assert "pr2_left_arm" in description.available()
    with pytest.raises(ValueError, match="did you mean 'pr2_left_arm'"):
        description.load("pr2_left_amr")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<robot", "<<robot", "not readable XML"),
        ('name="l_elbow_flex_joint"', 'name="elbow"', "no joint 'l_elbow_flex_joint'"),
        ('effort="10.0"', "", "lacks 'effort'"),
        ('effort="10.0"', 'effort="nan"', "'effort' must be a finite number, got 'nan'"),
        ('velocity="3.6"', 'velocity="0"', "velocity limit must be positive"),
        ('lower="-2.18" upper="0.0"', 'lower="2.18" upper="0.0"', "lower limits must lie below"),
        ('lower="-2.18" upper="0.0"', 'lower="-1.9" upper="0.0"', "soft limits must lie within"),
        (
            '<dynamics damping="10.0"',
            '<safety_controller k_velocity="1.0"/><dynamics damping="10.0"',
            "in the URDF and in its RobotFacts",
        ),
        (
            '<joint name="l_wrist_roll_joint"',
            '<joint name="l_elbow_flex_joint" type="fixed"/><joint name="l_wrist_roll_joint"',
            "has joint 'l_elbow_flex_joint' 2 times",
        ),
        ('damping="10.0"', 'damping="-1"', "damping must not be negative"),
        (
            'name="l_elbow_flex_joint" type="revolute"',
            'name="l_elbow_flex_joint" type="prismatic"',
            "prismatic",
        ),
    ],
)
def test_bad_urdf_is_refused_with_its_reason(old: str, new: str, message: str) -> None:
    assert old in ROBOT.urdf
    with pytest.raises(ValueError, match=message):
        description.describe(PR2_LEFT_ARM, ROBOT.urdf.replace(old, new))


BLOCKS = """
  <ros2_control name="arm" type="system">
    <hardware><plugin>some/Hardware</plugin></hardware>
    <joint name="l_elbow_flex_joint"><command_interface name="effort"/><state_interface name="position"/></joint>
  </ros2_control>
  <transmission name="elbow">
    <type>transmission_interface/SimpleTransmission</type>
    <joint name="l_elbow_flex_joint"><hardwareInterface>EffortJointInterface</hardwareInterface></joint>
  </transmission>
  <gazebo reference="l_elbow_flex_joint"><joint name="l_elbow_flex_joint"/></gazebo>
</robot>"""


def test_joints_of_other_blocks_are_not_the_robots() -> None:
    """Every description of a ros2_control robot has such blocks."""
    described = description.describe(PR2_LEFT_ARM, ROBOT.urdf.replace("</robot>", BLOCKS))
    for field in dataclasses.fields(ROBOT.limits):
        np.testing.assert_array_equal(getattr(described.limits, field.name), getattr(ROBOT.limits, field.name))
    chains = SerialChain(described), SerialChain(ROBOT)
    for pose in zip(*(chain.tool_pose(ROBOT.home) for chain in chains), strict=True):
        np.testing.assert_array_equal(*pose)


def test_a_joint_only_of_another_block_is_missing() -> None:
    renamed = ROBOT.urdf.replace('name="l_elbow_flex_joint"', 'name="elbow"').replace("</robot>", BLOCKS)
    with pytest.raises(ValueError, match="no joint 'l_elbow_flex_joint'"):
        description.describe(PR2_LEFT_ARM, renamed)


def test_soft_limits_of_a_urdf_count_where_the_facts_have_none() -> None:
    tag = '<safety_controller k_velocity="3.0" k_position="100.0" soft_lower_limit="-2.1" soft_upper_limit="-0.2"/>'
    facts = dataclasses.replace(PR2_LEFT_ARM, soft_limits={})
    elbow = ROBOT.joint_names.index("l_elbow_flex_joint")
    place = ROBOT.urdf.index("<dynamics", ROBOT.urdf.index('name="l_elbow_flex_joint"'))
    limits = description.describe(facts, ROBOT.urdf[:place] + tag + ROBOT.urdf[place:]).limits
    row = [getattr(limits, name)[elbow] for name in ("soft_lower", "soft_upper", "k_position", "k_velocity")]
    assert row == [-2.1, -0.2, 100.0, 3.0]
    others = np.arange(7) != elbow
    assert np.isinf(limits.k_velocity[others]).all() and np.isinf(limits.soft_upper[others]).all()


@pytest.mark.parametrize(
    ("joint", "limits", "message"),
    [
        ("elbow", SoftJointLimits(k_velocity=1.0), "given for 'elbow', which is not a joint"),
        ("l_wrist_flex_joint", SoftJointLimits(k_velocity=0.0), "k_velocity must be positive"),
        ("l_wrist_flex_joint", SoftJointLimits(k_velocity=1.0, lower=-1.0, upper=-1.5), "must lie below upper"),
        (
            "l_wrist_flex_joint",
            SoftJointLimits(k_velocity=1.0, k_position=-1.0, lower=-2.0, upper=-0.1),
            "k_position must",
        ),
        ("l_wrist_flex_joint", SoftJointLimits(k_velocity=1.0, lower=-2.0, upper=-0.1), "no k_position: without it"),
    ],
)
def test_senseless_soft_limits_are_refused(joint: str, limits: SoftJointLimits, message: str) -> None:
    facts = dataclasses.replace(PR2_LEFT_ARM, soft_limits=dict(PR2_LEFT_ARM.soft_limits) | {joint: limits})
    with pytest.raises(ValueError, match=message):
        description.describe(facts, ROBOT.urdf)


def test_facts_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="armature must give one number for each of the 7 joints"):
        description.describe(dataclasses.replace(PR2_LEFT_ARM, armature=(0.04,)), ROBOT.urdf)


def test_loading_costs_little_more_than_reading_the_xml() -> None:
    def seconds(action: object) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            for _ in range(20):
                action()  # type: ignore[operator]
            times.append(time.perf_counter() - start)
        return min(times)

    baseline = seconds(lambda: ElementTree.fromstring(resources.path(PR2_LEFT_ARM.urdf).read_text()))
    assert seconds(lambda: description.load.__wrapped__("pr2_left_arm")) < 4.0 * baseline


def test_resource_not_installed_says_where_it_was_sought() -> None:
    with pytest.raises(FileNotFoundError, match="'urdf/none.urdf' .*share/safe_transfer_ros"):
        resources.path("urdf/none.urdf")


def test_resource_is_found_through_the_ament_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "share" / "safe_transfer_ros" / "config" / "only_installed.yaml"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert resources.path("config/only_installed.yaml") == installed
