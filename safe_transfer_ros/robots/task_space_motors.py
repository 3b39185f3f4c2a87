# SPDX-License-Identifier: Apache-2.0
"""The task-space law of robots/task_space.py as motors inside MuJoCo: as fast as the physics itself.

Each motor acts along or about one axis between the tool's site and a site fixed in the base: six of them make the
wrench, a seventh is the posture's spring. MuJoCo turns them into joint torques by the transposed Jacobian, bounds
these by the joints' limits, and integrates their damping implicitly.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.task_space import TaskSpaceController, gains_of

Array = npt.NDArray[np.float64]

MOTORS = ("tool_x", "tool_y", "tool_z", "tool_roll", "tool_pitch", "tool_yaw", "posture")


def add_task_space_motors(
    spec: mujoco.MjSpec, description: RobotDescription, torque_limit: float | None = None
) -> None:
    """Add the seven motors of MOTORS, the first in `spec`, to an arm without any.

    Args:
      spec: The arm, of `simulation.arm_spec`.
      description: The robot.
      torque_limit: Bound on every joint's torque beside its own effort limit, N·m; None for none.

    Raises:
      ValueError: if the robot states no task-space gains, the torque limit is not positive, or `spec` has motors.
    """
    gains = gains_of(description)
    if spec.actuators:
        raise ValueError("the arm has motors already")
    if torque_limit is not None:
        if not (math.isfinite(torque_limit) and torque_limit > 0.0):
            raise ValueError(f"torque_limit must be a positive number of N·m, got {torque_limit}")
        for name, effort in zip(description.joint_names, description.limits.effort, strict=True):
            bound = min(torque_limit, float(effort))
            spec.joint(name).actfrcrange = [-bound, bound]
    orientation = np.empty(4)
    mujoco.mju_mat2Quat(orientation, TaskSpaceController(description).orientation.ravel())
    base = spec.worldbody
    base.add_site(name="task_space_origin")
    base.add_site(name="task_space_orientation", quat=orientation)
    for index, name in enumerate(MOTORS[:6]):
        linear = index < 3
        motor = spec.add_actuator(
            name=name,
            trntype=mujoco.mjtTrn.mjTRN_SITE,
            target=description.tool_link,
            refsite="task_space_origin" if linear else "task_space_orientation",
        )
        axis = np.zeros(6)
        axis[index] = 1.0
        motor.gear = axis
        _spring(
            motor,
            gains.stiffness if linear else gains.rotational_stiffness,
            gains.damping if linear else gains.rotational_damping,
        )
    posture = spec.add_actuator(name="posture", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=gains.posture_joint)
    _spring(posture, gains.posture_stiffness, gains.posture_damping)


def motor_controls(description: RobotDescription, set_point: Array, velocity: Array) -> Array:
    """Controls of the seven motors for a set-point.

    A motor's force is K (control - x) - D v; the control K x_d + D v_d over K makes it K (x_d - x) + D (v_d - v).

    Args:
      description: The robot.
      set_point: Where the tool should be, shape (..., 3), m, base frame.
      velocity: How it should move, same shape, m/s.

    Returns:
      Shape (..., 7), in the order of MOTORS.
    """
    gains = gains_of(description)
    controls = np.zeros((*set_point.shape[:-1], len(MOTORS)))
    controls[..., :3] = set_point + (gains.damping / gains.stiffness) * velocity
    controls[..., 6] = description.home[description.joint_names.index(gains.posture_joint)]
    return controls


def _spring(motor: mujoco.MjsActuator, stiffness: float, damping: float) -> None:
    """Force = stiffness (control - length) - damping (velocity)."""
    motor.gaintype, motor.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    motor.gainprm[0] = stiffness
    motor.biasprm[:3] = (0.0, -stiffness, -damping)
