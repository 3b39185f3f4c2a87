# SPDX-License-Identifier: Apache-2.0
"""Pre-training: its numbers depend on the settings alone, and its directory survives anything."""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.policies import weights
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.transfer.pspt import pretraining_run as pretrain_run
from safe_transfer_ros.transfer.pspt.pretraining import (
    TIME_COLUMNS,
    BatchRecord,
    PretrainSettings,
    Progress,
    pretrain,
    start,
)
from safe_transfer_ros.transfer.pspt.pretraining_run import PretrainRun, PretrainRunError, read_curve

SETTINGS = PretrainSettings(episodes=3, hidden_layers=2, hidden_units=16, seed=4)


@pytest.fixture(scope="module")
def task() -> TorqueTask:
    return make("pr2_cup_swirl")


@pytest.fixture(scope="module")
def history(task: TorqueTask) -> list[tuple[Progress, BatchRecord]]:
    return list(islice(pretrain(task, SETTINGS, start(task, SETTINGS), threads=1), 4))


def same(first: weights.Parameters, second: weights.Parameters) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


def timeless(record: BatchRecord) -> BatchRecord:
    return dataclasses.replace(record, **dict.fromkeys(TIME_COLUMNS, 0.0))


def open_run(
    folder: Path, task: TorqueTask, *, resume: bool = False, settings: PretrainSettings = SETTINGS
) -> PretrainRun:
    return PretrainRun(folder, task, settings, resume=resume)


def add(run: PretrainRun, history: list[tuple[Progress, BatchRecord]], rows: range, checkpoint: bool = True) -> None:
    for row in rows:
        run.add(*history[row])
    if checkpoint:
        run.checkpoint()


def test_going_on_from_any_batch_gives_the_same_numbers_with_any_number_of_threads(task, history) -> None:
    for done in (0, 2):
        at = start(task, SETTINGS) if done == 0 else history[done - 1][0]
        for row, (progress, record) in enumerate(islice(pretrain(task, SETTINGS, at, threads=2), 2), start=done):
            assert progress.batches == row + 1
            assert timeless(record) == timeless(history[row][1])
            assert same(progress.parameters, history[row][0].parameters)


def test_the_torque_limit_differs_between_episodes_and_batches(task, history, monkeypatch) -> None:
    from safe_transfer_ros.transfer.pspt import pretraining as module

    seen = []
    real = module.VectorTorqueEnv.rollout

    def spy(self, policy, *, torque_limits, seed, first_episode):
        seen.append((tuple(torque_limits), seed, first_episode))
        return real(self, policy, torque_limits=torque_limits, seed=seed, first_episode=first_episode)

    monkeypatch.setattr(module.VectorTorqueEnv, "rollout", spy)
    list(islice(pretrain(task, SETTINGS, start(task, SETTINGS), threads=1), 2))
    limits = [limit for batch, _, _ in seen for limit in batch]
    assert len(set(limits)) == 6 and all(0.1 <= limit <= 3.0 for limit in limits)
    assert [(seed, first) for _, seed, first in seen] == [(4, 0), (4, 3)]


def test_a_batch_says_what_happened(history) -> None:
    record = history[1][1]
    assert record.batch == 1 and record.steps == 1200
    assert 0.0 < record.kl <= SETTINGS.max_kl and 0.3 < record.stddev < 0.4
    assert record.mean_return < record.mean_task_return and 0.0 <= record.unsafety_rate <= 1.0


def test_a_directory_is_taken_up_where_its_checkpoint_stands(tmp_path, task, history) -> None:
    with open_run(tmp_path, task) as run:
        assert run.progress.batches == 0 and run.records == []
        add(run, history, range(2))
        add(run, history, range(2, 4), checkpoint=False)
    (tmp_path / "learning_curve.csv").open("a").write("4,6000,1.0,2")  # the row a crash left half written
    with open_run(tmp_path, task, resume=True) as run:
        assert run.progress.batches == 2 and same(run.progress.parameters, history[1][0].parameters)
        assert run.records == [record for _, record in history[:2]]
        add(run, history, range(2, 4))
    assert read_curve(tmp_path / "learning_curve.csv") == [record for _, record in history]


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path, task, history) -> None:
    with open_run(tmp_path, task) as run:
        add(run, history, range(1), checkpoint=False)
    with open_run(tmp_path, task, resume=True) as run:
        assert run.progress.batches == 0 and run.records == []


def test_a_failed_checkpoint_leaves_the_one_before(tmp_path, task, history, monkeypatch) -> None:
    with open_run(tmp_path, task) as run:
        add(run, history, range(2))

        def disk_full(*_: object) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pretrain_run.weights, "save", disk_full)
        with pytest.raises(OSError, match="No space"):
            add(run, history, range(2, 3))
    monkeypatch.undo()
    with open_run(tmp_path, task, resume=True) as run:
        assert run.progress.batches == 2


def test_the_finished_policy_can_be_loaded_and_says_where_it_is_from(tmp_path, task, history) -> None:
    with open_run(tmp_path, task) as run:
        add(run, history, range(4))
        digest = run.finish({"task": task.name})
    read, metadata = weights.load(tmp_path / "policy.safetensors", sha256=digest)
    assert same(read, history[3][0].parameters) and metadata == {"task": "pr2_cup_swirl"}


def test_directories_that_do_not_fit_are_refused_and_left_alone(tmp_path, task, history) -> None:
    with pytest.raises(PretrainRunError, match="nothing to resume"):
        open_run(tmp_path / "none", task, resume=True)
    assert not (tmp_path / "none").exists()
    with open_run(tmp_path, task) as run:
        add(run, history, range(2))
        with pytest.raises(PretrainRunError, match="another process is training"):
            open_run(tmp_path, task, resume=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(PretrainRunError, match="--resume"):
        open_run(tmp_path, task)
    with pytest.raises(PretrainRunError, match="seed 4, you gave 5"):
        open_run(tmp_path, task, resume=True, settings=dataclasses.replace(SETTINGS, seed=5))
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_a_run_of_other_random_streams_is_not_gone_on_with(tmp_path, task, history) -> None:
    with open_run(tmp_path, task) as run:
        add(run, history, range(2))
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("random_streams: 2\n", ""))
    with pytest.raises(PretrainRunError, match=r"another version of this package \(1, now 2\).*another --out"):
        open_run(tmp_path, task, resume=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("checkpoint.safetensors", b"rubbish", "cannot resume from"),
        ("config.yaml", b"- a list", "config.yaml is damaged"),
        ("config.yaml", b"task: pr2_cup_swirl\nsead: 1\n", "damaged.*did you mean 'seed'"),
        ("learning_curve.csv", b"a,b\n1,2\n", "expected the columns"),
        ("learning_curve.csv", b"", "has 0 batches, the checkpoint 2"),
    ],
)
def test_damaged_files_are_named(tmp_path, task, history, name, content, message) -> None:
    with open_run(tmp_path, task) as run:
        add(run, history, range(2))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PretrainRunError, match=message):
        open_run(tmp_path, task, resume=True)


def test_a_curve_with_a_row_missing_is_refused(tmp_path, task, history) -> None:
    with open_run(tmp_path, task) as run:
        add(run, history, range(3))
    path = tmp_path / "learning_curve.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))
    with pytest.raises(PretrainRunError, match="line 3: expected batch 1, got 2"):
        read_curve(path)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="fisher_fraction"):
        PretrainSettings(fisher_fraction=1.5)
