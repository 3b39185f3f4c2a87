# SPDX-License-Identifier: Apache-2.0
"""The plots of a report. Each is a function of a run (and one to compare with) that fills a figure.

Colours are those of Okabe and Ito, which stay apart for every kind of colour vision; lines that could meet
also differ in style. Legends stand above the axes, where no data can be behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from safe_transfer_ros.files import replaced
from safe_transfer_ros.reporting.run import Run
from safe_transfer_ros.safety.reasons import Reason

Array = NDArray[np.float64]

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, YELLOW, INK, FAINT = "#56B4E9", "#CC79A7", "#B8A900", "#333333", "#8A8A8A"
_STACK = (SKY, ORANGE, GREEN, PURPLE, BLUE, VERMILLION, YELLOW, FAINT)

STYLE: Any = {
    "figure.facecolor": "#FDFDFC",
    "axes.facecolor": "#FDFDFC",
    "savefig.facecolor": "#FDFDFC",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9A9A9A",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E2",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One picture of a report.

    Attributes:
      name: File name without suffix.
      title: Heading on the page.
      caption: What is shown and how to read it, for the page.
      draw: Fills the figure; gives False if the run has nothing to show.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Figure, Run, Run | None], bool]


def save(plot: Plot, run: Run, compare: Run | None, folder: Path) -> Path | None:
    """Draws a plot into folder/<name>.png.

    Returns:
      The file; None if the run has nothing for this plot (a file of an earlier report is then removed).
    """
    path = folder / f"{plot.name}.png"
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.08, rect=(0.0, 0.0, 1.0, 0.93))
        figure = Figure(figsize=(8.4, 4.2), dpi=144, layout=layout)
        figure.suptitle(plot.title, x=0.02, y=0.965, ha="left", va="top")
        if not plot.draw(figure, run, compare):
            path.unlink(missing_ok=True)
            return None
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:  # no software tag: the same run gives the same bytes
            figure.savefig(beside, format="png", metadata={"Software": None})
    return path


def _axes(figure: Figure, y: str) -> Axes:
    axes = figure.add_subplot()
    _dress(axes, y)
    return axes


def _dress(axes: Axes, y: str) -> None:
    axes.set_xlabel("iteration")
    axes.set_ylabel(y)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.02)


def _line(axes: Axes, x: Array, y: Array, colour: str, label: str | None, style: str = "-") -> None:
    """A line that still shows when it has one point only."""
    marker = "o" if len(x) < 8 else None
    axes.plot(x, y, style, color=colour, label=label, marker=marker, markersize=5, solid_capstyle="round")


def _legend(axes: Axes, columns: int = 4) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.3, handlelength=2.2)


def _runs(run: Run, compare: Run | None) -> list[tuple[Run, str, str]]:
    """Runs with rows, each with its colour and line style."""
    both = [(run, BLUE, "-")] + ([(compare, VERMILLION, "--")] if compare is not None else [])
    return [(one, colour, style) for one, colour, style in both if one.records]


def _rolling(values: Array, window: int = 5) -> Array:
    """Mean over the last `window` values (fewer at the start)."""
    return np.array([values[max(0, i - window + 1) : i + 1].mean() for i in range(len(values))])


def draw_returns(figure: Figure, run: Run, compare: Run | None) -> bool:
    """Mean return per iteration, with the penalty for unsafety and without it."""
    if not run.records:
        return False
    panels = [("mean_return", "return"), ("mean_task_return", "task return")]
    if all(
        np.array_equal(one.column("mean_return"), one.column("mean_task_return")) for one, _, _ in _runs(run, compare)
    ):
        panels = panels[:1]  # without a penalty both are the same
    drawn = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (column, name) in zip(drawn, panels, strict=True):
        _dress(axes, f"mean {name} per episode")
        for one, colour, style in _runs(run, compare):
            x, y = one.column("iteration"), one.column(column)
            if len(y) >= _ROLL_FROM:
                axes.plot(x, y, color=colour, alpha=0.3, linewidth=1)
                y = _rolling(y)
            _line(axes, x, y, colour, one.label, style)
        _legend(axes, 2)
    _open_up(drawn[0], run, compare)
    return True


_ROLL_FROM = 8


def _open_up(axes: Axes, run: Run, compare: Run | None) -> None:
    """Log scale for what lies far outside this run's own returns, or they would be a flat line."""
    own = float(np.abs(run.column("mean_return")).max())
    other = 0.0
    if compare is not None and compare.records:
        other = float(np.abs(compare.column("mean_return")).max())
    if other > 6.0 * own > 0.0:
        linear = next(tick for tick in _TICKS if tick >= own)
        axes.set_yscale("symlog", linthresh=linear, linscale=2.0)
        low, high = axes.get_ylim()
        ticks = {0.0, linear / 2, linear, *(tick for tick in _DECADES if tick > linear)}
        axes.set_yticks([tick for tick in sorted(ticks | {-tick for tick in ticks}) if low <= tick <= high])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,g}".replace("-", "−")))
        axes.minorticks_off()
        axes.set_ylabel(f"mean return per episode (log beyond ±{linear:g})")


def draw_damage(figure: Figure, run: Run, compare: Run | None) -> bool:
    """Expected damage against D_safe."""
    if not run.records:
        return False
    axes = _axes(figure, r"$p_u \cdot T_\mathrm{lim}$   [N·m]")
    top = 1e-3
    for one, colour, style in _runs(run, compare):
        y = one.column("expected_damage")
        _line(axes, one.column("iteration"), y, colour, one.label, style)
        top = max(top, float(np.nanmax(y)))
    if np.isfinite(run.d_safe):
        top = max(top, run.d_safe)
        axes.axhspan(run.d_safe, 2 * top, color=VERMILLION, alpha=0.06, linewidth=0)
        axes.axhline(run.d_safe, color=INK, linewidth=1.3, label=rf"$D_\mathrm{{safe}}$ = {run.d_safe:g} N·m")
    axes.set_ylim(0, top * 1.12)
    _legend(axes)
    return True


def draw_torque_limit(figure: Figure, run: Run, compare: Run | None) -> bool:
    """The limit, and how high the bound would have let it go."""
    if not run.records:
        return False
    axes = _axes(figure, "torque limit   [N·m], log scale")
    x, limit = run.column("iteration"), run.column("torque_limit")
    shown = [limit]
    _line(axes, x, limit, BLUE, run.label)
    if compare is not None and compare.records:
        other = compare.column("torque_limit")
        _line(axes, compare.column("iteration"), other, VERMILLION, compare.label, "--")
        shown.append(other)
    if run.rule != "fixed" and np.isfinite(run.d_safe):
        predicted = run.column("predicted_unsafety_rate")
        # Nothing predicted, nothing to bound. What an iteration shows bounds the limit of the next one.
        ceiling = np.divide(run.d_safe, predicted, out=np.full_like(predicted, np.nan), where=predicted > 0)
        _line(axes, x + 1, ceiling, ORANGE, r"$D_\mathrm{safe} / p'_u$, the most the bound allows", ":")
        shown.append(ceiling[np.isfinite(ceiling)])
    for name, text in (("initial_torque_limit", "initial"), ("torque_limit_max", "max")):
        value = run.parameter("unsafety_monitor", name)
        if value is not None:
            shown.append(np.array([float(value)]))
            _mark(axes, float(value), rf"$T_\mathrm{{{text}}}$ {float(value):g}")
    every = np.concatenate(shown)
    low, high = every.min() * 0.8, every.max() * 1.35
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axes.set_yticks([tick for tick in _TICKS if low <= tick <= high])
    axes.minorticks_off()
    _legend(axes)
    return True


_DECADES = [10.0**e for e in range(-4, 9)]
_TICKS = [m * decade for decade in _DECADES for m in (1, 2, 3, 5)]


def _mark(axes: Axes, value: float, text: str) -> None:
    """A faint line at a value, named at its right end."""
    axes.axhline(value, color=FAINT, linewidth=1, zorder=1)
    at = (1.0, value)
    axes.annotate(
        text, at, xycoords=("axes fraction", "data"), xytext=(-2, 3), textcoords="offset points", ha="right",
        fontsize=8.5, color=FAINT,
    )  # fmt: skip


def draw_unsafety(figure: Figure, run: Run, compare: Run | None) -> bool:
    """Measured unsafety rate, its prediction, and what the prediction is made of."""
    if not run.records:
        return False
    left, right = figure.subplots(1, 2, sharey=True)
    x = run.column("iteration")
    measured, predicted = run.column("unsafety_rate"), run.column("predicted_unsafety_rate")
    _dress(left, "share of decision periods beyond the limit")
    _line(left, x, measured, BLUE, "$p_u$, measured")
    _line(left, x + 1, predicted, ORANGE, "$p'_u$, predicted", ":")
    _legend(left, 2)
    parts = [measured, run.column("limit_change_risk"), run.column("policy_change_risk")]
    names = ["$p_u$", r"$\Delta p_{u1}$ limit", r"$\Delta p_{u2}$ policy"]
    _dress(right, "")
    _stack(right, x, parts, names, (BLUE, SKY, GREEN))
    right.axhline(1.0, color=INK, linewidth=1.0)
    _legend(right, 3)
    top = max(0.05, float(predicted.max()), float(np.sum(parts, axis=0).max()))
    left.set_ylim(0, top * 1.08)
    left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return True


def draw_unsafety_function(figure: Figure, run: Run, compare: Run | None) -> bool:
    """Distribution of the unsafety function over iterations."""
    if not run.details:
        return False
    task = run.task
    label = "u" if task is None else f"{task.unsafety_text}   [{task.unsafety_unit}]".replace("   []", "")
    axes = _axes(figure, label)
    x, levels = _percentiles(run)
    axes.fill_between(x, levels[5], levels[95], color=BLUE, alpha=0.13, linewidth=0)
    axes.fill_between(x, levels[25], levels[75], color=BLUE, alpha=0.25, linewidth=0)
    _line(axes, x, levels[50], BLUE, f"{run.label}: median")
    _line(axes, x, levels[95], BLUE, "95th percentile", "-.")
    if compare is not None and compare.details:
        x, levels = _percentiles(compare)
        _line(axes, x, levels[50], VERMILLION, f"{compare.label}: median", "--")
        _line(axes, x, levels[95], VERMILLION, "95th percentile", ":")
    if run.unsafety_limit is not None:
        axes.axhline(run.unsafety_limit, color=INK, linewidth=1.3, label=f"limit {run.unsafety(run.unsafety_limit)}")
    if min(float(detail.unsafety.min()) for detail in run.details) >= 0.0:
        axes.set_ylim(bottom=0)
    _legend(axes, 3)
    return True


def _percentiles(run: Run) -> tuple[Array, dict[int, Array]]:
    """Iterations, and percentiles of u over each one's states."""
    x = np.array([detail.iteration for detail in run.details], dtype=np.float64)
    levels = (5, 25, 50, 75, 95)
    return x, {p: np.array([np.percentile(d.unsafety, p) for d in run.details]) for p in levels}


def draw_interventions(figure: Figure, run: Run, compare: Run | None) -> bool:
    """Decisions per reason, stacked."""
    if not run.records and not run.details:
        return False
    axes = _axes(figure, "share of decisions, per reason")
    if run.details:
        reasons, details = ordered_reasons(run), run.details
        x = np.array([detail.iteration for detail in details], dtype=np.float64)
        share = [np.array([d.reasons.get(reason, 0) / d.decisions for d in details]) for reason in reasons]
        names = [reason_name(reason) for reason in reasons]
    else:
        x, steps = run.column("iteration"), run.column("steps")
        share = [np.divide(run.column("interventions"), steps, out=np.zeros_like(steps), where=steps > 0)]
        names = ["any reason (only the bag tells which)"]
    _stack(axes, x, share, names, _STACK)
    axes.set_ylim(0, max(0.01, float(np.sum(share, axis=0).max()) if share else 0.0) * 1.08)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    if share:
        _legend(axes)
    else:
        axes.text(0.5, 0.5, "no interventions", transform=axes.transAxes, ha="center", color=FAINT)
    return True


def ordered_reasons(run: Run) -> list[Reason]:
    """Reasons that occurred in a run, the most frequent first."""
    return [reason for reason, _ in sorted(run.reasons.items(), key=lambda item: (-item[1], int(item[0])))]


def reason_name(reason: Reason) -> str:
    """CLAMPED_TORQUE_LIMIT as "clamped torque limit"."""
    return str(reason.name or int(reason)).replace("_", " ").lower()


def _stack(axes: Axes, x: Array, parts: list[Array], names: list[str], colours: tuple[str, ...]) -> None:
    """Stacked areas; bars where there are too few iterations for an area."""
    palette = [colours[i % len(colours)] for i in range(len(parts))]
    if len(x) >= 8 and parts:
        axes.stackplot(x, *parts, labels=names, colors=palette, alpha=0.85, linewidth=0)
        return
    base = np.zeros(len(x))
    for values, name, colour in zip(parts, names, palette, strict=True):
        axes.bar(x, values, bottom=base, width=0.6, color=colour, alpha=0.85, label=name)
        base = base + values


PLOTS: tuple[Plot, ...] = (
    Plot(
        name="mean_return",
        title="Return",
        caption="Mean over the iteration's episodes of the summed reward: left with the penalty for unsafety, where "
        "the task has one, which is what is learned (the counterpart of PSPT Fig. 6), right without it. From eight "
        "iterations on, the heavy line is the mean of the last five.",
        draw=draw_returns,
    ),
    Plot(
        name="expected_damage",
        title="Expected damage",
        caption="Measured unsafety rate times the torque limit in force, p_u · T_lim, against the bound "
        "D_safe. The shaded part is over the bound. The counterpart of PSPT Fig. 7.",
        draw=draw_damage,
    ),
    Plot(
        name="torque_limit",
        title="Torque limit",
        caption="The limit rises by at most 5 % per iteration and falls at once. Dotted: D_safe / p'_u, the "
        "highest limit at which the predicted damage stays within the bound.",
        draw=draw_torque_limit,
    ),
    Plot(
        name="unsafety_rate",
        title="Unsafety rate, measured and predicted",
        caption="Left: share of decision periods beyond the limit, and what had been predicted for that "
        "iteration; the prediction is meant to lie above. Right: what the prediction for the next "
        "iteration is the sum of (PSPT Eq. 22-32), cut at 100 %.",
        draw=draw_unsafety,
    ),
    Plot(
        name="unsafety",
        title="Unsafety",
        caption="The task's safety function in the states that the policy's steps led to, from the bag; beyond the "
        "limit a state is unsafe. Bands: the middle half, and 5 % to 95 %, of this run's states.",
        draw=draw_unsafety_function,
    ),
    Plot(
        name="interventions",
        title="Interventions by reason",
        caption="Decisions in which the safety filter changed or refused the proposed torque. One decision "
        "may have several reasons, so the stack can pass 100 %.",
        draw=draw_interventions,
    ),
)
