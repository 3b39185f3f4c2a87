# SPDX-License-Identifier: Apache-2.0
"""ros2 launch safe_transfer_ros panda_push.launch.py [task:=topple] [key:=value ...]; `--show-args` explains each."""

from launch import LaunchDescription

from safe_transfer_ros.launching import panda_push
from safe_transfer_ros.launching.ros_launch import describe


def generate_launch_description() -> LaunchDescription:
    """The graph of safe_transfer_ros/launching/panda_push.py, the same that `safe_transfer up` runs."""
    return describe(panda_push.GRAPH)
