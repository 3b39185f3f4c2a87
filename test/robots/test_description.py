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
        ('soft_lower_limit="-2.0"', 'soft_lower_limit="-2.5"', "soft limits must lie within"),
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
