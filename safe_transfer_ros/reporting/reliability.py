# SPDX-License-Identifier: Apache-2.0
"""A critic's reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def draw_reliability(bins: Sequence[Sequence[float]], title: str, path: Path) -> Path:
    """Mean outcome against mean risk with two standard errors.

    Args:
      bins: Number of transitions, mean risk, mean outcome and its standard error of each; see `Calibration`.
      title: Above the picture.
      path: File to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1.0, linestyle="--", label="perfect")
    risk, outcome, error = ([row[i] for row in bins] for i in (1, 2, 3))
    axes.errorbar(risk, outcome, yerr=[2 * e for e in error], marker="o", capsize=3, label="held-out episodes")
    for count, x, y, _ in bins:
        axes.annotate(f"{int(count):,}", (x, y), xytext=(6, -10), textcoords="offset points", fontsize=7, color="0.4")
    axes.set(xlabel="risk Q(s, a)", ylabel="realised, discounted by steps to failure", title=title)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=110)
    return path
