# SPDX-License-Identifier: Apache-2.0
"""Checks before any motion: joint names and order, limits."""

from __future__ import annotations

from collections import Counter

import numpy as np

from safe_transfer_ros.commissioning.step import Bench, Failed, Result
from safe_transfer_ros.robots.description import describe
from safe_transfer_ros.robots.facts import RobotFacts
from safe_transfer_ros.robots.manager_description import fingerprint, unfit_description

WAIT_SECONDS = 10.0
DESCRIPTION = "robot_description"
"""Fingerprint of the description that the arm has, among what the step about limits measures."""
_AGREE = 0.01  # relative; URDFs are rounded


def joint_names(bench: Bench) -> Result:
    """Our joints are published, and the controller drives exactly them in the order in which we command."""
    arm = bench.arm
    if not arm.until(lambda: len(arm.stamps) > 10, WAIT_SECONDS):
        raise Failed(
            "joint_states is not published: is joint_state_broadcaster active, and ROS_DOMAIN_ID the robot's? "
            f"controller_supervisor: {arm.says or 'no status'}"
        )
    counts = Counter(arm.names)
    missing = [name for name in arm.robot.joint_names if counts[name] == 0]
    twice = [name for name in arm.robot.joint_names if counts[name] > 1]
    if missing or twice:
        raise Failed(
            "joint_states " + " and ".join([f"lack {', '.join(missing)}"] * bool(missing) + [f"have {', '.join(twice)} "
            "more than once"] * bool(twice))
        )  # fmt: skip
    if not arm.until(lambda: arm.phase == "inactive" and "ready" in arm.says, WAIT_SECONDS):
        raise Failed(arm.says or "controller_supervisor publishes no status")
    rate = (len(arm.stamps) - 1) / (arm.stamps[-1] - arm.stamps[0])
    return (
        f"{len(arm.names)} joints published at {rate:.0f} Hz; the controller drives exactly ours, in our order",
        {"published": list(arm.names), "joint_state_rate_hz": round(rate, 1)},
    )


def limits(bench: Bench) -> Result:
    """Check that ros2_control enforces the filter's limits and no soft ones, and that the arm is inside them."""
    arm, robot = bench.arm, bench.arm.robot
    # The process that owns a Franka arm has no such switch: it bounds every torque it writes by our own URDF's limits.
    always = arm.enforcer != "controller_manager"
    enforced = always or arm.manager_parameter("enforce_command_limits")
    if not enforced:
        state = "does not say whether it enforces limits" if enforced is None else "does not enforce limits"
        raise Failed(f"controller_manager {state}: set enforce_command_limits: true, and start it again")
    if not arm.until(lambda: bool(arm.urdf), WAIT_SECONDS):
        raise Failed("robot_description is not published, so the limits that ros2_control enforces cannot be compared")
    unfit = unfit_description(arm.urdf, robot.joint_names)
    if unfit:
        raise Failed(unfit)
    try:
        theirs = describe(_facts(robot), arm.urdf).limits
    except ValueError as error:
        raise Failed(f"robot_description: {error}") from error
    for name in ("effort", "velocity", "lower", "upper"):
        own, other = getattr(robot.limits, name), getattr(theirs, name)
        differs = ~np.isclose(own, other, rtol=_AGREE, atol=0.0)
        if differs.any():
            joint = int(np.argmax(differs))
            raise Failed(
                f"{robot.joint_names[joint]}: {name} limit {other[joint]:g} in robot_description, {own[joint]:g} in "
                f"{robot.name}'s URDF here: they must be of the same arm"
            )
    position = bench.position()
    outside = (position < robot.limits.lower) | (position > robot.limits.upper)
    if outside.any():
        joint = int(np.argmax(outside))
        raise Failed(
            f"{robot.joint_names[joint]} is at {position[joint]:.3f} rad, outside "
            f"{robot.limits.lower[joint]:g} to {robot.limits.upper[joint]:g}: wrong zero of the encoder, or another"
        )
    return (
        f"enforced by {arm.enforcer}, equal to our URDF's, no soft ones among them; every joint is inside",
        {
            "position": [round(float(value), 4) for value in position],
            DESCRIPTION: fingerprint(arm.urdf),
        },
    )


def _facts(robot: object) -> RobotFacts:
    names = ("name", "joint_names", "base_link", "tool_link", "gravity_compensated")
    return RobotFacts(
        urdf="robot_description",
        armature=tuple(robot.armature),  # type: ignore[attr-defined]
        home=tuple(robot.home),  # type: ignore[attr-defined]
        **{name: getattr(robot, name) for name in names},
    )
