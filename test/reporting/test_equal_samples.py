# SPDX-License-Identifier: Apache-2.0
"""Methods at equal numbers of samples: numbers of hand-made runs, finished and not."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from safe_transfer_ros.reporting import equal_samples
from safe_transfer_ros.reporting.equal_samples import COST, RETURN, Comparison, write
from safe_transfer_ros.studies.equal_samples import Line, Size
from safe_transfer_ros.studies.learner_run import LearnerCurves, LearnerRun

SIZE = Size(steps=200, every=100, horizon=50, on_policy_episodes=1)
LINES = (
    Line(label="Ours", method="dual-agent"),
    Line(label="Its baseline", method="dual-agent", part="baseline"),
    Line(label="CPO", method="cpo"),
    Line(label="TD3", method="td3"),
)


def made(method: str, seed: int, **columns: list[float]) -> LearnerCurves:
    """A run, as long as its columns are."""
    run = SIZE.planned(LearnerRun(method=method, seed=seed), explores=method != "cpo")
    count = len(columns["evaluation_return"])
    usual = {"epoch": list(range(count)), "steps": [100.0 * (at + 1) for at in range(count)]}
    usual |= {name: [float("nan")] * count for name in ("baseline_return", "baseline_failures")}
    usual |= {f"{part}_success": [float("nan")] * count for part in ("evaluation", "baseline")}
    return LearnerCurves(run=run, columns={name: np.array(of, dtype=float) for name, of in (usual | columns).items()})


def compared(*runs: LearnerCurves) -> Comparison:
    return Comparison(name="small", title="a test", lines=LINES, runs=runs, size=SIZE, measures=(RETURN, COST))


OURS = [
    made(
        "dual-agent", seed, evaluation_return=[10.0, 90.0 + seed], evaluation_failures=[20.0, 2.0],
        baseline_return=[30.0, 120.0], baseline_failures=[90.0, 95.0],
    )
    for seed in (0, 1)
]  # fmt: skip
# An epoch of an on-policy method ends beyond the mark: there the number is between two evaluations.
CPO = [
    made(
        "cpo", seed, steps=[110.0, 210.0], evaluation_return=[0.0, 50.0 - seed], evaluation_failures=[4.0, 2.0 + seed]
    )
    for seed in (0, 1)
]  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture: one test looks at it, and it takes longest."""
    monkeypatch.setattr(equal_samples, "_draw", lambda compared, lines, path: path)


def test_lines_are_held_against_each_other_at_the_same_number_of_steps(tmp_path: Path) -> None:
    text = write(compared(*OURS, *CPO), tmp_path)
    found = {(row["line"], row["samples"]): row for row in rows(tmp_path / "small_equal_samples.csv")}
    assert float(found["Ours", "200"]["return"]) == 90.5
    assert float(found["Its baseline", "200"]["cost"]) == 95.0
    # 100 is before the first evaluation of CPO, at 110; 200 is at .9 of the way from 110 to 210.
    assert float(found["CPO", "100"]["return"]) == 0.0
    assert float(found["CPO", "200"]["return"]) == pytest.approx(0.9 * 49.5)
    assert [row["seeds"] for row in found.values()] == ["2"] * 6
    assert "| TD3" not in text and "not run: TD3\n" in text
    assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")
    assert len(rows(tmp_path / "small.csv")) == 8


@pytest.mark.usefixtures("undrawn")
def test_who_is_ahead_is_told_where_the_interval_of_the_difference_does_not_hold_0(tmp_path: Path) -> None:
    text = write(compared(*OURS, *CPO), tmp_path)
    found = {(row["rival"], row["samples"]): row for row in rows(tmp_path / "small_ahead.csv")}
    last = found["CPO", "200"]
    assert float(last["return"]) == pytest.approx(90.5 - 0.9 * 49.5) and last["return_is"] == "ahead"
    assert float(last["return_low"]) < float(last["return"]) < float(last["return_high"])
    # 2.0 against 2.2 and 3.1: less cost is ahead. At 100 steps it has more: behind.
    assert last["cost_is"] == "ahead" and float(last["cost"]) < 0.0
    assert found["CPO", "100"]["cost_is"] == "behind"
    assert found["Its baseline", "200"]["return_is"] == "behind"
    assert "Ours less it: return" in text and "+46 (+" in text


@pytest.mark.usefixtures("undrawn")
def test_one_seed_is_no_verdict(tmp_path: Path) -> None:
    text = write(compared(OURS[0], CPO[0]), tmp_path)
    assert {row["return_is"] for row in rows(tmp_path / "small_ahead.csv")} == {"one seed"}
    assert "90 [1]" in text


@pytest.mark.usefixtures("undrawn")
def test_equal_numbers_are_not_told_apart(tmp_path: Path) -> None:
    same = [
        made("td3", seed, evaluation_return=[10.0, 90.0 + seed], evaluation_failures=[20.0, 2.0]) for seed in (0, 1)
    ]
    write(compared(*OURS, *same), tmp_path)
    found = {row["rival"]: row for row in rows(tmp_path / "small_ahead.csv")}
    assert (found["TD3"]["return_is"], found["TD3"]["cost_is"]) == ("not told apart", "not told apart")


@pytest.mark.usefixtures("undrawn")
def test_unfinished_runs_count_as_far_as_they_have_come(tmp_path: Path) -> None:
    cut = dataclasses.replace(
        made("dual-agent", 2, evaluation_return=[40.0], evaluation_failures=[1.0]), same_code=False
    )
    text = write(compared(*OURS, cut), tmp_path)
    found = {(row["line"], row["samples"]): row for row in rows(tmp_path / "small_equal_samples.csv")}
    assert (found["Ours", "100"]["seeds"], found["Ours", "200"]["seeds"]) == ("3", "2")
    assert float(found["Ours", "100"]["return"]) == 20.0
    assert "unfinished: dual-agent seed 2 at 100 steps" in text
    assert "by an earlier state of the code: dual-agent seed 2" in text


@pytest.mark.usefixtures("undrawn")
def test_without_the_first_line_nobody_is_ahead(tmp_path: Path) -> None:
    write(compared(*CPO), tmp_path)
    assert not (tmp_path / "small_ahead.csv").exists()


@pytest.mark.parametrize(
    ("changes", "marks"),
    [({}, [100, 200]), ({"steps": 1000}, [200, 400, 600, 800, 1000]), ({"steps": 700}, [100, 300, 400, 600, 700])],
)
def test_marks_are_at_evaluations_and_the_last_is_the_end(changes: dict[str, int], marks: list[int]) -> None:
    assert dataclasses.replace(SIZE, **changes).marks() == marks


@pytest.mark.parametrize("steps", [0, 50, 150, -100])
def test_other_lengths_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="expected a positive multiple of 100 steps"):
        dataclasses.replace(SIZE, steps=steps)
