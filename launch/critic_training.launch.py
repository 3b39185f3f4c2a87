# SPDX-License-Identifier: Apache-2.0
"""ros2 launch safe_transfer_ros critic_training.launch.py out:=FOLDER [task:=TASK] [candidate:=CRITIC].

Beside a running graph, or beside `ros2 bag play`: trains a safety critic from the filter's decisions; with candidate:=
also judges them by that critic, without acting.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """critic_trainer, and critic_shadow where there is a candidate."""
    task, out, candidate = (LaunchConfiguration(name) for name in ("task", "out", "candidate"))
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "task", default_value="pr2_cup_swirl", description="what the graph's filter decides on"
            ),
            DeclareLaunchArgument("out", description="folder for transitions, critic and model card"),
            DeclareLaunchArgument("episodes", default_value="0", description="train after so many; 0: when stopped"),
            DeclareLaunchArgument("conservative", default_value="false", description="CSC instead of SQRL"),
            DeclareLaunchArgument("updates", default_value="20000", description="updates at most"),
            DeclareLaunchArgument("candidate", default_value="", description="critic that judges without acting"),
            Node(
                package="safe_transfer_ros",
                executable="critic_trainer",
                output="screen",
                parameters=[
                    {
                        "task": task,
                        "out": out,
                        "episodes": LaunchConfiguration("episodes"),
                        "conservative": LaunchConfiguration("conservative"),
                        "updates": LaunchConfiguration("updates"),
                    }
                ],
                sigterm_timeout="600",  # it trains after it was told to stop
                sigkill_timeout="600",
            ),
            Node(
                package="safe_transfer_ros",
                executable="critic_shadow",
                output="screen",
                parameters=[{"task": task, "candidate": candidate, "out": [out, "/shadow.csv"]}],
                condition=IfCondition(PythonExpression(["'", candidate, "' != ''"])),
            ),
        ]
    )
