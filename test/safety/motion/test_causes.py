# SPDX-License-Identifier: Apache-2.0
"""What an arm's mode and errors say about a motion."""

from __future__ import annotations

import pytest

from safe_transfer_ros.safety.motion.causes import (
    CAUSE_TEXT,
    PRESSED,
    RECOVERABLE,
    ArmMode,
    Cause,
    standing_cause,
)

NO_ERRORS: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("mode", "errors", "moving", "cause"),
    [
        (ArmMode.IDLE, (), False, Cause.NONE),
        (ArmMode.IDLE, (), True, Cause.NONE),
        (ArmMode.MOVE, (), True, Cause.NONE),
        (ArmMode.MOVE, (), False, Cause.STARTED_BY_ANOTHER),
        (ArmMode.GUIDING, (), False, Cause.GUIDING),
        (ArmMode.REFLEX, (), True, Cause.REFLEX),
        (ArmMode.REFLEX, ("joint_reflex",), True, Cause.COLLISION),
        (ArmMode.REFLEX, ("cartesian_reflex", "communication_constraints_violation"), True, Cause.COLLISION),
        (ArmMode.REFLEX, ("communication_constraints_violation",), True, Cause.COMMUNICATION_CONSTRAINTS),
        (ArmMode.REFLEX, ("controller_torque_discontinuity",), True, Cause.REFLEX),
        (ArmMode.MOVE, ("power_limit_violation",), True, Cause.REFLEX),
        (ArmMode.USER_STOPPED, (), False, Cause.USER_STOP),
        (ArmMode.USER_STOPPED, ("joint_reflex",), False, Cause.USER_STOP),
        (ArmMode.AUTOMATIC_ERROR_RECOVERY, (), False, Cause.RECOVERING),
        (ArmMode.OTHER, (), False, Cause.MODE_UNKNOWN),
        (7, (), False, Cause.MODE_UNKNOWN),
        (-1, (), True, Cause.MODE_UNKNOWN),
    ],
)
def test_what_a_state_says(mode: int, errors: tuple[str, ...], moving: bool, cause: Cause) -> None:
    assert standing_cause(mode, frozenset(errors), moving=moving) is cause


def test_only_idle_and_our_own_motion_are_free_of_a_cause() -> None:
    free = {
        (mode, moving)
        for mode in range(-2, 12)
        for moving in (False, True)
        if standing_cause(mode, NO_ERRORS, moving=moving) is Cause.NONE
    }
    assert free == {(ArmMode.IDLE, False), (ArmMode.IDLE, True), (ArmMode.MOVE, True)}


def test_every_cause_has_words() -> None:
    assert set(CAUSE_TEXT) == set(Cause) and len(set(CAUSE_TEXT.values())) == len(Cause)


def test_recovery_is_for_reflexes_only() -> None:
    """A user stop is ended by hand at the button, guiding by letting go."""
    assert RECOVERABLE == {Cause.REFLEX, Cause.COLLISION, Cause.COMMUNICATION_CONSTRAINTS}
    assert RECOVERABLE < PRESSED and {Cause.USER_STOP, Cause.GUIDING} < PRESSED and Cause.NONE not in PRESSED
