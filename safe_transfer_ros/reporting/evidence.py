# SPDX-License-Identifier: Apache-2.0
"""Figures and tables of a study: methods side by side, mean over seeds with its interval, and the violations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from safe_transfer_ros.files import replaced
from safe_transfer_ros.reporting.bootstrap import stratified_interval
from safe_transfer_ros.reporting.plots import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, STYLE, VERMILLION
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.studies.run_store import Curves as RunCurves
from safe_transfer_ros.studies.study import StudyCurves

Array = NDArray[np.float64]
Curves = Mapping[str, Sequence[StudyCurves]]

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK, FAINT)
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_END = 10  # iterations that "final" is the mean of
_LABELS = {
    "mean_return": "return",
    "mean_task_return": "task return (no tilt penalty)",
    "expected_damage": r"measured $p_u \cdot T_\mathrm{lim}$  [N·m]",
    "true_damage": r"true $p_u \cdot T_\mathrm{lim}$  [N·m]",
    "true_return": "return of evaluation episodes",
    "torque_limit": "torque limit  [N·m]",
    "almonds_lost": "almonds lost",
    "unsafety_rate": "unsafety rate $p_u$",
    "failures_per_episode": "failures per episode",
    "cumulative_failures": "cumulative failures",
    "success_rate": "success rate",
    "evaluation_return": "return, evaluation",
    "evaluation_failures": "failures per episode, evaluation",
    "evaluation_success": "success rate, evaluation",
}


@dataclass(frozen=True, kw_only=True)
class Violations:
    """Violations of a method's bound; the columns of <figure>_violations.csv.

    Attributes:
      method: Its label.
      runs: Seeds.
      iterations: Of all runs together.
      over: Those with p_u * T_lim > D_safe, as measured by their own rollouts.
      over_in_mean: Iterations in which the mean over seeds was over D_safe.
      worst_excess: Largest p_u * T_lim - D_safe of all, 0 if none was over, N·m.
      first_over: First iteration over D_safe in any run, empty if none.
      true_over: Like `over`, by the evaluation episodes; empty without them.
      at_maximum: Runs that reached T_max.
      first_at_maximum: Mean first iteration at T_max over those runs; empty if none did.
      last_limit: Mean limit of the last iteration, N·m.
      final_return: Mean return over the last ten iterations and all seeds.
      final_low: Lower end of its 95 % bootstrap interval over seeds.
      final_high: Upper end.
    """

    method: str
    runs: int
    iterations: int
    over: int
    over_in_mean: int
    worst_excess: float
    first_over: int | str
    true_over: int | str
    at_maximum: int
    first_at_maximum: float | str
    last_limit: float
    final_return: float
    final_low: float
    final_high: float


def stacked(runs: Sequence[RunCurves[Any]], column: str) -> Array:
    """A column of runs of one length, shape (runs, iterations)."""
    return np.stack([run.columns[column] for run in runs])


def violations(label: str, runs: Sequence[StudyCurves]) -> Violations:
    """The line of a method."""
    governor = runs[0].run.governor
    damage, limit = stacked(runs, "expected_damage"), stacked(runs, "torque_limit")
    true = stacked(runs, "true_damage")
    over = damage > governor.d_safe
    top = limit >= governor.t_max * (1.0 - 1e-9)
    reached = top.any(axis=1)
    final = stratified_interval([stacked(runs, "mean_return")[:, -_END:].mean(axis=1)])
    return Violations(
        method=label,
        runs=len(runs),
        iterations=damage.size,
        over=int(over.sum()),
        over_in_mean=int((damage.mean(axis=0) > governor.d_safe).sum()),
        worst_excess=round(float(max(0.0, (damage - governor.d_safe).max())), 4),
        first_over=int(np.argmax(over.any(axis=0))) if over.any() else "",
        true_over=int((true > governor.d_safe).sum()) if np.isfinite(true).any() else "",
        at_maximum=int(reached.sum()),
        first_at_maximum=round(float(top.argmax(axis=1)[reached].mean()), 1) if reached.any() else "",
        last_limit=round(float(limit[:, -1].mean()), 3),
        final_return=round(float(final.estimate), 1),
        final_low=round(float(final.low), 1),
        final_high=round(float(final.high), 1),
    )


def violations_text(lines: Sequence[Violations]) -> str:
    """The table in Markdown."""
    rows = [
        (
            line.method,
            f"{line.over} of {line.iterations}",
            f"{line.over_in_mean}",
            "" if line.true_over == "" else f"{line.true_over}",
            f"{line.worst_excess:.3f}",
            f"{line.at_maximum} of {line.runs}" + (f", {line.first_at_maximum}" if line.at_maximum else ""),
            f"{line.last_limit:.2f}",
            f"{line.final_return:.0f}"
            + (f" ({line.final_low:.0f}, {line.final_high:.0f})" if line.runs > 1 else " (one run)"),
        )
        for line in lines
    ]
    head = (
        "method",
        "iterations over D_safe",
        "of the mean",
        "truly over",
        "worst excess",
        "reached T_max, when",
        "T_lim at the end",
        "final return (95 %)",
    )
    keep = [column for column in range(len(head)) if head[column] != "truly over" or any(row[column] for row in rows)]
    return markdown([[row[column] for column in keep] for row in (head, *rows)])


def draw(
    title: str,
    curves: Mapping[str, Sequence[RunCurves[Any]]],
    columns: Sequence[str],
    path: Path,
    *,
    along: tuple[str, str | None] = ("iteration", None),
    bounds: Mapping[str, tuple[float, str]] | None = None,
) -> Path:
    """Draw columns of a study, a panel each: the mean over seeds, its 95 % bootstrap interval, every seed faintly.

    Args:
      title: Above the picture.
      curves: Runs by method, in the order of the legend.
      columns: What to draw.
      path: PNG file to write; it is replaced whole.
      along: Name of the horizontal axis, and the column that is its values; None: the number of the row.
      bounds: A line across a column's panel: where, and what it is called.

    Returns:
      The path.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(max(4.6 * len(columns) + 0.4, 7.0), 4.5), dpi=100, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left")
        panels = np.atleast_1d(figure.subplots(1, len(columns)))
        for axes, column in zip(panels, columns, strict=True):
            _panel(axes, column, curves, along)
            if bounds and column in bounds:
                _line_across(axes, *bounds[column])
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower left", ncols=min(len(labels), 2 * len(columns)), handlelength=2.6
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:
            figure.savefig(beside, format="png", metadata={"Software": None})
    return path


def _panel(
    axes: Axes, column: str, curves: Mapping[str, Sequence[RunCurves[Any]]], along: tuple[str, str | None]
) -> None:
    if column == "almonds_lost":
        _bars(axes, column, curves)
        return
    axes.set_title(_LABELS.get(column, column))
    axes.set_xlabel(along[0])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6 if along[1] else "auto", integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}"))  # steps are many
    axes.margins(x=0.02)
    means = []
    for number, (label, runs) in enumerate(curves.items()):
        colour, style = _COLOURS[number % len(_COLOURS)], _STYLES[number % len(_STYLES)]
        values = stacked(runs, column)
        where = np.flatnonzero(np.isfinite(values).all(axis=0))
        if not len(where):
            continue
        x = np.asarray(where if along[1] is None else stacked(runs, along[1]).mean(axis=0)[where], dtype=np.float64)
        values = values[:, where]
        interval = stratified_interval([values], resamples=500)
        for row in values if len(values) <= 5 else ():
            axes.plot(x, row, color=colour, linewidth=0.6, alpha=0.22)
        axes.fill_between(x, interval.low, interval.high, color=colour, alpha=0.16, linewidth=0)
        marker = "o" if len(x) < 8 else None
        axes.plot(x, interval.estimate, color=colour, linestyle=style, label=label, marker=marker, markersize=4)
        means.append(interval.estimate)
    if column in ("expected_damage", "true_damage"):
        _bounds(axes, curves)
    if column == "torque_limit":
        adaptive = [runs[0].run.governor.t_max for runs in curves.values() if runs[0].run.governor.rule != "fixed"]
        axes.set_ylim(0.0, min([axes.get_ylim()[1], *(1.1 * highest for highest in adaptive)]))  # "no limit" is above
    if column.endswith("return") and means:
        _open_up(axes, means)


def _bars(axes: Axes, column: str, curves: Curves) -> None:
    """Plot final values: mean over seeds, its interval, one dot per seed."""
    for number, (label, runs) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        last = stacked(runs, column)[:, -1]
        interval = stratified_interval([last])
        mean = float(interval.estimate)
        axes.barh(-number, mean, height=0.6, color=colour, alpha=0.35, label=label)
        axes.plot([float(interval.low), float(interval.high)], [-number, -number], color=colour, linewidth=2.5)
        spread = -number + np.linspace(-0.18, 0.18, len(last)) if len(last) > 1 else [-number]
        axes.plot(last, spread, "o", color=colour, markersize=4)
        axes.annotate(
            f"{mean:.1f}", (mean, -number), xytext=(0, 16), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_yticks([])
    axes.set_ylim(-len(curves) + 0.4, 0.75)
    axes.set_xlim(left=-0.5)
    axes.set_xlabel(_LABELS[column])


def _bounds(axes: Axes, curves: Curves) -> None:
    """A line per D_safe; and a scale on which both a bound and six times it can be read."""
    bounds = [runs[0].run.governor.d_safe for runs in curves.values() if runs[0].run.governor.rule != "fixed"]
    top = max(float(stacked(runs, "expected_damage").max()) for runs in curves.values())
    if bounds and top > 2.5 * max(bounds):
        axes.set_yscale("symlog", linthresh=max(bounds), linscale=1.5)
        ticks = [0.0, max(bounds) / 2, max(bounds), *(tick for tick in (1.0, 2.0, 3.0) if tick > max(bounds))]
        axes.set_yticks(ticks)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
        axes.minorticks_off()
    single = len(set(bounds)) == 1
    for number, runs in enumerate(curves.values()):
        governor = runs[0].run.governor
        if governor.rule != "fixed":
            colour = INK if single else _COLOURS[number % len(_COLOURS)]
            axes.axhline(governor.d_safe, color=colour, linewidth=1.1, linestyle="-" if single else ":")
    if single:
        _name_line(axes, bounds[0], r"$D_\mathrm{safe}$")
    axes.set_ylim(bottom=0.0)


def _line_across(axes: Axes, at: float, name: str) -> None:
    axes.axhline(at, color=INK, linewidth=1.1)
    _name_line(axes, at, name)
    axes.set_ylim(bottom=0.0)


def _name_line(axes: Axes, at: float, name: str) -> None:
    axes.annotate(
        name, (1.0, at), xycoords=("axes fraction", "data"), xytext=(-2, 3), textcoords="offset points",
        ha="right", color=INK, fontsize=9,
    )  # fmt: skip


def _open_up(axes: Axes, means: Sequence[Array]) -> None:
    """Log scale for a method far below the best one, or the best would be a flat line."""
    best = max(means, key=lambda mean: float(mean[-1]))
    scale = max(50.0, float(np.abs(best).max()))
    if min(float(mean.min()) for mean in means) < -6.0 * scale:
        linear = next(tick for tick in (100.0, 200.0, 500.0, 1000.0, 1e9) if tick >= scale)
        axes.set_yscale("symlog", linthresh=linear, linscale=1.6)
        ticks = [-2000.0, -1000.0, -500.0, -linear, 0.0, linear]
        low, high = axes.get_ylim()
        axes.set_yticks(sorted({tick for tick in ticks if low <= tick <= high}))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,g}".replace("-", "−")))
        axes.minorticks_off()
