# SPDX-License-Identifier: Apache-2.0
"""Reasons why a motion ends or must not begin, and what an arm's mode and errors say about it.

A motion is a session of torque control: it begins on an operator's word, and once it has ended for any reason it does
not go on by itself. The modes and names of errors are those of libfranka's RobotState.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final


class ArmMode(IntEnum):
    """Mode of the arm, with libfranka's numbers (RobotMode)."""

    OTHER = 0
    IDLE = 1
    MOVE = 2
    GUIDING = 3
    REFLEX = 4
    USER_STOPPED = 5
    AUTOMATIC_ERROR_RECOVERY = 6


class Cause(IntEnum):
    """Cause for which the motors get no torque. Numbers travel between two processes of one version only."""

    NONE = 0
    ORDERED = 1
    SHUTDOWN = 2
    COMMAND_STALE = 3
    COMMAND_NOT_FINITE = 4
    LIMIT_UNUSABLE = 5
    NO_PERMISSION = 6
    STATE_STALE = 7
    STATE_NOT_FINITE = 8
    CLOCK_WENT_BACK = 9
    REFLEX = 10
    COLLISION = 11
    COMMUNICATION_CONSTRAINTS = 12
    USER_STOP = 13
    GUIDING = 14
    RECOVERING = 15
    MODE_UNKNOWN = 16
    COMMUNICATION_LOST = 17
    STARTED_BY_ANOTHER = 18


CAUSE_TEXT: Final = MappingProxyType(
    {
        Cause.NONE: "nothing stands against a motion",
        Cause.ORDERED: "an operator or the supervisor asked for it",
        Cause.SHUTDOWN: "the process that drives the arm was told to end",
        Cause.COMMAND_STALE: "no command of the filter came in time",
        Cause.COMMAND_NOT_FINITE: "a command held NaN or infinity",
        Cause.LIMIT_UNUSABLE: "the torque limit in force was NaN, infinite or negative",
        Cause.NO_PERMISSION: "the supervisor's permission was withdrawn, or did not come",
        Cause.STATE_STALE: "the arm's state did not change in time",
        Cause.STATE_NOT_FINITE: "the arm's state held NaN or infinity",
        Cause.CLOCK_WENT_BACK: "the steady clock went back, so no age was known",
        Cause.REFLEX: "the arm stopped by a reflex",
        Cause.COLLISION: "the arm stopped by a reflex: it measured a collision",
        Cause.COMMUNICATION_CONSTRAINTS: "the arm stopped by a reflex: too many of its cycles got no answer",
        Cause.USER_STOP: "the user stop is pressed",
        Cause.GUIDING: "the arm is guided by hand",
        Cause.RECOVERING: "the arm is recovering from errors",
        Cause.MODE_UNKNOWN: "the arm is in a mode in which it takes no torque",
        Cause.COMMUNICATION_LOST: "the arm cannot be reached",
        Cause.STARTED_BY_ANOTHER: "the arm is in a motion that was not begun here",
    }
)
"""One line per cause, for people."""

COLLISIONS: Final = frozenset(
    {"joint_reflex", "cartesian_reflex", "force_control_safety_violation", "self_collision_avoidance_violation"}
)
"""Errors by which the arm says that it has touched something."""

RECOVERABLE: Final = frozenset({Cause.REFLEX, Cause.COLLISION, Cause.COMMUNICATION_CONSTRAINTS})
"""Causes that the arm's own recovery may end, on an operator's word."""

PRESSED: Final = RECOVERABLE | {Cause.USER_STOP, Cause.GUIDING, Cause.RECOVERING, Cause.MODE_UNKNOWN}
"""Causes for which the arm itself counts as a pressed stop button: the filter trips, and its reset is refused."""


def standing_cause(mode: int, errors: frozenset[str], *, moving: bool) -> Cause:
    """Cause that the arm's newest state gives against a motion; NONE for none.

    Args:
      mode: Of the arm; a number that is no mode of it is unknown.
      errors: Names of its present errors.
      moving: Whether a motion of ours is under way.
    """
    if mode == ArmMode.USER_STOPPED:
        return Cause.USER_STOP
    if mode == ArmMode.REFLEX or errors:
        if errors & COLLISIONS:
            return Cause.COLLISION
        return Cause.COMMUNICATION_CONSTRAINTS if "communication_constraints_violation" in errors else Cause.REFLEX
    if mode == ArmMode.GUIDING:
        return Cause.GUIDING
    if mode == ArmMode.AUTOMATIC_ERROR_RECOVERY:
        return Cause.RECOVERING
    if mode == ArmMode.MOVE:
        return Cause.NONE if moving else Cause.STARTED_BY_ANOTHER
    return Cause.NONE if mode == ArmMode.IDLE else Cause.MODE_UNKNOWN
