# SPDX-License-Identifier: Apache-2.0
"""Tables and picture of methods at equal numbers of samples: who is ahead, and by how much."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.files import write_rows
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.reporting.bootstrap import Interval, difference_interval, stratified_interval
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.studies.equal_samples import Line, Size
from safe_transfer_ros.studies.learner_run import EVALUATION, LearnerCurves
from safe_transfer_ros.studies.run_store import Curves

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that methods are held against each other by.

    Attributes:
      column: What follows the name of who is evaluated in the columns of a run.
      name: In tables.
      form: Of its numbers.
      less_is_better: Of two.
    """

    column: str
    name: str
    form: str = ".0f"
    less_is_better: bool = False


RETURN = Measure(column="return", name="return")
COST = Measure(column="failures", name="cost", form=".1f", less_is_better=True)
SUCCESS = Measure(column="success", name="success", form=".2f")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs that are there, and how they are held against each other.

    Attributes:
      name: Of the files.
      title: Above the picture.
      lines: Of the tables; the others are held against the first.
      runs: Finished and unfinished ones, of one task; at least one.
      size: Of the runs.
      measures: The numbers that count.
    """

    name: str
    title: str
    lines: Sequence[Line]
    runs: Sequence[LearnerCurves]
    size: Size
    measures: Sequence[Measure]

    @property
    def marks(self) -> list[int]:
        """Numbers of steps at which they are held against each other."""
        return self.size.marks()

    def of(self, line: Line) -> list[LearnerCurves]:
        """Runs of a line that were evaluated at least once."""
        return [
            one
            for one in self.runs
            if one.run.method == line.method and np.isfinite(one.columns.get(f"{line.part}_return", np.nan)).any()
        ]

    def values(self, line: Line, measure: Measure, mark: int) -> Array:
        """One number for each seed that has come so far, between two evaluations on the line between them."""
        found = []
        for one in self.of(line):
            values = one.columns[f"{line.part}_{measure.column}"]
            known = np.isfinite(values)
            steps = one.columns["steps"][known]
            if len(steps) and steps[-1] >= mark:
                found.append(float(np.interp(mark, steps, values[known])))
        return np.array(found)


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """Mean over seeds, and its interval where there are several."""

    seeds: int
    interval: Interval


_Means = Mapping[tuple[str, str, int], _Mean]
"""By label of a line, name of a measure and mark."""


def write(compared: Comparison, folder: Path) -> str:
    """Write <name>.csv, <name>_equal_samples.csv, <name>_ahead.csv and <name>.png.

    Returns:
      The tables as text, and where the picture is.
    """
    lines = [line for line in compared.lines if compared.of(line)]
    means = _means(compared)
    write_rows(folder / f"{compared.name}.csv", [row for one in compared.runs for row in _rows(one)])
    write_rows(folder / f"{compared.name}_equal_samples.csv", _at_marks(compared, means))
    tables = [_table(compared, measure, means) for measure in compared.measures]
    rivals = [row for line in lines[1:] for row in _ahead(compared, line)] if lines[:1] == [compared.lines[0]] else []
    if rivals:
        write_rows(folder / f"{compared.name}_ahead.csv", rivals)
        tables.append(_ahead_table(compared, rivals))
    picture = _draw(compared, lines, folder / f"{compared.name}.png")
    return "\n".join(("", compared.title, "", *(f"{table}\n" for table in tables), _progress(compared), f"{picture}"))


def _rows(one: LearnerCurves) -> list[dict[str, object]]:
    """Each iteration of a run."""
    about = {"method": one.run.method, "seed": one.run.seed, "same_code": one.same_code}
    return [
        about | {name: repr(float(values[at])) for name, values in one.columns.items()}
        for at in range(len(one.columns["epoch"]))
    ]


def _means(compared: Comparison) -> _Means:
    """Those of every line, measure and mark that a seed has reached."""
    found = {}
    for line, measure, mark in itertools.product(compared.lines, compared.measures, compared.marks):
        values = compared.values(line, measure, mark)
        if len(values):
            one = Interval(estimate=values[0], low=values[0], high=values[0])
            interval = stratified_interval([values]) if len(values) > 1 else one
            found[line.label, measure.name, mark] = _Mean(seeds=len(values), interval=interval)
    return found


def _at_marks(compared: Comparison, means: _Means) -> list[dict[str, object]]:
    """A row for each line and mark."""
    rows = []
    for line, mark in itertools.product(compared.lines, compared.marks):
        row: dict[str, object] = {"line": line.label, "samples": mark}
        for measure in compared.measures:
            found = means.get((line.label, measure.name, mark))
            if found is not None:
                row |= {"seeds": found.seeds} | _named(measure.name, found.interval)
        if "seeds" in row:
            rows.append(row)
    return rows


def _named(name: str, found: Interval) -> dict[str, object]:
    ends = {"": found.estimate, "_low": found.low, "_high": found.high}
    return {f"{name}{end}": repr(round(float(value), 6)) for end, value in ends.items()}


def _table(compared: Comparison, measure: Measure, means: _Means) -> str:
    """A measure: a row for each line, a column for each mark."""
    head = [f"{measure.name} at", *(f"{mark:,} steps" for mark in compared.marks)]
    rows = []
    for line in compared.lines:
        cells = [_cell(means.get((line.label, measure.name, mark)), measure.form) for mark in compared.marks]
        if any(cells):
            rows.append([line.label, *cells])
    return markdown([head, *rows])


def _cell(found: _Mean | None, form: str) -> str:
    """Mean, its 95 % interval, and from how many seeds."""
    if found is None:
        return ""
    mean, low, high = (float(of) for of in (found.interval.estimate, found.interval.low, found.interval.high))
    between = f" ({low:{form}}, {high:{form}})" if found.seeds > 1 else ""
    return f"{mean:{form}}{between} [{found.seeds}]"


def _ahead(compared: Comparison, rival: Line) -> list[dict[str, object]]:
    """The first line less a rival at each mark that both have reached."""
    rows = []
    for mark in compared.marks:
        row: dict[str, object] = {"rival": rival.label, "samples": mark}
        for measure in compared.measures:
            ours, theirs = (compared.values(line, measure, mark) for line in (compared.lines[0], rival))
            if not (len(ours) and len(theirs)):
                break
            found = difference_interval(ours, theirs)
            known = min(len(ours), len(theirs)) > 1
            row |= {"seeds": len(ours), "rival_seeds": len(theirs)} | _named(measure.name, found)
            row[f"{measure.name}_is"] = _verdict(found, measure) if known else "one seed"
        else:
            rows.append(row)
    return rows


def _verdict(found: Interval, measure: Measure) -> str:
    """Ahead or behind where the interval does not hold 0."""
    if float(found.low) <= 0.0 <= float(found.high):
        return "not told apart"
    return "ahead" if (float(found.estimate) < 0.0) == measure.less_is_better else "behind"


def _ahead_table(compared: Comparison, rows: Sequence[Mapping[str, object]]) -> str:
    """The last mark of each rival."""
    head = ["rival", "at steps", *(f"{compared.lines[0].label} less it: {one.name}" for one in compared.measures)]
    last = {row["rival"]: row for row in rows}
    body = []
    for rival, row in last.items():
        cells = []
        for measure in compared.measures:
            low, mean, high = (float(str(row[f"{measure.name}{end}"])) for end in ("_low", "", "_high"))
            told = str(row[f"{measure.name}_is"])
            between = "" if told == "one seed" else f" ({low:+{measure.form}}, {high:+{measure.form}})"
            cells.append(f"{mean:+{measure.form}}{between}: {told}")
        body.append([str(rival), f"{row['samples']:,}", *cells])
    return markdown([head, *body])


def _progress(compared: Comparison) -> str:
    """Lines without a run, unfinished runs with their steps, and runs that another state of the code has a part in."""
    cut = [one for one in compared.runs if len(one.columns["epoch"]) < one.run.iterations]
    mixed = [one for one in compared.runs if not one.same_code]
    absent = [line.label for line in compared.lines if not compared.of(line)]
    lines = [
        "not run: " + ", ".join(absent) if absent else "",
        "unfinished: " + ", ".join(f"{_name(one)} at {one.columns['steps'][-1]:,.0f} steps" for one in cut)
        if cut
        else "",
        "by an earlier state of the code: " + ", ".join(map(_name, mixed)) if mixed else "",
    ]
    return "".join(f"{line}\n" for line in lines if line)


def _name(one: LearnerCurves) -> str:
    return f"{one.run.method} seed {one.run.seed}"


def _draw(compared: Comparison, lines: Sequence[Line], path: Path) -> Path:
    drawn = {line.label: _as_evaluated(compared.of(line), line.part) for line in lines if line.drawn}
    columns = [f"{EVALUATION}_{measure.column}" for measure in compared.measures]
    return evidence.draw(
        compared.title,
        drawn,
        columns,
        path,
        along=("steps", "steps"),
        bounds={f"{EVALUATION}_{COST.column}": (compared.runs[0].run.settings.chi, "χ")},
    )


def _as_evaluated(runs: Sequence[LearnerCurves], part: str) -> list[LearnerCurves]:
    """Runs of a line under the names of an evaluation's columns, of one length: the finished ones, if there are any."""
    whole = [one for one in runs if len(one.columns["epoch"]) == one.run.iterations] or list(runs)
    shortest = min(len(one.columns["epoch"]) for one in whole)
    return [
        Curves(
            run=one.run,
            columns={
                "steps": one.columns["steps"][:shortest],
                **{
                    f"{EVALUATION}_{measure.column}": one.columns[f"{part}_{measure.column}"][:shortest]
                    for measure in (RETURN, COST, SUCCESS)
                },
            },
            same_code=one.same_code,
        )
        for one in whole
    ]
