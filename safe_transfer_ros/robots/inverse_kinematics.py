# SPDX-License-Identifier: Apache-2.0
"""Joint positions at which a task-space controller's tool is where it is wanted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.robots.task_space import TaskSpaceController, gains_of, rotation_vector

Array = npt.NDArray[np.float64]


def joint_position_at(
    controller: TaskSpaceController, description: RobotDescription, tool: Array, tolerance: float = 1e-9
) -> Array:
    """Joint position at which the tool is at a place, in the controller's orientation and posture: Newton's method.

    Args:
      controller: States orientation and posture.
      description: Its robot.
      tool: Where the tool shall be, shape (3,), m, base frame.
      tolerance: Largest error accepted, m and rad.

    Returns:
      Shape (n_joints,), rad.

    Raises:
      ValueError: if no position within the joints' limits was found from home.
    """
    if not np.isfinite(tool).all():
        raise ValueError(f"a tool position must be finite (m), got {np.asarray(tool).tolist()}")
    joint = description.joint_names.index(gains_of(description).posture_joint)
    posture = np.zeros(description.joint_count)
    posture[joint] = 1.0
    position = description.home.copy()
    error = np.empty(7)
    for _ in range(30):
        at, rotation, jacobian = controller.chain.pose_and_jacobian(position)
        error[:3] = tool - at
        error[3:6] = -controller.orientation @ rotation_vector(controller.orientation.T @ rotation)
        error[6] = description.home[joint] - position[joint]
        if np.abs(error).max() < tolerance:
            inside = (description.limits.lower < position) & (position < description.limits.upper)
            if inside.all():
                return position
            break
        system = np.vstack([jacobian, posture])
        # A step of more than half a radian leaves the region where the Jacobian says anything.
        step = np.linalg.lstsq(system, error, rcond=None)[0]
        position = position + step * min(1.0, 0.5 / max(float(np.abs(step).max()), 1e-12))
    raise ValueError(
        f"the tool of '{description.name}' cannot be at {np.asarray(tool).tolist()} m within its joints' limits"
    )
