# SPDX-License-Identifier: Apache-2.0
"""SQRL through the graph: what is run, what goes on, what is counted; `test/graphs/test_sqrl_run.py` runs a graph."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.cli.main import main
from safe_transfer_ros.cli.run import parse_arguments, pick_graph
from safe_transfer_ros.cli.sqrl_graph import finish
from safe_transfer_ros.record.iteration import ROWS, IterationRecord, append
from safe_transfer_ros.reporting import sqrl_graph as report
from safe_transfer_ros.studies import sqrl_graph as study
from safe_transfer_ros.studies.learner_run import LearnerStore
from safe_transfer_ros.transfer.training import COLUMNS

SWIRL, PUSH = study.SCENES


def made(place: Path, iterations: int) -> None:
    """A run's files: in iteration i, i + 1 of 4 steps are unsafe and i episodes fail."""
    (place / "checkpoints").mkdir(parents=True)
    (place / "config.yaml").touch()
    for at in range(iterations):
        numbers = {
            field.name: 0 if field.type in ("int", int) else 0.0 for field in dataclasses.fields(IterationRecord)
        }
        numbers |= {"iteration": at, "steps": 4, "unsafety_rate": (at + 1) / 4, "torque_limit": 1.0 + at}
        append(place / ROWS, IterationRecord(**numbers))
        cost = np.arange(4) < at
        np.savez(place / "checkpoints" / f"off_policy_{at + 1:05d}.npz", cost=cost.astype(np.float32))


def test_every_case_begins_with_the_same_file_and_differs_in_learner_and_limit() -> None:
    assert len({study.pre_training(scene, seed) for scene in study.SCENES for seed in (0, 1)}) == 4
    assert {(case.learner, case.limit_rule) for case in study.CASES} == {
        (learner, rule) for learner in ("sqrl", "sac") for rule in ("adaptive", "fixed")
    }


@pytest.mark.parametrize("scene", study.SCENES, ids=lambda scene: scene.name)
def test_the_graphs_take_the_arguments(scene: study.Scene, tmp_path: Path) -> None:
    words = study.arguments(scene, study.CASES[0], 3, tmp_path / "absent.safetensors", tmp_path, 7)
    assert words is not None
    graph = pick_graph(scene.graph)
    with pytest.raises(ValueError, match="no policy file .*absent.safetensors"):
        graph.plan(parse_arguments(words))
    parameters, _ = graph._configured(graph._translate(parse_arguments(words)))
    assert parameters["/**"]["task"] == scene.task and parameters["/**"]["seed"] == 3
    assert (parameters["trainer"]["learner"], parameters["trainer"]["iterations"]) == ("sqrl", 7)


def test_a_run_goes_on_where_it_was_cut_and_is_done_once(tmp_path: Path) -> None:
    case = study.CASES[1]
    place = study.run_dir(SWIRL, case, 0, tmp_path)
    made(place, 2)
    assert study.arguments(SWIRL, case, 0, tmp_path, tmp_path, 2) is None
    assert study.arguments(SWIRL, case, 0, tmp_path, tmp_path, 3) == [f"resume:={place}", "iterations:=3"]
    with pytest.raises(ValueError, match="expected 3 iterations in .*, got 2: run the study again"):
        study.curves(place, 3)


def test_what_is_counted_and_written(tmp_path: Path) -> None:
    for seed in range(2):
        made(tmp_path / str(seed), 3)
    runs = [study.curves(tmp_path / str(seed), 3) for seed in range(2)]
    np.testing.assert_array_equal(runs[0].unsafe_steps, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(runs[0].failures, [0.0, 1.0, 2.0])
    text = report.write("sqrl_graph", {"swirl": {"SQRL": runs, "SAC": runs[:1]}}, tmp_path)
    assert "6 (6–6)" in text and "3.00" in text
    rows = list(csv.DictReader((tmp_path / "sqrl_graph.csv").open()))
    assert len(rows) == 9 and rows[2]["torque_limit"] == "3.0" and rows[-1]["case"] == "SAC"
    summary = list(csv.DictReader((tmp_path / "sqrl_graph_summary.csv").open()))
    assert [(row["unsafe steps"], row["failed episodes"]) for row in summary] == [("6 (6–6)", "3 (3–3)"), ("6", "3")]
    assert (tmp_path / "sqrl_graph.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_fail_are_told_and_the_others_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["pr2_cup_swirl", f"run_dir:={tmp_path / 'a'}", "learner:=sqrl"]
    with pytest.raises(ValueError, match="2 of 2 runs have failed, .* the first: run_dir:=.*takes masked ones"):
        finish([wrong, wrong], jobs=1)
    assert capsys.readouterr().out.count("failed: a") == 2 and not (tmp_path / "a").exists()


def test_the_command_reports_what_is_there_and_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "SCENES", (dataclasses.replace(SWIRL, epochs=1, iterations=2),))
    store, first = LearnerStore(tmp_path / "cache"), study.pre_training(study.SCENES[0], 0)
    store.save(first, {name: [0.0] for name in COLUMNS})
    for case in study.CASES:
        made(study.run_dir(SWIRL, case, 0, tmp_path), 2)
    command = ["reproduce", "sqrl_graph", "--seeds", "1", "--out", str(tmp_path)]
    assert main(command) == 2
    assert "policy of a finished run is gone" in capsys.readouterr().err
    store.policy(first).touch()
    assert main(command) == 0
    told = capsys.readouterr().out
    assert told.count("| swirl |") == 4 and "finished" not in told
    rows = list(csv.DictReader((tmp_path / "sqrl_graph.csv").open()))
    assert {row["case"] for row in rows} == {case.name for case in study.CASES} and len(rows) == 8
