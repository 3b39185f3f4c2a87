# SPDX-License-Identifier: Apache-2.0
"""The plot of a pre-training run: return, unsafety, and what the updates did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from safe_transfer_ros.files import replaced
from safe_transfer_ros.reporting.plots import BLUE, GREEN, INK, ORANGE, STYLE, VERMILLION
from safe_transfer_ros.transfer.pspt.pretraining import BatchRecord

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE)


def draw_learning_curves(curves: Mapping[str, Sequence[BatchRecord]], unsafety_limit: float, path: Path) -> Path:
    """Draw one or several learning curves, atomically.

    Args:
      curves: Records of each run by label ("seed 0"); runs without a record are left out.
      unsafety_limit: The task's limit, drawn beside the mean unsafety.
      path: PNG file to write.

    Returns:
      The path.

    Raises:
      ValueError: if no run has a record.
    """
    shown = {label: records for label, records in curves.items() if records}
    if not shown:
        raise ValueError("expected at least one learning curve with a batch in it, got none")
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 6.0), dpi=144, layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        _panel(axes[0, 0], shown, "mean_return", "return")
        _panel(axes[0, 1], shown, "unsafety_mean", "mean tilt (deg)")
        axes[0, 1].axhline(unsafety_limit, color=INK, linewidth=1.0, linestyle=":")
        axes[0, 1].set_ylim(0.0, 1.6 * unsafety_limit)
        axes[0, 1].annotate(
            "limit",
            (1.0, unsafety_limit),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color=INK,
        )
        _panel(axes[1, 0], shown, "stddev", "policy standard deviation (N·m)")
        _panel(axes[1, 1], shown, "explained_variance", "variance foreseen by the value function")
        axes[1, 1].set_ylim(-0.2, 1.0)
        for panel in axes[1]:
            panel.set_xlabel("environment steps (thousands)")
        _zoom_on_learning(axes[0, 0], shown)
        if len(shown) > 1:
            axes[0, 0].legend(loc="lower right")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:
            figure.savefig(beside, format="png", metadata={"Software": None})
    return path


def _panel(axes: Axes, curves: Mapping[str, Sequence[BatchRecord]], column: str, title: str) -> None:
    axes.set_title(title)
    for number, (label, records) in enumerate(curves.items()):
        steps = np.array([record.steps for record in records]) / 1000.0
        values = np.array([getattr(record, column) for record in records])
        marker = "o" if len(records) < 8 else None
        axes.plot(steps, values, color=_COLOURS[number % len(_COLOURS)], label=label, marker=marker, linewidth=1.4)


def _zoom_on_learning(axes: Axes, curves: Mapping[str, Sequence[BatchRecord]]) -> None:
    """The first batches fall by thousands, the rest is about 100: show the rest, and say so."""
    values = np.concatenate([[record.mean_return for record in records] for records in curves.values()])
    best = float(values.max())
    floor = best - 2.0 * max(abs(best), 50.0)
    if values.min() < floor:
        axes.set_ylim(floor, best + 0.1 * (best - floor))
        axes.annotate(
            f"starts at {values.min():,.0f}",
            (0.02, 0.03),
            xycoords="axes fraction",
            ha="left",
            color=INK,
            fontsize=9,
        )
