# SPDX-License-Identifier: Apache-2.0
"""Reasons, modes and verdicts are a recorded interface: numbers stay, each has its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safe_transfer_ros.safety.reasons import (
    MODE_TEXT,
    NOT_TAKEN,
    REASON_TEXT,
    VERDICT_TEXT,
    VERDICTS,
    Mode,
    Reason,
    Verdict,
    describe,
    split,
)

MESSAGE = Path(__file__).parents[2] / "safe_transfer_msgs" / "msg" / "SafetyDecision.msg"


def test_numbers_that_bags_already_hold_stay():
    assert [int(reason) for reason in REASON_TEXT] == [1 << bit for bit in range(len(REASON_TEXT))]
    assert Reason.CLAMPED_TORQUE_LIMIT == 1 and Reason.CRITIC_FAILED == 65536 and Reason.SHUTDOWN == 1 << 19
    assert [mode.name for mode in Mode] == ["DISARMED", "ARMED", "HOLDING", "TRIPPED"]
    assert [verdict.name for verdict in Verdict] == [
        "ACCEPTED",
        "BOUNDED",
        "RESAMPLED",
        "LEAST_RISKY",
        "REJECTED",
        "STOPPED",
        "EPISODE_END",
    ]


def test_a_number_that_no_verdict_has_stands_for_nothing():
    assert [number for number in range(256) if number in VERDICTS] == [int(verdict) for verdict in Verdict]
    assert {Verdict.REJECTED, Verdict.STOPPED} == NOT_TAKEN


def test_every_member_has_words():
    assert set(REASON_TEXT) == {reason for reason in Reason.__members__.values() if reason}
    assert set(MODE_TEXT) == set(Mode)
    assert set(VERDICT_TEXT) == set(Verdict)
    assert all(text and "\n" not in text for text in (*REASON_TEXT.values(), *VERDICT_TEXT.values()))


def test_a_combination_splits_lowest_bit_first_and_ignores_what_a_later_version_added():
    both = Reason.OPERATOR_STOP | Reason.CLAMPED_TORQUE_RATE
    assert split(both) == (Reason.CLAMPED_TORQUE_RATE, Reason.OPERATOR_STOP)
    assert split(both | (1 << 32)) == split(both)
    assert describe(both) == f"{REASON_TEXT[Reason.CLAMPED_TORQUE_RATE]}; {REASON_TEXT[Reason.OPERATOR_STOP]}"
    assert describe(Reason.NONE) == ""


@pytest.mark.parametrize("prefix, members", [("REASON", Reason), ("MODE", Mode), ("VERDICT", Verdict)])
def test_the_message_mirrors_them(prefix, members):
    constants = dict(re.findall(rf"^\s*\w+\s+{prefix}_(\w+)\s*=\s*(\d+)", MESSAGE.read_text(), re.MULTILINE))
    expected = {name: int(member) for name, member in members.__members__.items()}
    assert {name: int(value) for name, value in constants.items()} == expected, (
        f"give safe_transfer_msgs/msg/SafetyDecision.msg the {prefix}_* constants of safety/reasons.py"
    )
