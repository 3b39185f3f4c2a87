# SPDX-License-Identifier: Apache-2.0
"""Facts about a robot that its URDF does not hold: one RobotFacts per robot, one file per robot."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftJointLimits:
    """Soft limits of a joint, as in URDF's <safety_controller>, kept out of the URDF; see safety/filter/soft_limits.py.

    controller_manager reads the same URDF, and with the tag in it a deactivated controller may hold a torque
    (docs/hardware.md). So the soft limits are our filter's alone.

    Attributes:
      lower: Position at which the velocity bound starts to shrink, rad; -inf: none.
      upper: The same, above, rad; inf: none.
      k_position: How fast the velocity bound shrinks towards a soft limit, 1/s; inf where there is none.
      k_velocity: How fast the effort bound shrinks towards the velocity bound, N·m·s/rad.
    """

    lower: float = -math.inf
    upper: float = math.inf
    k_position: float = math.inf
    k_velocity: float


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
class TaskSpaceGains:
    """Gains of the tool's motion through space; see robots/task_space.py.

    Attributes:
      stiffness: Force per distance from the set-point, N/m.
      damping: Force per velocity relative to the set-point's, N·s/m.
      rotational_stiffness: Torque per angle from the orientation at home, N·m/rad.
      rotational_damping: Torque per angular velocity, N·m·s/rad.
      posture_joint: Joint that a redundant arm holds at its home position. Choose one that can be there for every
        tool pose asked for: then it decides the elbow and does not disturb the tool.
      posture_stiffness: N·m/rad.
      posture_damping: N·m·s/rad.
    """

    stiffness: float
    damping: float
    rotational_stiffness: float
    rotational_damping: float
    posture_joint: str
    posture_stiffness: float
    posture_damping: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobotFacts:
    """Facts about one arm beyond its URDF.

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
      task_space: How the tool is led through space, if the robot can be.
      soft_limits: Soft limits by joint name; a joint that is not named has those of its <safety_controller>, or none.
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
    task_space: TaskSpaceGains | None = None
    soft_limits: Mapping[str, SoftJointLimits] = dataclasses.field(default_factory=dict)
