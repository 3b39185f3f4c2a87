# SPDX-License-Identifier: Apache-2.0
"""The Franka Research 3, without a hand and with a pushing rod: facts beyond urdf/fr3.urdf and urdf/fr3_pusher.urdf.

The arm's controller adds gravity and joint friction to every torque it is sent, so it floats under zero torque. The
armature is that of MuJoCo Menagerie's model of the Panda, whose motors are of the same kind. Home is the pose that
Franka's own examples begin in. The soft limits and their gains are this project's: those that are published belong to
ros2_control's limiter, which must not have them (docs/hardware.md). By them the speed shrinks towards an end of travel
sooner than the arm demands (fr3_speed.py), since the torque that slows a joint down may be small.

The pusher is the Panda's (robots/panda.py), home included: the two arms are equally long. Its gains are lower, critical
for 3 kg and .15 kg m² at 11 rad/s: torques reach this arm some milliseconds late (docs/hardware.md), and what is too
stiff for that begins to swing.
"""

from __future__ import annotations

import dataclasses
import math

from safe_transfer_ros.robots.facts import RobotFacts, SoftJointLimits, TaskSpaceGains
from safe_transfer_ros.robots.panda import PANDA

# Positions and gains of each joint's soft limits, rad, 1/s and N·m·s/rad, .1 rad inside the hard ones.
_SOFT = (
    (-2.6437, 2.6437, 2.2, 40.0),
    (-1.6837, 1.6837, 1.0, 40.0),
    (-2.8007, 2.8007, 1.3, 40.0),
    (-2.9421, -0.2518, 1.4, 40.0),
    (-2.7065, 2.7065, 3.4, 10.0),
    (0.6445, 4.4169, 1.3, 10.0),
    (-2.9159, 2.9159, 3.4, 10.0),
)

FR3 = RobotFacts(
    name="fr3",
    urdf="urdf/fr3.urdf",
    joint_names=tuple(f"fr3_joint{number}" for number in range(1, 8)),
    base_link="fr3_link0",
    tool_link="fr3_cup",
    gravity_compensated=True,
    armature=(0.1,) * 7,
    home=(0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4),
    soft_limits={
        f"fr3_joint{number}": SoftJointLimits(lower=lower, upper=upper, k_position=k_position, k_velocity=k_velocity)
        for number, (lower, upper, k_position, k_velocity) in enumerate(_SOFT, start=1)
    },
)

FR3_PUSHER = dataclasses.replace(
    FR3,
    name="fr3_pusher",
    urdf="urdf/fr3_pusher.urdf",
    tool_link="fr3_pusher_tip",
    home=PANDA.home,
    task_space=TaskSpaceGains(
        stiffness=400.0,
        damping=70.0,
        rotational_stiffness=20.0,
        rotational_damping=3.5,
        posture_joint="fr3_joint3",
        posture_stiffness=10.0,
        posture_damping=2.0,
    ),
)
