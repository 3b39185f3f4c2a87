# SPDX-License-Identifier: Apache-2.0
"""The main job at the arm's own pace."""

from __future__ import annotations

from pathlib import Path

import graph_runs
import pytest

from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.record.recompute import iteration_records

# A shared test machine may leave a process unscheduled for longer than an arm may go unwatched: the filter then trips,
# as it should, but that is not what this test is about.
PATIENT = (
    "safety_filter.joint_state_timeout:=5",
    "safety_filter.action_timeout:=5",
    "safety_filter.trip_timeout:=8",
    "safety_filter.frozen_timeout:=5",
)
pytestmark = pytest.mark.timeout(300)  # a whole run, on a machine that may be busy


def test_real_time_runs_the_same_nodes(tmp_path: Path) -> None:
    finished = graph_runs.up(
        tmp_path / "run", "timing:=realtime", "iterations:=1", "trainer.episodes_per_iteration:=1", *PATIENT
    )
    assert finished.returncode == 0, finished.stderr
    (record,) = read(tmp_path / "run" / "iterations.csv")
    assert record.steps == 200
    # Joint states at 200 Hz, decisions at 20 Hz: the rate counts every joint state, so it has the finer grain.
    (recomputed,), _ = iteration_records(tmp_path / "run" / "bag")
    assert recomputed.unsafety_rate == pytest.approx(record.unsafety_rate, abs=1e-9)
