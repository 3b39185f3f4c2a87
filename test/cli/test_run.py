# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer run`: what is compared with what, also after an interruption, and what is never run on an arm."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import synthetic_run as synthetic

from safe_transfer_ros.cli import run
from safe_transfer_ros.cli.run import comparison, continuing, pick_graph
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.launching.graph import read_parameters
from safe_transfer_ros.record.iteration import append
from safe_transfer_ros.record.recompute import recompute
from safe_transfer_ros.record.resume import CHECKPOINTS

GRAPH = pick_graph("pr2_cup_swirl")
GIVEN = {"iterations": "3", "d_safe": "0.4", "seed": "7"}


@pytest.fixture
def begun(tmp_path: Path):
    """Makes a run directory with that many of its three iterations."""
    synthetic.write_run(tmp_path / "bag", iterations=3, steps=4)
    rows = recompute(tmp_path / "bag").records

    def begin(name: str, done: int, **given: str) -> Path:
        folder = tmp_path / name
        GRAPH.plan(GIVEN | {"run_dir": str(folder)} | given)
        (folder / CHECKPOINTS).mkdir()
        for record in rows[:done]:
            append(folder / "iterations.csv", record)
            weights = GRAPH_POLICY.read_bytes()
            (folder / CHECKPOINTS / f"policy_{record.iteration + 1:05d}.safetensors").write_bytes(weights)
        return folder

    return begin


GRAPH_POLICY = Path(run.__file__).parents[2] / "weights" / "pr2_cup_swirl.safetensors"


def test_the_comparison_differs_by_the_rule_for_the_limit_alone(begun) -> None:
    folder = begun("run", 3)
    assert comparison(folder, GIVEN) == GIVEN | {"limit_rule": "fixed", "run_dir": f"{folder}-fixed"}


def test_after_a_resumed_run_the_comparison_is_that_of_an_uncut_one(begun) -> None:
    folder = begun("run", 3)
    arguments = comparison(folder, {"resume": str(folder)})
    assert arguments is not None
    plan = GRAPH.plan(arguments)
    first = read_parameters(folder / "config.yaml")
    changed = {
        (node, name): value
        for node, values in plan.parameters.items()
        for name, value in values.items()
        if first[node][name] != value
    }
    assert changed.pop(("/**", "limit_rule")) == "fixed"
    assert changed.keys() == {("trainer", "run_dir"), ("trainer", "config_file"), ("bag_recorder", "bag")}
    assert plan.run_dir == Path(f"{folder}-fixed")


def test_a_comparison_that_was_begun_goes_on_and_one_that_is_done_stays(begun) -> None:
    folder, beside = begun("run", 3), begun("run-fixed", 1, limit_rule="fixed")
    assert comparison(folder, {"resume": str(folder)}) == {"resume": str(beside), "iterations": "3"}
    done = begun("other", 3)
    begun("other-fixed", 3, limit_rule="fixed")
    assert comparison(done, {"resume": str(done)}) is None


def test_a_run_with_a_fixed_limit_is_compared_with_nothing(begun) -> None:
    assert comparison(begun("run", 3, limit_rule="fixed"), {}) is None


def test_an_arm_is_never_driven_unprotected_for_a_comparison(begun, capsys: pytest.CaptureFixture[str]) -> None:
    assert comparison(begun("run", 3), {"robot": "hardware"}) is None
    assert "an arm is not driven without protection" in capsys.readouterr().out


@pytest.mark.parametrize(("done", "runs"), [(1, ["run", "run-fixed"]), (3, ["run-fixed"])])
def test_what_was_interrupted_goes_on_be_it_the_first_or_the_second(
    begun, monkeypatch: pytest.MonkeyPatch, done: int, runs: list[str]
) -> None:
    folder = begun("run", done)
    begun("run-fixed", 1 if done == 3 else 0, limit_rule="fixed")
    started: list[tuple[str, str, bool]] = []

    def one_run(graph, given, *, command, continues=None, explained=False):
        started.append((Path(given.get("resume") or given["run_dir"]).name, command, explained))
        return 0, Path(given.get("resume") or given["run_dir"])

    finished: list[tuple[Path, Path | None]] = []
    monkeypatch.setattr(run, "_one_run", one_run)
    monkeypatch.setattr(run, "_finish", lambda page, other, quiet=False: finished.append((page, other)))
    options = argparse.Namespace(graph="pr2_cup_swirl", arguments=[f"resume:={folder}"], no_compare=False)
    assert run.run_and_compare(options) == 0
    assert started == [(name, "run", place > 0) for place, name in enumerate(runs)], "columns are explained once"
    assert finished[-1] == (folder, Path(f"{folder}-fixed"))


def test_the_command_that_goes_on_is_the_one_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "invocation", lambda: "safe_transfer")
    assert continuing("pr2_cup_swirl", Path("r"), {}, command="run") == "safe_transfer run pr2_cup_swirl resume:=r"


def test_a_run_of_another_graph_is_not_resumed(begun) -> None:
    folder = begun("run", 1)
    with pytest.raises(ConfigurationError, match="is a run of pr2_cup_swirl on pr2_left_arm, got graph panda_push"):
        pick_graph("panda_push").plan({"resume": str(folder)})
    assert not (folder / "config_1.yaml").exists()
    GRAPH.plan({"resume": str(folder)})


def test_help_tells_the_defaults_the_values_and_what_is_shipped() -> None:
    text = run.arguments_text()
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert rows["iterations"].endswith("[pr2_cup_swirl: 60, panda_push: 20, fr3_cup_swirl: 60, fr3_push: 20]")
    assert rows["seed"].endswith("[0]") and rows["record"].endswith("(true|false) [true]")
    assert rows["timing"].endswith("(lockstep|realtime) [lockstep]") and "obstacle [boundary]" in rows["task"]
    assert not rows["critic"].endswith("]"), "no default is none"
    assert "pr2_cup_swirl_no_limit" in text and "light_sticky" in text
    assert {argument.name for argument in run.ARGUMENTS} <= rows.keys()
