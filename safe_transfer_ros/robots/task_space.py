# SPDX-License-Identifier: Apache-2.0
"""Leading a tool through space: a leashed set-point, and the joint torques that draw the tool after it.

The torques follow from joint states by the transposed Jacobian, without a mass matrix, and hold for any arm that
carries its own weight:

    tau = J_v^T (K (x_d - x) + D (v_d - v)) + J_w^T (-K_r e - D_r w) + posture

x_d and v_d are the set-point's position and velocity, e the rotation vector from the orientation at home. The
posture is a spring on one joint, which decides where a redundant arm has its elbow. `robots/task_space_motors.py` is
the same law as motors inside MuJoCo.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.facts import TaskSpaceGains
from safe_transfer_ros.robots.kinematics import SerialChain

Array = npt.NDArray[np.float64]


def gains_of(description: RobotDescription) -> TaskSpaceGains:
    """Gains of the robot's tool.

    Raises:
      ValueError: if the robot has no such gains, or does not carry its own weight.
    """
    if description.task_space is None:
        raise ValueError(f"the robot '{description.name}' states no task-space gains; give its facts a `task_space`")
    if not description.gravity_compensated:
        raise ValueError(f"the robot '{description.name}' does not carry its own weight: task-space control needs that")
    return description.task_space


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Leash:
    """Bounds of a set-point: within a box, and not far from the tool.

    Whatever stands in the tool's way is thus pressed with at most stiffness x length, for however long it stands there.

    Attributes:
      lower: Corner of the box, shape (3,), m, base frame.
      upper: The opposite corner.
      length: Greatest distance of the set-point from the tool, m.
    """

    lower: Array
    upper: Array
    length: float

    def __post_init__(self) -> None:
        """Refuse an empty box or leash.

        Raises:
          ValueError: if a corner is not finite, or the box or the length not positive.
        """
        corners = np.array([self.lower, self.upper], dtype=np.float64)
        if corners.shape != (2, 3) or not np.isfinite(corners).all() or not (corners[0] < corners[1]).all():
            raise ValueError(f"a leash needs lower < upper, three finite numbers each (m), got {corners.tolist()}")
        if not (math.isfinite(self.length) and self.length > 0.0):
            raise ValueError(f"the length of a leash must be a positive number of m, got {self.length}")

    def advanced(self, set_point: Array, increment: Array, tool: Array) -> Array:
        """Set-point at the end of a control period.

        A velocity is an increment per period, so both kinds of task-space action come here. The increment is added to
        where the set-point was, not to where the tool is: a tool that lags behind would else cover only a part of it.

        Args:
          set_point: Where it is now, shape (..., 3), m.
          increment: How far it is asked to go, same shape, m.
          tool: Where the tool is now, same shape, m.

        Returns:
          Its next place, same shape: within the box, and before that within the leash.
        """
        away = set_point + increment - tool
        distance = np.sqrt(away[..., 0] ** 2 + away[..., 1] ** 2 + away[..., 2] ** 2)[..., None]
        away = away * (self.length / np.maximum(distance, self.length))
        return np.minimum(np.maximum(tool + away, self.lower), self.upper)


def rotation_vector(rotation: Array) -> Array:
    """Axis times angle, shape (3,), rad, of a rotation matrix (3, 3); the angle in [0, pi)."""
    doubled_sine = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = 0.5 * math.sqrt(float(doubled_sine @ doubled_sine))
    angle = math.atan2(sine, 0.5 * (float(rotation[0, 0] + rotation[1, 1] + rotation[2, 2]) - 1.0))
    return np.asarray(doubled_sine * (0.5 if sine < 1e-9 else 0.5 * angle / sine))


class TaskSpaceController:
    """Torques that draw the tool after a set-point, in the orientation it has at home.

    Attributes:
      chain: The robot's kinematics.
      orientation: Rotation matrix held, shape (3, 3).
    """

    def __init__(self, description: RobotDescription) -> None:
        """Read the robot.

        Raises:
          ValueError: if the robot states no task-space gains or does not carry its own weight.
        """
        self._gains = gains_of(description)
        self.chain = SerialChain(description)
        self._home = description.home
        self._posture_joint = description.joint_names.index(self._gains.posture_joint)
        self.orientation = self.chain.tool_rotation(description.home)

    def torque(self, position: Array, velocity: Array, set_point: Array, set_point_velocity: Array) -> Array:
        """Torque for one joint state, shape (n_joints,), N·m, not bounded by anything.

        Args:
          position: Shape (n_joints,), rad.
          velocity: Same shape, rad/s.
          set_point: Where the tool should be, shape (3,), m.
          set_point_velocity: How it should move, same shape, m/s.
        """
        gains = self._gains
        tool, rotation, jacobian = self.chain.pose_and_jacobian(position)
        motion = jacobian @ velocity
        turned = self.orientation @ rotation_vector(self.orientation.T @ rotation)
        wrench = np.empty(6)
        wrench[:3] = gains.stiffness * (set_point - tool) + gains.damping * (set_point_velocity - motion[:3])
        wrench[3:] = -gains.rotational_stiffness * turned - gains.rotational_damping * motion[3:]
        torque: Array = wrench @ jacobian
        joint = self._posture_joint
        torque[joint] += gains.posture_stiffness * (self._home[joint] - position[joint])
        torque[joint] -= gains.posture_damping * velocity[joint]
        return torque
