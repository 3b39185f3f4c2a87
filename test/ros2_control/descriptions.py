# SPDX-License-Identifier: Apache-2.0
"""Robot descriptions as the ros2_control world publishes them, made of ours."""

from __future__ import annotations

import math

from safe_transfer_ros.robots import description
from safe_transfer_ros.robots.description import RobotDescription


def with_blocks(robot: RobotDescription) -> str:
    """The URDF with the <ros2_control> and <transmission> blocks that every robot of ros2_control has."""
    interfaces = "".join(f'<state_interface name="{name}"/>' for name in ("position", "velocity", "effort"))
    joints = "".join(
        f'<joint name="{name}"><command_interface name="effort"/>{interfaces}</joint>' for name in robot.joint_names
    )
    transmissions = "".join(
        f'<transmission name="{name}_transmission"><type>transmission_interface/SimpleTransmission</type>'
        f'<joint name="{name}"><hardwareInterface>EffortJointInterface</hardwareInterface></joint></transmission>'
        for name in robot.joint_names
    )
    hardware = (
        f'<ros2_control name="arm" type="system"><hardware><plugin>x/Y</plugin></hardware>{joints}</ros2_control>'
    )
    return robot.urdf.replace("</robot>", hardware + transmissions + "</robot>")


def with_safety_controllers(robot: RobotDescription) -> str:
    """The same with <safety_controller> tags, as it was published upstream and as franka_ros2's is."""
    urdf = with_blocks(robot)
    for name, soft in description.ROBOTS[robot.name].soft_limits.items():
        position = (
            f' k_position="{soft.k_position}" soft_lower_limit="{soft.lower}" soft_upper_limit="{soft.upper}"'
            if math.isfinite(soft.upper)
            else ""
        )
        place = urdf.index("<dynamics", urdf.index(f'<joint name="{name}" type='))
        urdf = f'{urdf[:place]}<safety_controller k_velocity="{soft.k_velocity}"{position}/>{urdf[place:]}'
    return urdf
