# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce dual_agent_ant` and `dual_agent_push`: small cases, one method after the other.

The task is a point in the plane: how the ant and the push are learned, test_run and test_train try out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import in_this_process
import numpy as np
import pytest
from point_task import Point

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.studies import dual_agent_ant, dual_agent_push, run_store
from safe_transfer_ros.studies.equal_samples import Size
from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore
from safe_transfer_ros.tasks import task
from safe_transfer_ros.transfer.methods import METHODS

TINY = Size(steps=40, every=20, horizon=10, on_policy_episodes=2, evaluation_episodes=2)
CONTROLLER = f"{Path(__file__)}:still"
STUDIES = {dual_agent_ant: ("QUICK",), dual_agent_push: ("QUICK", "PRE_TRAINED_QUICK")}


def still(observation: np.ndarray) -> np.ndarray:
    """A controller that does nothing."""
    return np.zeros((len(observation), 2))


class Small(Point):
    horizon, cost_limit = 10, 1.0


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    task.register("small_point")(Small)
    for study, sizes in STUDIES.items():
        monkeypatch.setattr(study, "TASK", "small_point")
        for name in sizes:
            monkeypatch.setattr(study, name, TINY)
    yield
    del task.TASKS._things["small_point"]


def reproduce(study: str, out: Path, *arguments: str) -> int:
    with in_this_process.instead():
        return main(["reproduce", study, "--quick", "--jobs", "1", "--out", str(out), *arguments])


def lines(path: Path) -> set[str]:
    with path.open() as file:
        return {row["line"] for row in csv.DictReader(file)}


def test_every_run_has_the_budget_of_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dual_agent_ant, "TASK", "ant_avenue")
    monkeypatch.setattr(dual_agent_push, "TASK", "panda_push_obstacle_movable")
    assert {METHODS[line.method].label for line in dual_agent_ant.LINES} == {
        METHODS[name].label for name in dual_agent_ant.METHODS
    }
    for method in dual_agent_ant.METHODS:
        run = dual_agent_ant.planned(method, 1)
        assert run.iterations * run.iteration_steps == 500_000 and run.evaluation_episodes == 20
        assert run.settings.chi == 25.0 and run.evaluate_every == 1
        # An epoch that is longer than an iteration would not end at its steps.
        assert run.episodes * 500 <= run.iteration_steps
    for method in dual_agent_push.METHODS:
        run = dual_agent_push.planned(method, 1, CONTROLLER)
        assert bool(run.baseline) == (method != "cpo") and run.settings.chi == 2.5
        assert run.episodes * 50 <= run.iteration_steps


def test_one_method_after_the_other_goes_into_the_same_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce("dual_agent_ant", tmp_path, "--methods", "cpo") == 0
    assert "dual_agent_ant_ahead.csv" not in {path.name for path in tmp_path.iterdir()}
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert reproduce("dual_agent_ant", tmp_path, "--methods", "ppo-lagrangian", "--first-seed", "1") == 0
    assert lines(tmp_path / "dual_agent_ant_equal_samples.csv") == {
        "CPO", "CPO, without noise", "PPO-Lagrangian", "PPO-Lagrangian, without noise",
    }  # fmt: skip
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items()), "what is there is not computed again"
    assert (tmp_path / "dual_agent_ant_ppo-lagrangian_seed1.safetensors").is_file()
    capsys.readouterr()
    assert reproduce("dual_agent_ant", tmp_path, "--table-only") == 0
    told = capsys.readouterr().out
    assert "finished" not in told and "not run: Dual agent, safe agent, " in told and "--quick shows" in told


def test_a_push_is_pre_trained_and_corrected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce("dual_agent_push", tmp_path, "--methods", "baseline") == 0
    assert lines(tmp_path / "dual_agent_push_baseline_equal_samples.csv") == {"TD3 with hindsight"}
    assert not (tmp_path / "dual_agent_push.csv").exists()
    assert reproduce("dual_agent_push", tmp_path, "--methods", "dual-agent,cpo") == 0
    told = capsys.readouterr().out
    assert "baseline as it is, 2 episodes per seed" in told
    assert lines(tmp_path / "dual_agent_push_equal_samples.csv") == {
        "Dual agent, safe agent", "CPO", "CPO, without noise",
    }  # fmt: skip


def test_a_push_by_a_controller_needs_no_pre_training(tmp_path: Path) -> None:
    assert reproduce("dual_agent_push", tmp_path, "--methods", "safety-layer", "--baseline", CONTROLLER) == 0
    assert lines(tmp_path / "dual_agent_push_equal_samples.csv") == {"Safety layer on the baseline"}
    assert not (tmp_path / "dual_agent_push_baseline.csv").exists()


def test_a_run_that_other_code_began_waits_for_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = run_store.Curves(run=LearnerRun(), columns={}, same_code=False)
    monkeypatch.setattr(LearnerStore, "unfinished", lambda self, run: begun)
    assert reproduce("dual_agent_ant", tmp_path / "none", "--methods", "cpo") == 2
    told = capsys.readouterr().err
    assert "1 unfinished run" in told and "--any-code goes on" in told and "--fresh begins again" in told
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dual_agent_ant", "--methods", "cpoo"), "unknown 'cpoo' of dual_agent_ant; did you mean 'cpo'?"),
        (("dual_agent_ant", "--steps", "30"), "expected a positive multiple of 20 steps"),
        (("dual_agent_ant", "--steps", "0"), "--steps must be at least 1"),
        (("dual_agent_ant", "--iterations", "3"), "--iterations has no meaning for dual_agent_ant"),
        (("dual_agent_ant", "--baseline", "x.py:f"), "--baseline is for dual_agent_push, not for dual_agent_ant"),
        (("dual_agent_ant", "--first-seed", "-1"), "--first-seed must be at least 0"),
        (("dual_agent_ant", "--fresh", "--any-code"), "one of --fresh and --any-code"),
        (("dual_agent_push", "--baseline", "x.py:f", "--pre-training-steps", "100"), "one of --baseline and"),
        (("dual_agent_push", "--table-only"), "no run is finished or begun"),
        (("fig7", "--methods", "cpo"), "dual_agent_ant, dual_agent_push, not for fig7"),
        (("sqrl_spider", "--table-only"), "--table-only is for dual_agent_ant"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(arguments[0], tmp_path / "none", *arguments[1:]) == 2
    told = capsys.readouterr().err
    assert says in told and len(told.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()
