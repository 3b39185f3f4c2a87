# SPDX-License-Identifier: Apache-2.0
"""Names and limits of one arm by parameters: written into its description, and never laxer than it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from safe_transfer_ros import resources
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.robots.description import describe, load
from safe_transfer_ros.robots.facts import RobotFacts, SoftJointLimits
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.overrides import RobotOverrides, overridden
from safe_transfer_ros.robots.simulation import build_model
from safe_transfer_ros.tasks.deployment import in_graph

FR3 = load("fr3")
CONFIG = resources.path("config/franka_fr3.yaml").parent


def parameters(name: str, node: str = "/**") -> dict[str, str]:
    return yaml.safe_load((CONFIG / f"{name}.yaml").read_text())[node]["ros__parameters"]


def seven(value: float, index: int, *, field: str = "velocity") -> str:
    """The FR3's own limits, but for one joint."""
    values = getattr(FR3.limits, field).copy()
    values[index] = value
    return ", ".join(map(str, values))


@pytest.mark.parametrize("name", ["fr3", "panda"])
def test_the_shipped_file_says_what_the_description_says(name: str) -> None:
    described, from_file = load(name), load(name, RobotOverrides.of(parameters(f"franka_{name}")))
    assert from_file.joint_names == described.joint_names
    for field, values in vars(described.limits).items():
        np.testing.assert_allclose(getattr(from_file.limits, field), values, rtol=0.0, atol=1e-12, err_msg=field)


def test_a_prefix_is_in_every_name_that_others_see() -> None:
    arm = load("fr3", RobotOverrides.of({"name_prefix": "left_"}))
    assert arm.joint_names == tuple(f"left_fr3_joint{number}" for number in range(1, 8))
    assert (arm.base_link, arm.tool_link) == ("left_fr3_link0", "left_fr3_cup")
    root = ElementTree.fromstring(arm.urdf)
    names = [element.get("name", "") for element in (*root.iter("joint"), *root.iter("link"))]
    links = [element.get("link", "") for element in (*root.iter("parent"), *root.iter("child"))]
    assert len(names) > 15 and all(name.startswith("left_") for name in names + links)
    position = np.linspace(-1.0, -0.2, 7)
    np.testing.assert_array_equal(SerialChain(arm).tool_position(position), SerialChain(FR3).tool_position(position))
    assert build_model(arm).nv == 7
    assert load("panda", RobotOverrides.of({"name_prefix": "b_"})).task_space.posture_joint == "b_panda_joint3"


def test_joints_have_the_names_of_the_file_in_its_order_and_the_prefix_before() -> None:
    given = {"joint_names": ", ".join(f"fer_joint{number}" for number in range(1, 8)), "name_prefix": "a_"}
    arm = load("panda", RobotOverrides.of(given))
    assert arm.joint_names == tuple(f"a_fer_joint{number}" for number in range(1, 8))
    np.testing.assert_array_equal(arm.limits.soft_upper, load("panda").limits.soft_upper)


def test_a_narrower_limit_is_taken_and_the_soft_one_moves_with_it() -> None:
    arm = load(
        "fr3",
        RobotOverrides.of(
            {
                "position_lower": seven(-2.5, 0, field="lower"),
                "position_upper": seven(1.0, 1, field="upper"),
                "velocity_limit": seven(1.5, 2),
                "effort_limit": seven(5.0, 6, field="effort"),
            }
        ),
    )
    assert (arm.limits.lower[0], arm.limits.upper[1]) == (-2.5, 1.0)
    assert arm.limits.soft_lower[0] == pytest.approx(-2.4) and arm.limits.soft_upper[1] == pytest.approx(0.9)
    assert (arm.limits.velocity[2], arm.limits.effort[6]) == (1.5, 5.0)
    assert arm.limits.velocity[1] == FR3.limits.velocity[1] and arm.limits.soft_lower[1] == FR3.limits.soft_lower[1]
    graph = in_graph("fr3_cup_swirl", RobotOverrides.of({"velocity_limit": seven(1.5, 2), "name_prefix": "left_"}))
    assert graph.action_names[0] == "left_fr3_joint1" and graph.task.soft_limits.velocity[2] == 1.5
    assert graph.task.chain.joint_names == graph.action_names


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"velocity_limit": seven(2.63, 2)}, "velocity_limit of fr3_joint3: expected at most 2.62 rad/s.*got 2.63"),
        ({"effort_limit": seven(12.5, 5, field="effort")}, "effort_limit of fr3_joint6: expected at most 12 N·m"),
        ({"position_lower": seven(-2.75, 0, field="lower")}, "position_lower of fr3_joint1: expected at least -2.7437"),
        ({"position_upper": seven(0.0, 3, field="upper")}, "position_upper of fr3_joint4: expected at most -0.1518"),
        ({"velocity_limit": "1, 1"}, "velocity_limit must be 7 numbers separated by commas.*got 2"),
        ({"velocity_limit": "1, 1, 1, 1, 1, 1, nan"}, "velocity_limit must be finite numbers"),
        ({"velocity_limit": seven(0.0, 0)}, "the velocity limit must be positive"),
        ({"effort_limit": seven(-1.0, 0, field="effort")}, "the effort limit must be positive"),
        ({"position_upper": seven(-0.8, 1, field="upper")}, "fr3_joint2 must hold its home, -0.785398 rad"),
        ({"joint_names": "a, b"}, "joint_names must name 7 joints.*got 2"),
        ({"joint_names": "a, b, c, d, e, f, a"}, "joint_names must all differ"),
        ({"joint_names": "a, b, c, d, e, f, g h"}, "letters, digits and _, got 'g h'"),
        ({"name_prefix": "left/"}, "letters, digits and _, got 'left/'"),
    ],
)
def test_what_is_laxer_or_does_not_fit_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load("fr3", RobotOverrides.of(given))


def test_joints_in_another_order_are_refused_by_name() -> None:
    names = [f"fr3_joint{number}" for number in (2, 1, 3, 4, 5, 6, 7)]
    with pytest.raises(ConfigurationError, match="'fr3_joint2' is another joint of 'fr3' than the one in its place"):
        load("fr3", RobotOverrides.of({"joint_names": ", ".join(names)}))


def test_a_joint_without_an_end_has_no_position_limit_and_others_elements_are_renamed_too() -> None:
    urdf = """<robot name="turner"><link name="base"/><link name="tool"/><link name="finger"/>
      <joint name="turn" type="continuous"><parent link="base"/><child link="tool"/>
        <limit effort="1" velocity="2"/></joint>
      <joint name="grip" type="prismatic"><parent link="tool"/><child link="finger"/><mimic joint="turn"/></joint>
      <ros2_control><joint name="turn"/></ros2_control></robot>"""
    facts = RobotFacts(
        name="turner",
        urdf="turner.urdf",
        joint_names=("turn",),
        base_link="base",
        tool_link="tool",
        gravity_compensated=True,
        armature=(0.0,),
        home=(0.0,),
        soft_limits={"turn": SoftJointLimits(k_velocity=3.0)},
    )
    with pytest.raises(ConfigurationError, match="turn of 'turner' turns without an end: leave position_lower out"):
        overridden(facts, urdf, RobotOverrides(position_lower=(-1.0,)))
    arm = describe(*overridden(facts, urdf, RobotOverrides(name_prefix="l_", velocity_limit=(1.5,))))
    assert arm.joint_names == ("l_turn",) and arm.limits.velocity[0] == 1.5 and arm.limits.k_velocity[0] == 3.0
    assert not re.search(r'"(turn|grip|base|tool|finger)"', arm.urdf)


def test_without_any_the_description_is_the_file_to_the_byte() -> None:
    assert load("fr3").urdf == Path(resources.path("urdf/fr3.urdf")).read_text(encoding="utf-8")
