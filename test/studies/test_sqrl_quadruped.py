# SPDX-License-Identifier: Apache-2.0
"""The comparison on the quadruped: what its runs share, and the whole command, one method and one seed at a time."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
from in_this_process import here

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.studies import sqrl_quadruped as study
from safe_transfer_ros.tasks.quadruped.task import Quadruped
from safe_transfer_ros.transfer.training import TrainingPlan

__all__ = ["here"]


def test_both_tasks_begin_with_the_same_pre_training_at_the_papers_budget() -> None:
    runs = {case.name: study.pre_training(case, 0) for case in study.CASES}
    assert runs["SQRL"] == runs["Risk-sensitive"] and len(set(runs.values())) == 4
    for comparison in study.COMPARISONS.values():
        assert [comparison.pre_training(case, 0) for case in study.CASES] == list(runs.values())
    # 20 episodes of 500 steps an epoch, and at most 5 besides for SQRL.
    assert runs["SAC"].iterations * 10_000 == runs["SQRL"].iterations * 12_500 == 5e5
    # The task that is pre-trained in is the source of both.
    for task in study.COMPARISONS:
        plan = TrainingPlan(task=task, phase="pretrain")
        source = {"target_speed": 0.3, "foot_friction": 1.0}
        assert plan.environment_settings().items() <= source.items()


def test_an_unknown_method_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "sqrl_quadruped", "--methods", "td3", "--out", str(tmp_path)]) == 2
    assert "sqrl_quadruped has no method 'td3'" in capsys.readouterr().err
    for option, value in (("--methods", "sac"), ("--first-seed", "1")):
        assert main(["reproduce", "sqrl_spider", option, value, "--out", str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert f"{option} is for " in told and "sqrl_quadruped" in told and "not for sqrl_spider" in told
    assert main(["reproduce", "sqrl_quadruped", "--first-seed", "-1", "--out", str(tmp_path)]) == 2
    assert "--first-seed must be at least 0" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_methods_and_seeds_one_by_one_make_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Quadruped, "horizon", 60)
    short = {name: dataclasses.replace(one, episodes=2) for name, one in study.COMPARISONS.items()}
    monkeypatch.setattr(study, "COMPARISONS", short)

    def command(*more: str) -> None:
        small = ["--seeds", "1", "--iterations", "1", "--jobs", "1", "--out", str(tmp_path)]
        assert main(["reproduce", "sqrl_quadruped", *small, *more]) == 0

    command("--methods", "sac")
    command("--methods", "sac", "--first-seed", "1")
    for task in ("speed", "friction"):
        rows = list(csv.DictReader((tmp_path / f"sqrl_quadruped_{task}.csv").open()))
        assert [(row["case"], row["seed"], float(row["steps"])) for row in rows] == [
            ("SAC", "0", 120.0),
            ("SAC", "1", 120.0),
        ]
        assert (tmp_path / f"sqrl_quadruped_{task}.png").read_bytes().startswith(b"\x89PNG")
    assert "falls per episode" in capsys.readouterr().out
    assert len(list((tmp_path / "cache").glob("*.csv"))) == 2 * 3
