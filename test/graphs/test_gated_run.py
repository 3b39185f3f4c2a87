# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer up ... critic:=PATH`, short: what the critic refused is on record, and nobody learns from it."""

from __future__ import annotations

from pathlib import Path

import graph_runs
import numpy as np
import pytest
from hand_made_critic import critic_file

from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.bags.transitions import write_transitions
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import iteration_records
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.deployment import in_graph

THRESHOLD, GRAPH = 0.05, in_graph("pr2_cup_swirl")
# The first iteration has no estimate: the floor, below the least risk this critic ever tells (1.2e-4). The second has
# one, and so large a chi that the card's own epsilon, .1, is in force.
SHORT = ("trainer.episodes_per_iteration:=1", "iterations:=2")
SCHEDULE = ("critic_schedule:=csc", "critic_chi:=1000", "critic_floor:=1e-5")


@pytest.mark.timeout(300)  # a whole run, on a machine that may be busy
def test_a_run_under_a_critic(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "critic.safetensors"
    version = critic_file(file, threshold=THRESHOLD)
    schedule = [f"safety_filter.{parameter}" for parameter in SCHEDULE]
    finished = graph_runs.up(run, f"critic:={file}", *schedule, *SHORT, report=True)
    assert finished.returncode == 0, finished.stderr
    page = (run / "report.html").read_text()
    assert "critic risk" in page
    assert (
        f"Critic {version} judged 400 decisions, epsilon 0.1 (its model card) at most, less by critic_schedule" in page
    )

    decisions = [message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])]
    assert {one.critic_version for one in decisions} == {version}
    assert np.isnan([one.risk for one in decisions if one.last]).all()
    steps = [[one for one in decisions if one.iteration == i and not one.last] for i in (0, 1)]
    assert [len(some) for some in steps] == [200, 200]
    assert {one.verdict for one in steps[0]} == {Verdict.LEAST_RISKY}, "no estimate: the strictest epsilon"
    counted = {verdict: sum(one.verdict == verdict for one in steps[1]) for verdict in Verdict}
    assert counted[Verdict.LEAST_RISKY] < counted[Verdict.RESAMPLED] > 20, counted
    assert counted[Verdict.ACCEPTED] + counted[Verdict.BOUNDED] > 20, counted
    for one in steps[1]:
        replaced = one.verdict in (Verdict.RESAMPLED, Verdict.LEAST_RISKY)
        assert (
            bool(one.reasons & Reason.CRITIC_RISK) == replaced == (not np.array_equal(one.chosen, one.proposed_effort))
        )
        if one.verdict != Verdict.LEAST_RISKY:
            assert one.risk <= 0.1 and one.applied_effort[0] <= THRESHOLD + 1e-3

    transitions, counts = write_transitions([Bag(run / "bag")], GRAPH, tmp_path / "transitions")
    assert counts.transitions == 400 and counts.refused == 0
    taken = np.array([one.chosen for some in steps for one in some], dtype=np.float32)
    np.testing.assert_array_equal(transitions["chosen"], taken)
    live, (recomputed, _) = read(run / "iterations.csv"), iteration_records(run / "bag")
    for one, other in zip(live, recomputed, strict=True):
        assert other.mean_return == pytest.approx(one.mean_return, rel=1e-9)
        # What the trainer's returns are made of: rewards of the torques chosen.
        rewards = transitions["reward"][transitions["iteration"] == one.iteration]
        assert rewards.sum() == pytest.approx(one.mean_return, rel=1e-4)
