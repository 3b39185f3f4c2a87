# SPDX-License-Identifier: Apache-2.0
"""Connection of controller_supervisor to what drives the arm: ros2_control's controller_manager, or franka_robot."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.node import Node

from safe_transfer_ros.middleware.franka_status import FrankaManager
from safe_transfer_ros.parameters.controller_supervisor import SupervisorParameters

if TYPE_CHECKING:
    from safe_transfer_ros.middleware.controller_manager import ControllerManager


def arm_manager(
    node: Node, settings: SupervisorParameters, controller: str, joints: Sequence[str]
) -> ControllerManager | FrankaManager:
    """Connect as `settings.hardware` says.

    Args:
      node: The supervisor.
      settings: Its parameters.
      controller: The effort controller.
      joints: In the order of commands.

    Raises:
      ConfigurationError: ros2_control's messages are not installed.
    """
    if settings.hardware == "franka":
        return FrankaManager(node, controller, settings.joint_state_broadcaster, joints, settings.service_timeout)
    # Brings controller_manager_msgs, which only a machine with ros2_control has.
    ros2_control = importlib.import_module("safe_transfer_ros.middleware.controller_manager")
    manager: ControllerManager = ros2_control.ControllerManager(
        node, settings.controller_manager, controller, settings.service_timeout
    )
    return manager
