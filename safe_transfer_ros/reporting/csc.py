# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of CSC's study: what the sweeps chose, the comparison, and ratios of failures to safe rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.files import write_rows
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.reporting.bootstrap import Interval, ratio_interval, stratified_interval
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.studies.csc import (
    ASIDES,
    METHODS,
    NAME,
    SWEEPS,
    TASKS,
    NotReadyError,
    Study,
    chosen,
    last_quarter,
)
from safe_transfer_ros.studies.learner_run import LearnerCurves
from safe_transfer_ros.transfer.methods import METHODS as KNOWN

Array = NDArray[np.float64]
Groups = Mapping[str, Sequence[LearnerCurves]]

RIVALS = ("cpo", "q-ensemble")
"""Safe methods of before, to which the paper's claim compares; TRPO is none."""

_SETTLED = 500  # episodes after which the paper has failures below chi
_PANELS = ("mean_return", "failures_per_episode", "cumulative_failures", "success_rate")


def write(study: Study, folder: Path) -> str:
    """Write what is finished: csc_tuning.csv, csc.csv, csc_summary.csv, csc_ratios.csv, csc_<question>.csv, pictures.

    Returns:
      The tables as text, and where the pictures are.
    """
    told = [_standing(study), _tuning(study, folder)]
    comparisons = {task: found for task in TASKS if (found := study.comparison(task))}
    told += _groups(comparisons, folder, NAME)
    told.append(_ratios(comparisons, folder))
    for part in dict.fromkeys(aside.part for aside in ASIDES):
        told += _groups(
            {task: found for task in TASKS if (found := study.question(part, task))}, folder, f"{NAME}_{part}"
        )
    return "\n\n".join(text for text in told if text) or "nothing is finished yet"


def _standing(study: Study) -> str:
    """Line about the controller that walking starts from: whether it stands at all."""
    found = study.store.load(study.standing())
    if found is None:
        return ""
    fell, earned = (last_quarter([found], column)[0] for column in ("failures_per_episode", "mean_return"))
    return f"{found.run.task}, last quarter: {fell:.3f} falls per episode, return {earned:.0f}"


def _tuning(study: Study, folder: Path) -> str:
    """Table of the finished sweeps."""
    lines = []
    for task in TASKS:
        for method in (name for name in METHODS if name in SWEEPS):
            try:
                found = study.tuned(task, method)
            except NotReadyError:
                found = None
            if found is None:
                continue
            taken = chosen(found)
            lines += [_setting(task, method, name, runs, name == taken) for name, runs in found.items()]
    return _written(lines, folder / f"{NAME}_tuning.csv")


def _setting(task: str, method: str, name: str, runs: Sequence[LearnerCurves], taken: bool) -> dict[str, object]:
    return {
        "task": task,
        "method": method,
        "setting": name,
        "chosen": "yes" if taken else "",
        "seeds": len(runs),
        "failures": f"{_last(runs, 'cumulative_failures').mean():.1f}",
        "return, last quarter": f"{last_quarter(runs, 'mean_return').mean():.2f}",
        "success, last quarter": f"{last_quarter(runs, 'success_rate').mean():.2f}",
        "gated, last quarter": f"{last_quarter(runs, 'gated').mean():.2f}",
        "over-estimate, last quarter": f"{last_quarter(runs, 'cost_bias').mean():.3f}",
    }


def _groups(tasks: Mapping[str, Groups], folder: Path, name: str) -> list[str]:
    """Every epoch, a summary and a picture per task of groups of runs."""
    if not tasks:
        return []
    write_rows(
        folder / f"{name}.csv",
        [
            {"task": task, "curve": label, "method": one.run.method, "seed": one.run.seed}
            | {column: repr(float(values[at])) for column, values in one.columns.items()}
            for task, groups in tasks.items()
            for label, runs in groups.items()
            for one in runs
            for at in range(one.run.iterations)
        ],
    )
    lines = [_line(task, label, runs) for task, groups in tasks.items() for label, runs in groups.items()]
    told = [_written(lines, folder / f"{name}_summary.csv")]
    for task, groups in tasks.items():
        curves = {_label(label): runs for label, runs in groups.items()}
        panels = [
            panel for panel in _PANELS if all(np.isfinite(r.columns[panel]).all() for of in curves.values() for r in of)
        ]
        chis = {run.run.settings.chi for of in curves.values() for run in of}
        bounds = {"failures_per_episode": (chis.pop(), "χ")} if len(chis) == 1 else None
        path = folder / f"{name}_{task}.png"
        told.append(str(evidence.draw(task, curves, panels, path, along=("episodes", "episodes"), bounds=bounds)))
    return told


def _line(task: str, label: str, runs: Sequence[LearnerCurves]) -> dict[str, object]:
    settled = np.array(
        [one.columns["failures_per_episode"][one.columns["episodes"] > _SETTLED].mean() for one in runs]
        if runs[0].columns["episodes"][-1] > _SETTLED
        else [np.nan] * len(runs)
    )
    chi = runs[0].run.settings.chi
    return {
        "task": task,
        "curve": _label(label),
        "seeds": len(runs),
        "failures": _spread(_last(runs, "cumulative_failures"), ".1f"),
        f"failures per episode after {_SETTLED}": _spread(settled, ".3f"),
        "seeds below chi there": f"{int((settled < chi).sum())} of {len(runs)}",
        "return, last quarter": _spread(last_quarter(runs, "mean_return"), ".2f"),
        "success, last quarter": _spread(last_quarter(runs, "success_rate"), ".2f"),
        "return, evaluation": _spread(_last(runs, "evaluation_return"), ".2f"),
        "failures per episode, evaluation": _spread(_last(runs, "evaluation_failures"), ".3f"),
        "gated": _spread(np.array([np.nanmean(one.columns["gated"][1:]) for one in runs]), ".2f"),
        "epsilon": _range(runs, "epsilon"),
    }


def _ratios(tasks: Mapping[str, Groups], folder: Path) -> str:
    """Failures of CSC divided by those of each safe rival, by task and over all tasks that have both."""
    lines = []
    for rival in RIVALS:
        both = {task: groups for task, groups in tasks.items() if "csc" in groups and rival in groups}
        ours, theirs = (
            [_last(groups[name], "cumulative_failures") for groups in both.values()] for name in ("csc", rival)
        )
        for task, one, other in zip(both, ours, theirs, strict=True):
            lines.append(_ratio(task, rival, ratio_interval([one], [other]), (len(one), len(other))))
        if len(both) > 1:
            runs = sum(map(len, ours)), sum(map(len, theirs))
            lines.append(_ratio("all of these", rival, ratio_interval(ours, theirs), runs))
    return _written(lines, folder / f"{NAME}_ratios.csv")


def _ratio(task: str, rival: str, found: Interval, runs: tuple[int, int]) -> dict[str, object]:
    return {
        "task": task,
        "failures of CSC to those of": _label(rival),
        "ratio": f"{float(found.estimate):.2f}",
        "low": f"{float(found.low):.2f}",
        "high": f"{float(found.high):.2f}",
        "runs": f"{runs[0]} and {runs[1]}",
    }


def _written(lines: Sequence[Mapping[str, object]], path: Path) -> str:
    """Write lines as CSV; returns them as a table."""
    if not lines:
        return ""
    write_rows(path, [dict(line) for line in lines])
    return markdown([list(lines[0]), *([str(value) for value in line.values()] for line in lines)])


def _label(name: str) -> str:
    return KNOWN[name].label if name in METHODS else name


def _last(runs: Sequence[LearnerCurves], column: str) -> Array:
    return np.array([one.columns[column][-1] for one in runs])


def _range(runs: Sequence[LearnerCurves], column: str) -> str:
    values = np.concatenate([one.columns[column][1:] for one in runs])
    known = values[np.isfinite(values)]
    return f"{known.min():.3g} to {known.max():.3g}" if len(known) else ""


def _spread(values: Array, form: str) -> str:
    """Mean and its 95 % bootstrap interval over seeds; empty where it was not measured."""
    if not np.isfinite(values).all():
        return ""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    interval = stratified_interval([values])
    return f"{float(interval.estimate):{form}} ({float(interval.low):{form}}–{float(interval.high):{form}})"
