# SPDX-License-Identifier: Apache-2.0
"""CSC's study: what is chosen and from what, and a small case of the whole command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.reporting import csc as report
from safe_transfer_ros.studies import csc as study
from safe_transfer_ros.studies.learner_run import LearnerCurves, LearnerRun, LearnerStore
from safe_transfer_ros.studies.run_store import Curves
from safe_transfer_ros.transfer.methods import METHODS
from safe_transfer_ros.transfer.training import COLUMNS


def finished(returns: list[float], failures: float, iterations: int = 8) -> LearnerCurves:
    columns = {"mean_return": np.array(returns), "cumulative_failures": np.full(iterations, failures)}
    return Curves(run=LearnerRun(iterations=iterations), columns=columns)


def climbing(to: float, failures: float) -> LearnerCurves:
    return finished([-1.0, *np.linspace(0.0, to, 5), to, to], failures)


def test_the_fewest_failures_are_chosen_among_those_that_learn_nearly_as_much_as_the_best() -> None:
    candidates = {
        "reckless": [climbing(3.0, 200.0), climbing(3.0, 180.0)],
        "good": [climbing(2.8, 120.0), climbing(2.6, 100.0)],
        "also good": [climbing(2.9, 150.0), climbing(2.9, 130.0)],
        "timid": [climbing(0.5, 10.0), climbing(0.5, 0.0)],
    }
    assert study.chosen(candidates) == "good"
    # Gains count from where all begin, so that returns may be negative.
    below = {"better": [climbing(-0.1, 50.0)], "worse": [climbing(-0.9, 5.0)]}
    assert study.chosen(below) == "better"
    # Where nothing was learned the least loss is not shut out by its own share.
    falling = {"less": [climbing(-2.0, 9.0)], "more": [climbing(-4.0, 1.0)]}
    assert study.chosen(falling) == "less"


def test_methods_and_settings_are_known_and_no_seed_is_of_both_kinds() -> None:
    assert not set(study.TUNING_SEEDS) & set(study.FRESH_SEEDS) and len(study.FRESH_SEEDS) == 10
    assert set(study.SWEEPS) == set(study.METHODS) - {"trpo"} <= set(METHODS)
    for sweep in study.SWEEPS.values():
        assert sweep[0] == study.AS_IT_IS and len({setting.of() for setting in sweep}) == len(sweep) >= 6
    assert {aside.method for aside in study.ASIDES} <= set(METHODS)


def test_what_is_not_tuned_is_not_compared_and_walking_waits_for_standing(tmp_path: Path) -> None:
    whole = study.Study(store=LearnerStore(tmp_path))
    with pytest.raises(study.NotReadyError, match="cpo is not tuned on car_traps: do .*--part tune --task car_traps"):
        whole.compared("car_traps", "cpo")
    with pytest.raises(study.NotReadyError, match="quadruped_walk starts from the policy that quadruped_stand leaves"):
        whole.compared("quadruped_walk", "trpo")
    assert [run.seed for run in whole.compared("car_traps", "trpo")] == list(study.FRESH_SEEDS)
    assert list(whole.comparison("car_traps")) == []


class InThisProcess:
    """Workers that need no process of their own: what is watched here is the study, not they."""

    same_machine = True

    def __init__(self, jobs: int) -> None:
        self.count = jobs

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *ended: object) -> None:
        return None

    def map(self, work, items, done) -> None:
        for at, item in enumerate(items):
            done(at, work(item))


def test_what_walking_starts_from_is_told(tmp_path: Path) -> None:
    whole = study.Study(store=LearnerStore(tmp_path), epochs=4)
    columns = dict.fromkeys((*COLUMNS, "evaluation_return", "evaluation_failures", "evaluation_success"), [0.0] * 4)
    columns |= {"failures_per_episode": [1.0, 0.5, 0.5, 0.25], "mean_return": [10.0, 100.0, 200.0, 400.0]}
    whole.store.save(whole.standing(), columns)
    told = report.write(whole, tmp_path)
    assert told.splitlines()[0] == "quadruped_stand, last quarter: 0.250 falls per episode, return 400"
    with pytest.raises(study.NotReadyError, match="is not there"):
        whole.compared("quadruped_walk", "trpo")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_command_tunes_compares_and_reports_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"critic_updates": 2, "critic_hidden": (4,), "hidden": (4,)}
    shrunk = {
        "csc": (study._setting("as it is", **small), study._setting("moving", threshold_scale=2.0, **small)),
        "cpo": (study._setting("as it is", hidden=(4,)),),
    }
    for place in (study, report):
        monkeypatch.setattr(place, "SWEEPS", shrunk)
    monkeypatch.setattr("safe_transfer_ros.tasks.push.task.PushTask.horizon", 12)
    monkeypatch.setattr("safe_transfer_ros.cli.csc.LocalWorkers", InThisProcess)
    task = ["--task", "panda_push_boundary"]
    command = ["reproduce", "csc", *task, "--quick", "--seeds", "2", "--jobs", "1", "--out", str(tmp_path)]
    assert main([*command, "--part", "compare", "--method", "csc"]) == 2
    assert "csc is not tuned on panda_push_boundary" in capsys.readouterr().err
    for method in ("csc", "cpo"):
        assert main([*command, "--method", method]) == 0
    told = capsys.readouterr().out
    tuned = rows(tmp_path / "csc_tuning.csv")
    assert [(row["method"], row["setting"]) for row in tuned] == [
        ("csc", "as it is"),
        ("csc", "moving"),
        ("cpo", "as it is"),
    ]
    assert sum(row["chosen"] == "yes" for row in tuned) == 2 and {row["seeds"] for row in tuned} == {"1"}
    epochs = rows(tmp_path / "csc.csv")
    assert {row["seed"] for row in epochs} == {str(seed) for seed in study.FRESH_SEEDS[:2]}
    assert {row["method"] for row in epochs} == {"csc", "cpo"} and len(epochs) == 2 * 2 * 2
    ratios = rows(tmp_path / "csc_ratios.csv")
    assert [row["failures of CSC to those of"] for row in ratios] == ["CPO"]
    assert (tmp_path / "csc_panda_push_boundary.png").read_bytes().startswith(b"\x89PNG")
    assert "failures of CSC to those of" in told
    kept = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.csv")}
    assert main([*command, "--part", "chi", "--seeds", "1"]) == 0
    assert all(path.read_bytes() == content for path, content in kept.items()), "what is there is not computed again"
    assert {row["curve"] for row in rows(tmp_path / "csc_chi_summary.csv")} == {"chi 0.02", "chi 0.05", "chi 0.2"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("csc", "--task", "maze"), "unknown task 'maze' of csc; known: panda_push_topple"),
        (("csc", "--method", "ppo"), "unknown method 'ppo' of csc"),
        (("csc", "--seeds", "11"), "there are 10 fresh ones, got 11"),
        (("fig7", "--part", "chi"), "--part is for csc, not for fig7"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *arguments, "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert says in told and len(told.strip().splitlines()) == 1
