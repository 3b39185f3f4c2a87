# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer train` as a person runs it; that a killed study goes on is tested with `reproduce`: it is one code."""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np
import pytest
from in_this_process import here

from safe_transfer_ros.cli import train
from safe_transfer_ros.cli.main import main
from safe_transfer_ros.transfer.methods import METHODS

__all__ = ["here"]
SMALL = ("pr2_cup_swirl", "--epochs", "2", "--episodes", "2", "--seeds", "2", "--jobs", "1")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train")
    assert main(["train", "trpo", *SMALL, "--out", str(out)]) == 0
    return out


def test_a_run_leaves_its_curve_a_summary_and_a_picture(done: Path) -> None:
    rows = list(csv.DictReader((done / "pr2_cup_swirl.csv").open()))
    assert [(row["method"], row["seed"], float(row["epoch"]), float(row["episodes"])) for row in rows] == [
        ("trpo", "0", 0.0, 2.0),
        ("trpo", "0", 1.0, 4.0),
        ("trpo", "1", 0.0, 2.0),
        ("trpo", "1", 1.0, 4.0),
    ]
    assert rows[0]["evaluation_return"] == "nan" != rows[1]["evaluation_return"]
    (line,) = csv.DictReader((done / "pr2_cup_swirl_summary.csv").open())
    assert line["method"] == "TRPO" and line["seeds"] == "2" and "success, evaluation" not in line
    ends = [float(row["cumulative_failures"]) for row in rows[1::2]]
    assert line["cumulative failures"].startswith(f"{sum(ends) / 2:.1f} (")
    assert (done / "pr2_cup_swirl.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_there_is_not_computed_again(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (done / "cache").iterdir()}
    assert main(["train", "trpo", *SMALL, "--out", str(done)]) == 0
    assert "finished" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (done / "cache").iterdir()} == before


def test_a_table_of_what_is_finished_learns_nothing(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "all", *SMALL, "--table-only", "--out", str(done)]) == 0
    assert capsys.readouterr().out.splitlines()[0].count(" TRPO ") == 1
    assert main(["train", "all", *SMALL, "--table-only", "--out", str(tmp_path / "none")]) == 2
    planned = f"of {2 * (len(METHODS) - 1)} runs none is finished"  # all but cloned-cpo
    assert planned in capsys.readouterr().err and not (tmp_path / "none").exists()


@pytest.mark.usefixtures("here")
def test_a_task_whose_costs_add_up_is_counted_by_steps_against_its_own_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--quick", "--epochs", "2", "--episodes", "4", "--jobs", "1", "--out", str(tmp_path))
    assert main(["train", "trpo", "ant_avenue", *small]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^\| method +\| TRPO +\|$", told, re.MULTILINE)
    assert re.search(r"^\| episodes +\| 8 +\|$", told, re.MULTILINE) and "1 run, 2 iterations" in told
    assert "--quick shows that everything works, not how methods differ" in told
    rows = list(csv.DictReader((tmp_path / "ant_avenue.csv").open()))
    assert [row["chi"] for row in rows] == ["25.0", "25.0"]
    costs = [float(row["failures_per_episode"]) for row in rows]
    assert min(costs) > 1.0 and float(rows[1]["cumulative_failures"]) == 4 * sum(costs)
    assert float(rows[1]["evaluation_failures"]) > 1.0
    assert (tmp_path / "ant_avenue_trpo_seed0.safetensors").exists()
    assert main(["train", "cpo", "ant_avenue", "--chi", "10", *small]) == 0
    assert {row["chi"] for row in csv.DictReader((tmp_path / "ant_avenue.csv").open())} == {"10.0"}


@pytest.mark.usefixtures("here")
def test_an_off_policy_method_is_judged_without_its_noise_after_each_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--quick", "--epochs", "2", "--episodes", "2", "--jobs", "1", "--out", str(tmp_path))
    assert main(["train", "td3", "panda_push_obstacle", *small]) == 0
    told = capsys.readouterr().out
    table = [[cell.strip() for cell in line.split("|")] for line in told.splitlines() if line.startswith("|")]
    assert {line[1]: line[2] for line in table}.items() >= {"method": "TD3", "episodes": "4", "steps": "200"}.items()
    assert "one seed has no spread" in " ".join(told.split())
    rows = list(csv.DictReader((tmp_path / "panda_push_obstacle.csv").open()))
    assert [row["steps"] for row in rows] == ["100.0", "200.0"]
    assert all(np.isfinite(float(row["evaluation_return"])) for row in rows)
    assert (tmp_path / "panda_push_obstacle_td3_seed0.safetensors").exists()
    assert main(["train", "td3", "panda_push_obstacle", *small, "--evaluate-every", "0"]) == 0
    assert [
        row["evaluation_return"] == "nan" for row in csv.DictReader((tmp_path / "panda_push_obstacle.csv").open())
    ] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("csk", "pr2_cup_swirl"), "unknown method 'csk': did you mean 'csc'?"),
        (("csc", "panda_push_tople"), "unknown task 'panda_push_tople': did you mean 'panda_push_topple'?"),
        (("csc", "pr2_cup_swirl", "--seeds", "0"), "--seeds must be at least 1"),
        (("csc", "pr2_cup_swirl", "--episodes", "1"), "--episodes must be at least 2"),
        (("csc", "pr2_cup_swirl", "--chi", "nan"), "expected chi > 0"),
        (("csc", "pr2_cup_swirl", "--alpha", "-1"), "expected alpha >= 0"),
        (("csc", "pr2_cup_swirl", "--first-seed", "-1"), "--first-seed must be at least 0"),
        (("td3", "pr2_cup_swirl", "--evaluate-every", "-1"), "--evaluate-every must be at least 0"),
        (("csc,td3", "ant_avenue", "--baseline", "a.safetensors"), "CSC takes no baseline: leave out --baseline"),
        (("cloned-cpo", "panda_push_obstacle"), "Cloned + CPO starts from a baseline: name a policy file"),
        (("csc", "pr2_cup_swirl", "--warm-start"), "there is no rule to imitate for pr2_cup_swirl"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments, "--out", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert says in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("here")
def test_what_a_constraint_is_varied_over_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("pr2_cup_swirl", "--quick", "--epochs", "1", "--episodes", "2", "--jobs", "1", "--out", str(tmp_path))
    assert main(["train", "trpo-lagrangian", *small, "--chi", "0.05", "0.2", "--eta", "1"]) == 0
    told = capsys.readouterr().out
    for chi in ("0.05", "0.2"):
        assert f"| TRPO-Lagrangian, χ = {chi} " in told and "return, last 1 epoch " in told
        assert (tmp_path / f"pr2_cup_swirl_trpo-lagrangian_chi{chi}_seed0.safetensors").exists()
    assert {row["eta"] for row in csv.DictReader((tmp_path / "pr2_cup_swirl.csv").open())} == {"1.0"}
    assert main(["train", "trpo", *small, "--chi", "0.05", "0.2", "--table-only"]) == 2
    assert "of 1 run none" in capsys.readouterr().err  # no constraint, nothing to vary


def test_settings_of_an_environment_are_numbers_truths_or_words() -> None:
    """Every word is true in Python: `randomised=false` must not switch it on."""
    parser = argparse.ArgumentParser()
    train.add_parser(parser.add_subparsers())
    asked = ["noise=0.2", "randomised=false", "other=true", "noise_form=gaussian"]
    found = parser.parse_args(["train", "sac", "drunk_spider", "--environment", *asked]).environment
    assert found == [("noise", 0.2), ("randomised", False), ("other", True), ("noise_form", "gaussian")]
