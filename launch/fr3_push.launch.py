# SPDX-License-Identifier: Apache-2.0
"""ros2 launch safe_transfer_ros fr3_push.launch.py [key:=value ...]; `--show-args` explains each."""

from launch import LaunchDescription

from safe_transfer_ros.launching import fr3_push
from safe_transfer_ros.launching.ros_launch import describe


def generate_launch_description() -> LaunchDescription:
    """The graph of safe_transfer_ros/launching/fr3_push.py, the same that `safe_transfer up` runs."""
    return describe(fr3_push.GRAPH)
