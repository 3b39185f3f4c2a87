# SPDX-License-Identifier: Apache-2.0
"""The campaign's table says what its rows say."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from safe_transfer_ros.faults import campaign, report
from safe_transfer_ros.faults.campaign import Row
from safe_transfer_ros.faults.table import FAULTS, find
from safe_transfer_ros.safety.reasons import Mode, Reason

ROOT = Path(__file__).resolve().parents[2]
GOOD = Row(
    fault="policy_killed",
    repeat=0,
    expected="HOLDING",
    observed="HOLDING",
    kept="yes",
    time_to_safe_ms="101.00",
    allowed_ms="120",
    data_lost="0",
    stall_ms="0.0",
    broken="",
)

TOLD_ON_THE_WAY = (  # why proposals are refused; the trip that follows is PROPOSAL_TIMEOUT
    Reason.PROPOSAL_NOT_FINITE
    | Reason.PROPOSAL_WRONG_LENGTH
    | Reason.PROPOSAL_WRONG_JOINTS
    | Reason.PROPOSAL_STALE
    | Reason.PROPOSAL_FROM_FUTURE
    | Reason.CRITIC_FAILED
)
NEVER_TRIPS = {Reason.CRITIC_RISK, Reason.JOINT_STATE_WRONG_JOINTS} | {
    reason
    for reason in Reason
    if reason & TOLD_ON_THE_WAY
    or reason & (Reason.LIMIT_LEASE_LOST | Reason.LIMIT_REFUSED | Reason.DAMAGE_BUDGET_SPENT | Reason.NOT_ARMED)
    or str(reason.name).startswith("CLAMPED_")
}
# No stand-in of the campaign can bring these about: its arm has no object, supervisor or weight, and the steady clock
# is the kernel's.
TRIPS_ELSEWHERE = {
    Reason.CLOCK_WENT_BACK: "safety/filter/test_each_call.py",
    Reason.NO_PERMISSION: "ros2_control/test_controller_supervisor.py",
    Reason.OBJECT_POSE_STALE: "safety/filter/test_object_pose.py",
    Reason.OBJECT_POSE_FROZEN: "safety/filter/test_object_pose.py",
    Reason.OBJECT_POSE_NOT_FINITE: "safety/filter/test_object_pose.py",
    Reason.GRAVITY_FAILED: "safety/filter/test_gravity_term.py",
    Reason.SHUTDOWN: "safety/filter/test_stop_damping.py",
    Reason.ARM_STOPPED: "nodes/test_stop_topic.py",
}


def test_a_line_has_median_and_maximum_and_counts() -> None:
    late = replace(GOOD, repeat=1, time_to_safe_ms="131.00", kept="stalled", stall_ms="40.0")
    broken = replace(GOOD, repeat=2, time_to_safe_ms="105.00", kept="no", data_lost="2", broken="2 messages lost")
    line = report.faults_table([GOOD, late, broken]).splitlines()[-1]
    assert line.startswith("| policy killed (SIGKILL) | HOLDING | HOLDING; **BROKEN** 1 x: 2 messages lost |")
    assert line.endswith("| 105 / 131 (120) | 2 | 1/3, 1 late with the machine |")


def test_the_summary_counts_what_was_not_kept() -> None:
    rows = [GOOD, replace(GOOD, kept="no"), replace(GOOD, kept="not run")]
    assert report.summary(rows).startswith("1 of 2 repeats kept every promise; 1 faults could not")


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "safety.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n<!-- end -->\n")
    report.write_into(document, [GOOD])
    report.write_into(document, [GOOD])
    assert document.read_text().startswith(f"before\n{report.BEGIN}\n| fault |")
    assert document.read_text().endswith(f"|\n{report.END}\nafter\n<!-- end -->\n")
    document.write_text("no place")
    with pytest.raises(ValueError, match="no place for the table"):
        report.write_into(document, [GOOD])


def test_another_file_is_not_taken_for_a_campaign(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="other.csv lacks the columns fault, repeat"):
        campaign.read(tmp_path / "other.csv")


def test_faults_have_names_of_their_own_and_an_unknown_one_is_named() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    with pytest.raises(ValueError, match="did you mean 'policy_killed'"):
        find(["policy_kiled"])


def test_every_cause_of_a_trip_is_brought_about_or_has_a_test_of_its_own() -> None:
    told = Reason.NONE
    for fault in FAULTS:
        if Mode.TRIPPED in fault.modes:
            told |= fault.reasons & ~TOLD_ON_THE_WAY
    assert {reason for reason in Reason if reason & told} | TRIPS_ELSEWHERE.keys() == set(Reason) - NEVER_TRIPS
    assert not told & functools.reduce(operator.or_, TRIPS_ELSEWHERE)
    for reason, file in TRIPS_ELSEWHERE.items():
        assert f"Reason.{reason.name}" in (ROOT / "test" / file).read_text()


def test_the_documented_table_is_the_recorded_campaign() -> None:
    table = report.faults_table(campaign.read(ROOT / "docs/results/faults.csv"))
    assert f"{report.BEGIN}\n{table}\n{report.END}" in (ROOT / "docs/safety.md").read_text()


def test_every_fault_of_the_table_is_recorded_and_no_other() -> None:
    rows = campaign.read(ROOT / "docs/results/faults.csv")
    assert {fault.name for fault in FAULTS} ^ {row.fault for row in rows} == set()
    repeats = Counter(row.fault for row in rows if row.kept != "not run")
    assert {name: count for name, count in repeats.items() if count < 20} == {}
    assert {fault.name for fault in FAULTS} - repeats.keys() == set(), "a row that says `not run` is no repeat"
