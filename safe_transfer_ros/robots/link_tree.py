# SPDX-License-Identifier: Apache-2.0
"""Poses of all links of a robot relative to their parents: what robot_state_publisher makes /tf of.

Nothing that decides anything uses it: the filter, the monitor and the policy know the chain to the tool alone
(`robots/kinematics.py`).
"""

from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.kinematics import joint_origin

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinkPose:
    """Pose of a link in the frame of its parent.

    Attributes:
      parent: Its parent's name.
      link: Its own.
      position: m.
      orientation: Quaternion x, y, z, w.
    """

    parent: str
    link: str
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Joint:
    parent: str
    link: str
    position: tuple[float, float, float]
    orientation: Array  # quaternion x, y, z, w, of the frame that turns
    axis: Array


class LinkTree:
    """All links of a robot.

    Attributes:
      fixed: Poses that no joint position changes. A joint that moves and that the robot does not drive, as a gripper's
        finger, is held at zero and is among them.
    """

    def __init__(self, description: RobotDescription) -> None:
        """Read the links from the description's URDF.

        Raises:
          ValueError: if a driven joint does not turn about an axis.
        """
        fixed: list[LinkPose] = []
        driven: dict[str, _Joint] = {}
        for element in ElementTree.fromstring(description.urdf).findall("joint"):
            name, joint = element.get("name", ""), _read(element)
            if name in description.joint_names:
                if element.get("type") not in ("revolute", "continuous") or not np.linalg.norm(joint.axis) > 0.0:
                    raise ValueError(f"joint '{name}' must turn about an axis to be shown, got a {element.get('type')}")
                driven[name] = joint
            else:
                fixed.append(_pose(joint, joint.orientation))
        self.fixed = tuple(fixed)
        self._driven = tuple(driven[name] for name in description.joint_names)

    def moving(self, position: Array) -> tuple[LinkPose, ...]:
        """Poses of the links behind the driven joints.

        Args:
          position: Joint positions in the description's order, shape (n_joints,), rad.

        Raises:
          ValueError: if there are more or fewer.
        """
        if np.shape(position) != (len(self._driven),):
            raise ValueError(f"expected {len(self._driven)} joint positions, got shape {np.shape(position)}")
        return tuple(
            _pose(joint, _product(joint.orientation, _turn(joint.axis, float(angle))))
            for joint, angle in zip(self._driven, position, strict=True)
        )


def quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """Unit quaternion x, y, z, w of a rotation matrix, shape (3, 3), with w >= 0."""
    # Of the four ways to the quaternion the one that divides by its largest component.
    trace = float(np.trace(rotation))
    squares = np.array([*(1.0 + 2.0 * np.diag(rotation) - trace), 1.0 + trace])
    largest = int(np.argmax(squares))
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    row = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )[largest]
    length = math.copysign(math.sqrt(sum(value * value for value in row)), row[3])
    x, y, z, w = (float(value / length) for value in row)
    return x, y, z, w


def _read(element: ElementTree.Element) -> _Joint:
    parent, child, axis = (element.find(tag) for tag in ("parent", "child", "axis"))
    rotation, offset = joint_origin(element)
    given = np.array([float(value) for value in ("1 0 0" if axis is None else axis.get("xyz", "1 0 0")).split()])
    x, y, z = offset.tolist()
    return _Joint(
        parent="" if parent is None else parent.get("link", ""),
        link="" if child is None else child.get("link", ""),
        position=(x, y, z),
        orientation=np.array(quaternion(rotation)),
        axis=given,
    )


def _turn(axis: Array, angle: float) -> Array:
    """Quaternion x, y, z, w of a turn about an axis, rad."""
    return np.append(math.sin(angle / 2) * axis / np.linalg.norm(axis), math.cos(angle / 2))


def _product(first: Array, second: Array) -> Array:
    """Quaternion x, y, z, w of the second turn, in the frame that the first has turned."""
    (u, a), (v, b) = (first[:3], first[3]), (second[:3], second[3])
    return np.append(a * v + b * u + np.cross(u, v), a * b - u @ v)


def _pose(joint: _Joint, orientation: Array) -> LinkPose:
    x, y, z, w = orientation.tolist()
    return LinkPose(parent=joint.parent, link=joint.link, position=joint.position, orientation=(x, y, z, w))
