# SPDX-License-Identifier: Apache-2.0
"""The judge of the fault campaign finds every kind of broken promise, and nothing in a good stream."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.faults.promises import Bounds, Grants, broken, safe_from
from safe_transfer_ros.faults.proposals import BAD_TORQUE, good_effort

N = 7
MS = 1_000_000
BOUNDS = Bounds(effort_limit=np.full(N, 3.0), lowest_limit=0.1, rate=1000.0, period_s=0.005, freshness_s=0.12)
TIMES = np.arange(1000, 1500, 5, dtype=np.int64) * MS
PROPOSALS = np.arange(990, 1500, 50, dtype=np.int64) * MS
GRANTS = Grants(
    times=np.arange(800, 1500, 150, dtype=np.int64) * MS,
    limits=np.full(5, 2.0),
    iterations=np.full(5, 1),
    lease_s=0.6,
)


def stream() -> np.ndarray:
    """Commands as a good filter answers good proposals under a limit of 2 N·m."""
    commands = np.tile(good_effort(1, N), (len(TIMES), 1))
    commands[:, 0] = 2.0
    return commands


def judged(commands: np.ndarray | list, proposals: np.ndarray = PROPOSALS, grants: Grants = GRANTS) -> tuple[str, str]:
    found, late = broken(TIMES[: len(commands)], list(commands), BOUNDS, grants, proposals)
    return "; ".join(found), "; ".join(late)


def test_a_good_stream_breaks_nothing() -> None:
    assert judged(stream()) == ("", "")
    assert judged(np.zeros((len(TIMES), N)), np.empty(0, np.int64)) == ("", "")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite(value: float) -> None:
    commands = stream()
    commands[50, 3] = value
    assert "not finite" in judged(commands)[0]


def test_a_command_of_another_length() -> None:
    assert "shape (6,)" in judged([*stream()[:10], np.zeros(6)])[0]


def test_above_the_limit_granted() -> None:
    commands = stream()
    commands[50, 0] = 2.001
    assert "2.001 N·m on joint 0, allowed 2" in judged(commands)[0]


def test_above_the_effort_limit_of_the_joint() -> None:
    grants = Grants(times=GRANTS.times, limits=np.full(5, 9.0), iterations=GRANTS.iterations, lease_s=0.6)
    commands = stream()
    commands[50:52, 0] = 3.5
    assert "allowed 3 " in judged(commands, grants=grants)[0]


def test_the_limit_of_a_lease_that_ran_out() -> None:
    grants = Grants(times=GRANTS.times[:1], limits=GRANTS.limits[:1], iterations=GRANTS.iterations[:1], lease_s=0.3)
    found, late = judged(stream(), grants=grants)  # granted at 800 ms until 1100: torque goes on until 1500
    assert (found, late) == ("", late) and "allowed 0.1" in late
    early = Grants(times=GRANTS.times[:1] - 500 * MS, limits=grants.limits, iterations=grants.iterations, lease_s=0.3)
    assert "allowed 0.1" in judged(stream(), grants=early)[0]


def test_faster_than_the_rate() -> None:
    commands = stream()
    commands[50:, 0] = -2.0
    assert judged(commands) == ("", "")  # 4 N·m, where 5 are allowed in a period
    grants = Grants(times=GRANTS.times, limits=np.full(5, 3.0), iterations=GRANTS.iterations, lease_s=0.6)
    commands[:50, 0], commands[50:, 0] = 3.0, -3.0
    assert "changed by 6 N·m at once, allowed 5" in judged(commands, grants=grants)[0]


@pytest.mark.parametrize("joint", [1, 3, 6])
def test_a_torque_of_a_refused_proposal(joint: int) -> None:
    commands = stream()
    commands[50, joint] = BAD_TORQUE
    assert "no good proposal asked for" in judged(commands)[0]


def test_torques_matched_to_the_wrong_joints() -> None:
    commands = stream()
    commands[50, 1:-1] = commands[50, -2:0:-1]
    assert "no good proposal asked for" in judged(commands)[0]


def test_torque_long_after_the_last_good_proposal() -> None:
    last = PROPOSALS[:4]  # until 1140 ms
    assert "allowed 120" in judged(stream(), last)[1]
    commands = stream()
    commands[TIMES > 1260 * MS] = 0.0
    assert judged(commands, last) == ("", "")


def test_torque_before_any_proposal() -> None:
    assert "before any proposal" in judged(stream(), np.empty(0, np.int64))[1]


def test_safe_from_the_command_after_the_last_unsafe_one() -> None:
    safe = np.array([True, False, True, False, True, True])
    assert safe_from(TIMES[:6], safe) == TIMES[4]
    assert safe_from(TIMES[:2], np.array([True, True])) == TIMES[0]
    assert safe_from(TIMES[:2], np.array([True, False])) is None
