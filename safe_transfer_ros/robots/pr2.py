# SPDX-License-Identifier: Apache-2.0
"""The PR2's left arm: facts beyond urdf/pr2_left_arm.urdf.

The arm's weight is carried by springs in the shoulder and upper arm, so it floats under zero torque (Gazebo
models the same by turning gravity off on every arm link). The armature is that of the published MuJoCo model
of this arm, the soft limits are those of its published <safety_controller> tags.
"""

from __future__ import annotations

from safe_transfer_ros.robots.facts import Payload, RobotFacts, SoftJointLimits

PR2_LEFT_ARM = RobotFacts(
    name="pr2_left_arm",
    urdf="urdf/pr2_left_arm.urdf",
    joint_names=(
        "l_shoulder_pan_joint",
        "l_shoulder_lift_joint",
        "l_upper_arm_roll_joint",
        "l_elbow_flex_joint",
        "l_forearm_roll_joint",
        "l_wrist_flex_joint",
        "l_wrist_roll_joint",
    ),
    base_link="torso_lift_link",
    tool_link="l_gripper_tool_frame",
    gravity_compensated=True,
    armature=(0.04,) * 7,
    # The tool's +x axis points straight down here, .6 m before and .3 m left of and below the torso frame.
    home=(0.714, 0.09, 1.828, -1.459, 1.634, -1.306, 0.0),
    payload=Payload(name="cup", mass=0.2, radius=0.035, height=0.10),
    soft_limits={
        "l_shoulder_pan_joint": SoftJointLimits(
            lower=-0.564601836603, upper=2.1353981634, k_position=100.0, k_velocity=10.0
        ),
        "l_shoulder_lift_joint": SoftJointLimits(lower=-0.3536, upper=1.2963, k_position=100.0, k_velocity=10.0),
        "l_upper_arm_roll_joint": SoftJointLimits(lower=-0.65, upper=3.75, k_position=100.0, k_velocity=2.0),
        "l_elbow_flex_joint": SoftJointLimits(lower=-2.1213, upper=-0.15, k_position=100.0, k_velocity=3.0),
        "l_forearm_roll_joint": SoftJointLimits(k_velocity=1.0),
        "l_wrist_flex_joint": SoftJointLimits(lower=-2.0, upper=-0.1, k_position=20.0, k_velocity=4.0),
        "l_wrist_roll_joint": SoftJointLimits(k_velocity=2.0),
    },
)
