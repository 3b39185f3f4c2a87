# SPDX-License-Identifier: Apache-2.0
"""The Franka Emika Panda holding a pushing rod: facts beyond urdf/panda.urdf.

The arm's controller adds gravity and joint friction to every torque it is sent, so it floats under zero torque. The
armature is that of MuJoCo Menagerie's model of this arm. At home the rod points straight down, its ball half a metre
before the base and 5.5 cm above the plane the base stands on; joints 3 and 5 are straight, so the arm bends in one
vertical plane. The soft limits and their gains are this project's: the published description has none.
"""

from __future__ import annotations

from safe_transfer_ros.robots.facts import RobotFacts, SoftJointLimits, TaskSpaceGains

# Position and gain of each joint's soft limits, rad and N·m·s/rad, .1 rad inside the hard ones.
_SOFT = (
    (-2.7973, 2.7973, 40.0),
    (-1.6628, 1.6628, 40.0),
    (-2.7973, 2.7973, 40.0),
    (-2.9718, -0.1698, 40.0),
    (-2.7973, 2.7973, 10.0),
    (0.0825, 3.6525, 10.0),
    (-2.7973, 2.7973, 10.0),
)

PANDA = RobotFacts(
    name="panda",
    urdf="urdf/panda.urdf",
    joint_names=tuple(f"panda_joint{number}" for number in range(1, 8)),
    base_link="panda_link0",
    tool_link="panda_pusher_tip",
    gravity_compensated=True,
    armature=(0.1,) * 7,
    home=(0.0, 0.14005672, 0.0, -2.39678356, 0.0, 2.53684028, 0.78539816),
    # Joint 3 is straight in any pose of a tool that points down; the damping is critical for 4 kg and .15 kg m².
    task_space=TaskSpaceGains(
        stiffness=1500.0,
        damping=150.0,
        rotational_stiffness=60.0,
        rotational_damping=6.0,
        posture_joint="panda_joint3",
        posture_stiffness=10.0,
        posture_damping=2.0,
    ),
    soft_limits={
        f"panda_joint{number}": SoftJointLimits(lower=lower, upper=upper, k_position=20.0, k_velocity=k_velocity)
        for number, (lower, upper, k_velocity) in enumerate(_SOFT, start=1)
    },
)
