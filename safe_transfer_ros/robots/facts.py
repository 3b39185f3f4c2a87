# SPDX-License-Identifier: Apache-2.0
"""What a robot's URDF cannot say: one RobotFacts per robot, one file per robot."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Payload:
    """A solid cylinder held at the tool frame, its axis along the tool's x axis, its centre at the frame's
    origin.

    Attributes:
      name: Name of the body in the simulation.
      mass: kg.
      radius: m.
      height: m.
    """

    name: str
    mass: float
    radius: float
    height: float

    def principal_inertia(self) -> tuple[float, float, float]:
        """Moments of inertia about the centre, along the tool's x, y and z axes, kg·m²."""
        along = self.mass * self.radius**2 / 2.0
        across = self.mass * (3.0 * self.radius**2 + self.height**2) / 12.0
        return along, across, across


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobotFacts:
    """Facts about one arm that stand beside its URDF.

    Attributes:
      name: Name by which the robot is loaded.
      urdf: Path of the URDF below the package's data folder.
      joint_names: The joints this project drives, from base to tool; the order of every joint array.
      base_link: Link in whose frame poses are given.
      tool_link: Link whose pose is the tool pose.
      gravity_compensated: True when the hardware itself holds the arm up (springs, or its own controller), so
        that a zero command lets it float.
      armature: Motor inertia seen at each joint, kg·m².
      home: Joint position in which episodes and displays start, rad.
      payload: What the gripper holds, if anything.
    """

    name: str
    urdf: str
    joint_names: tuple[str, ...]
    base_link: str
    tool_link: str
    gravity_compensated: bool
    armature: tuple[float, ...]
    home: tuple[float, ...]
    payload: Payload | None = None
