# SPDX-License-Identifier: Apache-2.0
"""The comparison on the spider: cases that begin with the same share it, and a small case of the whole command."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.studies import sqrl_spider as study
from safe_transfer_ros.studies.learner_run import LearnerStore


def test_cases_that_begin_with_the_same_share_their_pre_training() -> None:
    runs = {case.name: study.pre_training(case, 0) for case in study.CASES}
    assert runs["SQRL"] == runs["Risk-sensitive"] == runs["SQRL, online critic"] == runs["SQRL, noise .2, ε .05"]
    assert len(set(runs.values())) == 7
    # Every budget is the paper's: 600 steps an epoch, and at most 5 episodes of 30 besides for SQRL.
    assert runs["SAC"].iterations * 600 == pytest.approx(5e4, rel=0.01)
    assert runs["SQRL"].iterations * (600 + 5 * 30) == pytest.approx(5e4, rel=0.01)
    assert {run.phase for run in runs.values()} == {"pretrain"}


def test_a_policy_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="policy of a finished run is gone"):
        study.fine_tuning(study.CASES[0], 0, LearnerStore(tmp_path))


def test_the_command_pre_trains_fine_tunes_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noisy = [case for case in study.CASES if case.environment]
    monkeypatch.setattr(study, "CASES", (study.Case(name="CPO", method="cpo", pre_trained="cpo"), *noisy[:1]))
    command = ["reproduce", "sqrl_spider", "--seeds", "1", "--iterations", "1", "--jobs", "1", "--out", str(tmp_path)]
    assert main(command) == 0
    rows = list(csv.DictReader((tmp_path / "sqrl_spider.csv").open()))
    assert [row["case"] for row in rows] == ["CPO", noisy[0].name]
    assert float(rows[1]["epsilon"]) == 0.05 and float(rows[1]["steps"]) == 600.0
    for name in ("sqrl_spider.png", "sqrl_spider_ways.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "falls per episode" in capsys.readouterr().out
    assert main(command) == 0
    assert "finished" not in capsys.readouterr().out, "what is there is not computed again"
