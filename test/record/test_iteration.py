# SPDX-License-Identifier: Apache-2.0
"""Rows of a run: how they are worked out, and that the CSV survives what happens to files."""

import dataclasses
import errno
import math
import os

import numpy as np
import pytest

from safe_transfer_ros import files
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.record.iteration import (
    COLUMNS,
    IterationEstimate,
    IterationRecord,
    IterationsError,
    append,
    iteration_record,
    read,
)
from safe_transfer_ros.tasks.task import make


def record(iteration, **changes):
    values = {name: 0.1 + iteration / 3 for name in COLUMNS} | {
        "iteration": iteration,
        "interventions": 7,
        "policy_version": iteration,
        "steps": 1000,
    }
    return IterationRecord(**(values | changes))


def test_columns_are_the_interface():
    assert COLUMNS == (
        "iteration", "mean_return", "unsafety_rate", "limit_change_risk", "policy_change_risk",
        "predicted_unsafety_rate", "torque_limit", "expected_damage", "interventions", "policy_version",
        "wall_time_s", "mean_task_return", "kl", "unsafety_mean", "unsafety_max", "steps",
    )  # fmt: skip


def test_numbers_come_back_exactly(tmp_path):
    rows = [record(0, kl=math.pi * 1e-17, mean_return=-1 / 3), record(1, unsafety_mean=math.nan, kl=math.inf)]
    for row in rows:
        append(tmp_path / "iterations.csv", row)
    back = read(tmp_path / "iterations.csv")
    assert back[0] == rows[0]
    assert math.isnan(back[1].unsafety_mean) and back[1].kl == math.inf
    assert [type(getattr(back[0], name)) for name in ("iteration", "steps", "kl")] == [int, int, float]


def test_numpy_numbers_are_written_as_plain_ones(tmp_path):
    append(tmp_path / "iterations.csv", record(0, mean_return=np.float64(0.1), steps=np.int64(5)))
    assert "np" not in (tmp_path / "iterations.csv").read_text()
    assert read(tmp_path / "iterations.csv")[0].steps == 5


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_row_is_ignored_and_then_replaced(tmp_path, cut):
    path = tmp_path / "iterations.csv"
    append(path, record(0))
    append(path, record(1))
    path.write_bytes(path.read_bytes()[:-cut])
    assert read(path) == [record(0)]
    append(path, record(1))
    append(path, record(2))
    assert read(path) == [record(0), record(1), record(2)]


def test_half_a_header_is_replaced(tmp_path):
    path = tmp_path / "iterations.csv"
    path.write_text("iteration,mean_ret")
    assert read(path) == []
    append(path, record(0))
    assert read(path) == [record(0)]


def test_rows_follow_one_another(tmp_path):
    path = tmp_path / "iterations.csv"
    append(path, record(3))
    with pytest.raises(IterationsError, match="already has iteration 3"):
        append(path, record(3))
    assert read(path) == [record(3)]


def test_a_file_with_other_columns_is_not_touched(tmp_path):
    path = tmp_path / "iterations.csv"
    path.write_text("iteration,reward\n0,1\n")
    with pytest.raises(IterationsError, match="lacks the columns mean_return"):
        append(path, record(1))
    with pytest.raises(IterationsError, match="lacks the columns mean_return"):
        read(path)
    assert path.read_text() == "iteration,reward\n0,1\n"


def test_columns_of_a_later_version_are_ignored_on_reading(tmp_path):
    path = tmp_path / "iterations.csv"
    append(path, record(0))
    header, row, _ = path.read_text().split("\n")
    path.write_text(f"extra,{header}\nx,{row}\n")
    assert read(path) == [record(0)]


def test_a_wrong_value_names_the_line(tmp_path):
    path = tmp_path / "iterations.csv"
    append(path, record(0))
    path.write_text(path.read_text() + ",".join(["x"] * len(COLUMNS)) + "\n")
    with pytest.raises(IterationsError, match="line 3, column iteration: expected a whole number, got 'x'"):
        read(path)


def test_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(IterationsError, match="cannot read"):
        read(tmp_path / "nothing.csv")


def test_a_full_disk_leaves_the_rows_before(tmp_path, monkeypatch):
    path = tmp_path / "iterations.csv"
    append(path, record(0))

    def full(descriptor, data):
        os.write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write_all", full)
    with pytest.raises(OSError, match="No space"):
        append(path, record(1))
    monkeypatch.undo()
    assert path.read_text().endswith("\n") and read(path) == [record(0)]


def estimate(**changes):
    fields = {field.name: 0.25 for field in dataclasses.fields(IterationEstimate)}
    fields |= {"iteration": 4, "policy_version": 4, "steps": 6, "missing": 0, "kl": 0.04, "torque_limit": 0.2}
    return IterationEstimate(**(fields | changes))


def episode(task, seed, iteration=4, steps=3):
    rng = np.random.default_rng(seed)
    n = task.action_size
    position = task.start + 0.2 * rng.standard_normal((steps + 1, n))
    zeros = np.zeros((steps, n))
    return Episode(
        iteration=iteration,
        index=seed,
        stamp_ns=np.arange(steps + 1),
        position=position,
        velocity=rng.standard_normal((steps + 1, n)),
        observation=np.zeros((steps + 1, 18)),
        mean=zeros,
        stddev=zeros + 1,
        proposed=rng.standard_normal((steps, n)),
        applied=zeros,
        torque_limit=np.full(steps, 0.2),
        reasons=np.zeros(steps, dtype=np.uint32),
        verdict=np.zeros(steps, dtype=np.uint8),
        risk=np.full(steps, np.nan),
        policy_version=iteration,
        terminated=False,
    )


def test_returns_are_summed_over_steps_and_averaged_over_episodes():
    task = make("pr2_cup_swirl")
    episodes = [episode(task, seed, steps=3 + seed) for seed in (0, 1)]
    row = iteration_record(episodes, estimate(), task, interventions=5, wall_time_s=1.5)
    totals = []
    for one in episodes:
        # State by state: the reward of a step is that of the state it led to and the torque it proposed.
        total = 0.0
        for t in range(one.steps):
            tilt = float(task.unsafety(one.position[t + 1]))
            task_reward = float(task.task_reward(one.position[t + 1], one.velocity[t + 1], one.proposed[t]))
            total += task_reward - 0.002 * tilt**2
        totals.append(total)
    assert row.mean_return == pytest.approx(np.mean(totals), abs=1e-9)
    assert row.mean_task_return > row.mean_return
    assert (row.iteration, row.interventions, row.wall_time_s, row.kl, row.steps) == (4, 5, 1.5, 0.04, 6)
    assert (row.torque_limit, row.expected_damage, row.policy_version) == (0.2, 0.25, 4)


def test_episodes_of_another_iteration_are_refused():
    task = make("pr2_cup_swirl")
    with pytest.raises(ValueError, match="some of iteration 3"):
        iteration_record(
            [episode(task, 0), episode(task, 1, iteration=3)],
            estimate(),
            task,
            interventions=0,
            wall_time_s=0.0,
        )
    with pytest.raises(ValueError, match="got 0"):
        iteration_record([], estimate(), task, interventions=0, wall_time_s=0.0)
