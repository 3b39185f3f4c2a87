# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of a serial arm, in numpy alone.

Everything follows from one sweep from the tool to the base: a point or direction given in the frame behind
joint j is turned by that joint and moved by its offset. A turn about a coordinate axis costs four products,
so one state takes a few microseconds; the filter, the monitor and the policy server do this at every joint
state. The same arithmetic runs on floats (one state) and on arrays (a batch), so a state gives the same bits
alone, in a batch and in every process.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import RobotDescription

Array = npt.NDArray[np.float64]
# Three components, each a float (one state) or an array of shape (batch,).
Vector = tuple[Any, Any, Any]

_UNIT: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class _Joint(NamedTuple):
    """One turn of the chain.

    Attributes:
      axis: 0, 1 or 2: the coordinate axis turned about.
      offset: Where the frame before the turn lies in the frame of the joint before, m; None for nowhere else.
      orientation: How that frame is turned, as rows, or None where it is not.
    """

    axis: int
    offset: tuple[float, float, float] | None
    orientation: tuple[tuple[float, float, float], ...] | None


class SerialChain:
    """The chain of joints from a robot's base link to its tool link.

    Positions `q` have shape (..., n_joints), rad, in the order of `joint_names`; results carry the same
    leading shape. Poses are those of the tool link in the frame of the base link.

    Attributes:
      joint_names: Joints from base to tool.
      base_link: Link in whose frame results are given.
      tool_link: Link whose pose is given.
    """

    def __init__(self, description: RobotDescription) -> None:
        """Read the chain from the description's URDF.

        Raises:
          ValueError: if the tool is not connected to the base, or the joints between them are not the
            description's.
        """
        self.joint_names = description.joint_names
        self.base_link = description.base_link
        self.tool_link = description.tool_link
        self._joints, self._tool_offset, self._tool_axes = _chain(description)

    def tool_position(self, q: Array) -> Array:
        """Position of the tool, shape (..., 3), m."""
        sines, cosines, leading = self._turns(q)
        return _packed(self._sweep(sines, cosines, ()), leading)[..., 0, :]

    def tool_rotation(self, q: Array) -> Array:
        """Rotation matrix whose columns are the tool's axes, shape (..., 3, 3)."""
        return self.tool_pose(q)[1]

    def tool_pose(self, q: Array) -> tuple[Array, Array]:
        """Position (..., 3), m, and rotation matrix (..., 3, 3) of the tool."""
        sines, cosines, leading = self._turns(q)
        packed = _packed(self._sweep(sines, cosines, self._tool_axes), leading)
        return packed[..., 0, :], packed[..., 1:, :].swapaxes(-1, -2)

    def tool_velocity(self, q: Array, dq: Array) -> Array:
        """Linear velocity of the tool's origin, shape (..., 3), m/s, for joint velocities `dq`, rad/s."""
        return self.tool_motion(q, dq)[2]

    def tool_motion(self, q: Array, dq: Array) -> tuple[Array, Array, Array]:
        """Position (..., 3), rotation (..., 3, 3) and linear velocity (..., 3) of the tool, in one sweep."""
        sines, cosines, leading = self._turns(q)
        if np.shape(dq) != np.shape(q):
            raise ValueError(f"position and velocity must have the same shape, got {np.shape(q)} and {np.shape(dq)}")
        packed = _packed(self._sweep(sines, cosines, self._tool_axes, _by_joint(dq)), leading)
        return packed[..., 0, :], packed[..., 2:, :].swapaxes(-1, -2), packed[..., 1, :]

    def jacobian(self, q: Array) -> Array:
        """Jacobian of the tool, shape (..., 6, n_joints): 3 linear rows (m/rad), 3 angular; base frame."""
        return self.pose_and_jacobian(q)[2]

    def pose_and_jacobian(self, q: Array) -> tuple[Array, Array, Array]:
        """Position (..., 3), rotation (..., 3, 3) and Jacobian (..., 6, n_joints) of the tool, in one sweep."""
        sines, cosines, leading = self._turns(q)
        vectors = [self._tool_offset, *self._tool_axes]
        for joint, sine, cosine in zip(reversed(self._joints), reversed(sines), reversed(cosines), strict=True):
            vectors[1:1] = [_cross_unit(joint.axis, vectors[0]), _UNIT[joint.axis]]
            vectors = _carried(joint, sine, cosine, vectors)
        packed = _packed(vectors, leading)
        columns = np.ascontiguousarray(packed[..., 1:-3, :]).reshape(*leading, len(self._joints), 6)
        jacobian = np.ascontiguousarray(columns.swapaxes(-1, -2))
        return packed[..., 0, :], packed[..., -3:, :].swapaxes(-1, -2), jacobian

    def _turns(self, q: Array) -> tuple[list[Any], list[Any], tuple[int, ...]]:
        """Sines and cosines, one float or (batch,) array per joint, and the leading shape."""
        q = np.asarray(q, dtype=np.float64)
        if q.ndim == 0 or q.shape[-1] != len(self._joints):
            raise ValueError(
                f"joint positions must have shape (..., {len(self._joints)}), one for each of "
                f"{', '.join(self.joint_names)}; got {q.shape}"
            )
        if q.ndim == 1:
            return np.sin(q).tolist(), np.cos(q).tolist(), ()
        columns = np.ascontiguousarray(q.reshape(-1, q.shape[-1]).T)
        return list(np.sin(columns)), list(np.cos(columns)), q.shape[:-1]

    def _sweep(
        self,
        sines: list[Any],
        cosines: list[Any],
        directions: tuple[Vector, ...],
        rates: list[Any] | None = None,
    ) -> list[Vector]:
        """The tool's origin, its velocity if rates are given, then the directions, all in the base frame."""
        if rates is None:
            vectors = [self._tool_offset, *directions]
        else:
            vectors = [self._tool_offset, (0.0, 0.0, 0.0), *directions]
        for index in range(len(self._joints) - 1, -1, -1):
            joint = self._joints[index]
            if rates is not None:
                # d/dt of (R(q) r) is R(q) (dr/dt + dq axis x r).
                rate, (x, y, z), (u, v, w) = rates[index], _cross_unit(joint.axis, vectors[0]), vectors[1]
                vectors[1] = (u + rate * x, v + rate * y, w + rate * z)
            vectors = _carried(joint, sines[index], cosines[index], vectors)
        return vectors


def _carried(joint: _Joint, sine: Any, cosine: Any, vectors: list[Vector]) -> list[Vector]:
    """Vectors given behind a joint, in the frame of the joint before: first a point, then directions."""
    vectors = _turned(joint.axis, sine, cosine, vectors)
    if joint.orientation is not None:
        a, b, c = joint.orientation
        vectors = [
            (a[0] * x + a[1] * y + a[2] * z, b[0] * x + b[1] * y + b[2] * z, c[0] * x + c[1] * y + c[2] * z)
            for x, y, z in vectors
        ]
    if joint.offset is not None:
        (x, y, z), (dx, dy, dz) = vectors[0], joint.offset
        vectors[0] = (x + dx, y + dy, z + dz)
    return vectors


def _turned(axis: int, sine: Any, cosine: Any, vectors: Sequence[Vector]) -> list[Vector]:
    """Vectors turned about a coordinate axis."""
    if axis == 0:
        return [(x, cosine * y - sine * z, sine * y + cosine * z) for x, y, z in vectors]
    if axis == 1:
        return [(cosine * x + sine * z, y, cosine * z - sine * x) for x, y, z in vectors]
    return [(cosine * x - sine * y, sine * x + cosine * y, z) for x, y, z in vectors]


def _cross_unit(axis: int, vector: Vector) -> Vector:
    """Unit vector of an axis, cross the vector."""
    x, y, z = vector
    if axis == 0:
        return 0.0, -z, y
    if axis == 1:
        return z, 0.0, -x
    return -y, x, 0.0


def _by_joint(values: Array) -> list[Any]:
    """One float, or one (batch,) array, per joint."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 1:
        floats: list[float] = values.tolist()
        return floats
    return list(np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T))


def _packed(vectors: list[Vector], leading: tuple[int, ...]) -> Array:
    """Vectors as one array, shape (*leading, len(vectors), 3)."""
    if not leading:
        return np.array(vectors)
    packed = np.empty((len(vectors), 3, math.prod(leading)))
    for row, vector in zip(packed, vectors, strict=True):
        row[0], row[1], row[2] = vector
    return packed.transpose(2, 0, 1).reshape(*leading, len(vectors), 3)


def _chain(description: RobotDescription) -> tuple[tuple[_Joint, ...], Vector, tuple[Vector, ...]]:
    """Joints from base to tool, and the tool's origin and axes in the frame behind the last joint."""
    by_child = {}
    for element in ElementTree.fromstring(description.urdf).findall("joint"):
        child = element.find("child")
        if child is not None:
            by_child[child.get("link")] = element
    path: list[ElementTree.Element] = []
    link: str | None = description.tool_link
    while link != description.base_link:
        if link not in by_child:
            raise ValueError(
                f"'{description.tool_link}' is not connected to '{description.base_link}' in the URDF of "
                f"'{description.name}': no joint leads to '{link}'"
            )
        path.insert(0, by_child[link])
        parent = by_child[link].find("parent")
        link = None if parent is None else parent.get("link")
    joints: list[_Joint] = []
    names: list[str | None] = []
    rotation, offset = np.eye(3), np.zeros(3)
    for element in path:
        turn, shift = joint_origin(element)
        rotation, offset = rotation @ turn, offset + rotation @ shift
        if element.get("type") == "fixed":
            continue
        axis, aligned = _axis(element)
        rotation = rotation @ aligned
        orientation = None if np.array_equal(rotation, np.eye(3)) else _rows(rotation)
        joints.append(_Joint(axis, _row(offset) if offset.any() else None, orientation))
        names.append(element.get("name"))
        rotation, offset = aligned.T, np.zeros(3)
    if tuple(names) != description.joint_names:
        raise ValueError(
            f"the chain from '{description.base_link}' to '{description.tool_link}' moves by {names}, but "
            f"the robot '{description.name}' drives {list(description.joint_names)}; fix the URDF or the "
            "robot's facts"
        )
    return tuple(joints), _row(offset), _rows(rotation.T)


def _row(values: Array) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _rows(matrix: Array) -> tuple[tuple[float, float, float], ...]:
    return tuple(_row(row) for row in matrix)


def joint_origin(joint: ElementTree.Element) -> tuple[Array, Array]:
    """Rotation and offset of a joint's <origin>: fixed-axis roll, pitch, yaw."""
    origin = joint.find("origin")
    if origin is None:
        return np.eye(3), np.zeros(3)
    offset = np.array([float(value) for value in origin.get("xyz", "0 0 0").split()])
    roll, pitch, yaw = (float(value) for value in origin.get("rpy", "0 0 0").split())
    turns = []
    for axis, angle in ((2, yaw), (1, pitch), (0, roll)):
        turns.append(np.array(_turned(axis, np.sin(angle), np.cos(angle), _UNIT), dtype=np.float64).T)
    return turns[0] @ turns[1] @ turns[2], offset


def _axis(joint: ElementTree.Element) -> tuple[int, Array]:
    """The coordinate axis turned about, after a fixed rotation that makes it the joint's axis."""
    element = joint.find("axis")
    given = np.array([float(value) for value in ("1 0 0" if element is None else element.get("xyz", "1 0 0")).split()])
    length = float(np.linalg.norm(given))
    if not length > 0.0:
        raise ValueError(f"joint '{joint.get('name')}' has the axis {given}; it must not be zero")
    direction = given / length
    for axis in range(3):
        if np.array_equal(direction, np.eye(3)[axis]):
            return axis, np.eye(3)
    # Any frame whose z axis is the joint's axis will do; start from the coordinate axis least along it.
    first = np.cross(np.eye(3)[int(np.argmin(np.abs(direction)))], direction)
    first /= np.linalg.norm(first)
    return 2, np.column_stack([first, np.cross(direction, first), direction])
