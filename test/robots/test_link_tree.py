# SPDX-License-Identifier: Apache-2.0
"""Poses of all links: one after the other they lead to the tool pose that the filter's own kinematics gives."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from safe_transfer_ros.robots.description import available, load
from safe_transfer_ros.robots.kinematics import SerialChain
from safe_transfer_ros.robots.link_tree import LinkTree, quaternion


def rotation_of(orientation: tuple[float, float, float, float]) -> np.ndarray:
    """By the textbook: v + 2 w (u x v) + 2 u x (u x v)."""
    u, w = np.array(orientation[:3]), orientation[3]
    return np.column_stack([e + 2 * w * np.cross(u, e) + 2 * np.cross(u, np.cross(u, e)) for e in np.eye(3)])


@pytest.mark.parametrize("name", available())
def test_poses_lead_to_the_tool(name: str) -> None:
    robot = load(name)
    tree, chain = LinkTree(robot), SerialChain(robot)
    rng = np.random.default_rng(3)
    for _ in range(20):
        q = rng.uniform(-2.5, 2.5, robot.joint_count)
        poses = {pose.link: pose for pose in (*tree.fixed, *tree.moving(q))}
        position, rotation, link = np.zeros(3), np.eye(3), robot.tool_link
        while link != robot.base_link:
            pose = poses[link]
            turn = rotation_of(pose.orientation)
            position, rotation, link = np.array(pose.position) + turn @ position, turn @ rotation, pose.parent
        expected, axes = chain.tool_pose(q)
        np.testing.assert_allclose(position, expected, atol=1e-12)
        np.testing.assert_allclose(rotation, axes, atol=1e-12)


@pytest.mark.parametrize("name", available())
def test_every_link_but_the_root_has_one_pose_and_a_unit_quaternion(name: str) -> None:
    robot = load(name)
    tree = LinkTree(robot)
    poses = (*tree.fixed, *tree.moving(robot.home))
    links = [element.get("name") for element in ElementTree.fromstring(robot.urdf).findall("link")]
    children = [pose.link for pose in poses]
    assert len(children) == len(set(children)) and len(links) == len(children) + 1
    assert set(children) < set(links)
    assert len(tree.moving(robot.home)) == robot.joint_count
    for pose in poses:
        assert np.linalg.norm(pose.orientation) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    "turn", [(0, 0, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0.5, -0.5, 0.5, 0.5), (0.1, 0.2, -0.9, 0.01)]
)
def test_quaternion_of_a_rotation(turn: tuple[float, ...]) -> None:
    expected = np.array(turn) / np.linalg.norm(turn)
    x, y, z, w = expected
    np.testing.assert_allclose(quaternion(rotation_of((x, y, z, w))), expected, atol=1e-12)


def test_what_the_robot_does_not_drive_is_held_at_zero() -> None:
    robot = load("pr2_left_arm")
    finger = '<joint name="l_gripper_l_finger_joint" type="fixed">'
    assert finger in robot.urdf
    freed = robot.urdf.replace(finger, finger.replace("fixed", "revolute"))
    assert LinkTree(dataclasses.replace(robot, urdf=freed)).fixed == LinkTree(robot).fixed


def test_a_joint_that_slides_is_refused_by_name() -> None:
    robot = load("panda")
    slides = robot.urdf.replace('name="panda_joint3" type="revolute"', 'name="panda_joint3" type="prismatic"')
    with pytest.raises(ValueError, match="joint 'panda_joint3' must turn about an axis to be shown, got a prismatic"):
        LinkTree(dataclasses.replace(robot, urdf=slides))


def test_another_number_of_positions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 7 joint positions, got shape \(6,\)"):
        LinkTree(load("fr3")).moving(np.zeros(6))


@pytest.mark.parametrize("name", available())
def test_every_moving_link_has_something_to_look_at(name: str) -> None:
    """Shapes alone: a mesh would have to be shipped, and found by RViz and by Foxglove."""
    robot = load(name)
    root = ElementTree.fromstring(robot.urdf)
    colours = {element.get("name") for element in root.findall("material")}
    shapes = root.findall("link/visual")
    assert len(shapes) >= robot.joint_count
    for visual in shapes:
        [shape] = visual.findall("geometry/*")
        assert shape.tag in ("box", "cylinder", "sphere")
        assert visual.find("material").get("name") in colours
