# SPDX-License-Identifier: Apache-2.0
"""The words in which franka_robot tells of its arm."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from safe_transfer_msgs.msg import FrankaState

from safe_transfer_ros.franka.exchange import STATE
from safe_transfer_ros.middleware.franka_status import fill_state, standing_now, status_message
from safe_transfer_ros.safety.motion.causes import CAUSE_TEXT, ArmMode, Cause

NOW = 10**12
MS = 1_000_000


def state(**values: object) -> np.void:
    record = np.zeros(1, STATE)[0]
    for name, value in ({"stamp_ns": NOW - MS, "mode": int(ArmMode.MOVE), "moving": 1} | values).items():
        record[name] = value
    return record


def told(record: np.void) -> dict[str, str]:
    message = status_message(record, NOW, hardware="fr3")
    return {entry.key: entry.value for entry in message.values} | {"message": message.message}


def test_a_motion_is_told() -> None:
    message = status_message(state(), NOW, hardware="fr3")
    assert message.level == DiagnosticStatus.OK and message.message == "in motion" and message.hardware_id == "fr3"
    assert told(state())["motion"] == "active" and told(state())["mode"] == "MOVE"


@pytest.mark.parametrize("age_ms", [101, -1])
def test_a_state_that_is_old_is_an_arm_that_cannot_be_reached(age_ms: int) -> None:
    """Whatever it says: a process that hangs leaves its last words."""
    old = state(stamp_ns=NOW - age_ms * MS)
    assert standing_now(old, NOW) is Cause.COMMUNICATION_LOST
    assert (told(old)["motion"], told(old)["standing"]) == ("inactive", "COMMUNICATION_LOST")
    assert told(old)["message"] == "the arm cannot be reached: no state of it is newer than 0.1 s"
    assert standing_now(state(stamp_ns=NOW - 100 * MS), NOW) is Cause.NONE


def test_causes_are_told_by_name_and_in_words() -> None:
    values = told(
        state(
            moving=0, mode=4, standing=int(Cause.COLLISION), ended=int(Cause.COLLISION), words=b"reflex! [joint_reflex]"
        )
    )
    assert (values["standing"], values["ended"], values["mode"]) == ("COLLISION", "COLLISION", "REFLEX")
    assert CAUSE_TEXT[Cause.COLLISION] in values["message"] and "joint_reflex" in values["message"]


def test_a_mode_that_is_none_is_told_as_it_came() -> None:
    assert told(state(mode=9, standing=int(Cause.MODE_UNKNOWN)))["mode"] == "9"


def test_a_whole_state_has_what_joint_states_cannot_hold() -> None:
    record = state(
        cycle=7,
        arm_ms=1234,
        position=np.arange(7.0),
        velocity=np.arange(7.0) + 10.0,
        effort=np.arange(7.0) + 20.0,
        external=np.arange(7.0) + 30.0,
        sent=np.arange(7.0) + 40.0,
        standing=int(Cause.COLLISION),
        ended=int(Cause.REFLEX),
        success_rate=0.97,
        lost=3,
        read_to_write_ns=71_000,
    )
    message = FrankaState()
    fill_state(message, record)
    assert (message.cycle, message.arm_time, message.lost_cycles, message.moving) == (7, 1234, 3, True)
    for field, begins in (
        ("position", 0),
        ("velocity", 10),
        ("effort", 20),
        ("external_effort", 30),
        ("commanded_effort", 40),
    ):
        assert list(getattr(message, field)) == list(range(begins, begins + 7)), field
    assert (message.robot_mode, message.standing, message.ended) == (FrankaState.MODE_MOVE, "COLLISION", "REFLEX")
    assert (message.success_rate, message.read_to_write) == (0.97, pytest.approx(71e-6))
    fill_state(message, state(mode=9))
    assert message.robot_mode == FrankaState.MODE_OTHER
    assert all(getattr(FrankaState, f"MODE_{mode.name}") == mode for mode in ArmMode)
