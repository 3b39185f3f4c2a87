# SPDX-License-Identifier: Apache-2.0
"""Tables and picture of a comparison of learners: means over seeds with their bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.files import write_rows
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.reporting.bootstrap import stratified_interval
from safe_transfer_ros.reporting.tables import markdown, several
from safe_transfer_ros.studies.learner_run import LearnerCurves, LearnerRun
from safe_transfer_ros.transfer.methods import METHODS

Array = NDArray[np.float64]

_PANELS = ("mean_return", "failures_per_episode", "cumulative_failures", "success_rate")
_EVALUATED = ("evaluation_return", "evaluation_failures", "cumulative_failures", "evaluation_success")
# Settings a study may vary: what they are called in names of files and columns, and in labels.
_VARIED = {
    "chi": ("chi", "χ"),
    "multiplier_rate": ("eta", "η"),
    "alpha": ("alpha", "α"),
    "epsilon": ("epsilon", "ε"),
    "safety_gamma": ("gamma", "γ_safe"),
    "online_critic": ("online", "online critic"),
    "max_entropy": ("entropy", "maximum entropy"),
}
_LAST = 5  # epochs that "last" is the mean of, or half of them where there are fewer than ten


def write(runs: Sequence[LearnerCurves], folder: Path) -> str:
    """Write <task>.csv, <task>_summary.csv and <task>.png of the runs of one task.

    Returns:
      The summary as text, and where the picture is.
    """
    name, chis = stem(runs[0].run), sorted({one.run.settings.chi for one in runs})
    groups: dict[str, list[LearnerCurves]] = {}
    for one, label in zip(runs, _labels([one.run for one in runs]), strict=True):
        groups.setdefault(label, []).append(one)
    write_rows(folder / f"{name}.csv", [row for one in runs for row in _rows(one)])
    text = _summary(groups, folder / f"{name}_summary.csv")
    # Methods that explore are held against the others by evaluations, along the steps that each had.
    evaluated = any(np.isfinite(one.columns["evaluation_return"][:-1]).any() for one in runs)
    wanted = _EVALUATED if evaluated else _PANELS
    panels = [panel for panel in wanted if np.isfinite(runs[0].columns[panel]).any()]
    axis = "steps" if evaluated else "episodes"
    counts = sorted({len(of) for of in groups.values()})
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed" + "s" * (counts[0] > 1)
    title = f"{name}: {seeds} per learner"
    bounds = {}
    if len(chis) == 1:
        title += f", accepted failures χ = {chis[0]:g}"
        bounds = dict.fromkeys(("failures_per_episode", "evaluation_failures"), (chis[0], "χ"))
    picture = evidence.draw(title, groups, panels, folder / f"{name}.png", along=(axis, axis), bounds=bounds)
    return f"{text}\n\n{picture}"


def stem(run: LearnerRun) -> str:
    """Beginning of the names of a run's files: its task, and the phase if it has one."""
    return f"{run.task}_{run.phase}" if run.phase else run.task


def names(runs: Sequence[LearnerRun]) -> list[str]:
    """A name for the file of each run's policy, apart from task and seed: the method, and what was varied of it."""
    return [
        "_".join([run.method, *(f"{_VARIED[name][0]}{value:g}" for name, value in varied)])
        for run, varied in zip(runs, _varied(runs), strict=True)
    ]


def _labels(runs: Sequence[LearnerRun]) -> list[str]:
    return [
        ", ".join([METHODS[run.method].label, *(f"{_VARIED[name][1]} = {value:g}" for name, value in varied)])
        for run, varied in zip(runs, _varied(runs), strict=True)
    ]


def _varied(runs: Sequence[LearnerRun]) -> list[list[tuple[str, float]]]:
    """Settings of each run in which the runs of its method differ."""
    values: dict[tuple[str, str], set[float | None]] = {}
    for run in runs:
        for name in _VARIED:
            values.setdefault((run.method, name), set()).add(getattr(run.settings, name))
    return [
        [
            (name, math.nan if (value := getattr(run.settings, name)) is None else float(value))
            for name in _VARIED
            if len(values[run.method, name]) > 1
        ]
        for run in runs
    ]


def _summary(groups: Mapping[str, Sequence[LearnerCurves]], path: Path) -> str:
    """Write a line for each group of runs that differ in their seed only; returns them as a table, a column each."""
    lines = [_line(label, of) for label, of in groups.items()]
    write_rows(path, lines)
    # As many columns as numbers would not fit on a terminal.
    return markdown([[name, *(str(line[name]) for line in lines)] for name in lines[0]])


def _line(label: str, runs: Sequence[LearnerCurves]) -> dict[str, object]:
    """A method's line of the summary."""
    last = min(_LAST, max(1, runs[0].run.iterations // 2))

    def ending(column: str, form: str, count: int = last) -> str:
        return _spread(np.array([run.columns[column][-count:].mean() for run in runs]), form)

    line: dict[str, object] = {
        "method": label,
        "seeds": len(runs),
        "episodes": _count(runs, "episodes"),
        "steps": _count(runs, "steps"),
        f"return, last {several(last, 'epoch')}": ending("mean_return", ".2f"),
        f"failures per episode, last {last}": ending("failures_per_episode", ".3f"),
        "cumulative failures": ending("cumulative_failures", ".1f", 1),
        f"success, last {last}": ending("success_rate", ".2f"),
        "return, evaluation": ending("evaluation_return", ".2f", 1),
        "failures per episode, evaluation": ending("evaluation_failures", ".3f", 1),
        "success, evaluation": ending("evaluation_success", ".2f", 1),
        "steps gated": _spread(np.array([run.columns["gated"].mean() for run in runs]), ".2f"),
        "wall time, s": ending("wall_time_s", ".0f", 1),
    }
    return {name: value for name, value in line.items() if "nan" not in str(value)}


def _count(runs: Sequence[LearnerCurves], column: str) -> str:
    """Last value of a column; with its interval where the seeds differ."""
    last = np.array([run.columns[column][-1] for run in runs])
    return _spread(last if np.ptp(last) else last[:1], ".0f")


def _spread(values: Array, form: str) -> str:
    """Mean and its 95 % bootstrap interval over seeds."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    interval = stratified_interval([values])
    return f"{float(interval.estimate):{form}} ({float(interval.low):{form}}–{float(interval.high):{form}})"


def _rows(one: LearnerCurves) -> list[dict[str, object]]:
    return [
        {"method": one.run.method, "seed": one.run.seed}
        | {column: getattr(one.run.settings, name) for name, (column, _) in _VARIED.items()}
        | {name: repr(float(values[at])) for name, values in one.columns.items()}
        for at in range(one.run.iterations)
    ]
