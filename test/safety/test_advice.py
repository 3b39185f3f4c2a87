# SPDX-License-Identifier: Apache-2.0
"""Every reason has advice, what it says of stops is what the fault campaign expects, and the page has all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safe_transfer_ros.faults.table import FAULTS
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.advice import ADVICE, text
from safe_transfer_ros.safety.reasons import REASON_TEXT, Mode, Reason, split

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def test_every_reason_has_advice_in_whole_sentences() -> None:
    assert list(ADVICE) == list(REASON_TEXT) == [reason for reason in Reason if reason]
    for advice in ADVICE.values():
        for part in (advice.effect, advice.cause, advice.fix):
            assert part[0].isupper() or part[0] in "`/", part
            assert part.endswith((".", "?", ".)")), part


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if len(split(int(fault.reasons))) == 1], ids=lambda f: f.name
)
def test_what_stops_the_arm_is_said_to(fault) -> None:  # type: ignore[no-untyped-def]
    """What the campaign sees from outside: the modes that one reason leads through."""
    (reason,) = split(int(fault.reasons))
    effect = ADVICE[reason].effect
    assert (Mode.TRIPPED in fault.modes) <= ("TRIPPED" in effect), effect
    assert (Mode.HOLDING in fault.modes) <= ("HOLDING" in effect), effect


def test_a_reason_can_be_linked_to() -> None:
    for reason in REASON_TEXT:
        assert f"\n### {reason.name}\n" in PAGE
    assert text() in PAGE


def test_a_parameter_without_a_node_is_one_of_the_filter() -> None:
    """Launch arguments are the others."""
    arguments = {"t_max", "d_safe", "torque_limit_floor"}
    for name in set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text())) - arguments:
        known = {*FilterParameters.__dataclass_fields__, "action_names", "object_pose", "last_stop", "joint_states"}
        assert name in known, name
