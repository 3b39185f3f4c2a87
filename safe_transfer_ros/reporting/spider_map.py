# SPDX-License-Identifier: Apache-2.0
"""The drunk spider's map, and the ways that spiders went on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from safe_transfer_ros.reporting.plots import BLUE, GREEN, INK, VERMILLION
from safe_transfer_ros.tasks.drunk_spider.map import GOAL, GOAL_RADIUS, PIT_COLUMNS, PIT_ROWS, SIZE, START

Array = NDArray[np.float64]
_LAVA = "#F2B8A0"


def draw_map(axes: Axes) -> None:
    """Draw the pits, the goal and the start; rows to the right, columns upwards."""
    axes.set(xlim=(-0.3, SIZE[0] + 0.3), ylim=(-0.3, SIZE[1] + 0.3), aspect="equal", xlabel="row", ylabel="column")
    axes.add_patch(Rectangle((0.0, 0.0), SIZE[0], SIZE[1], fill=False, edgecolor=INK))
    for column in PIT_COLUMNS:
        axes.add_patch(Rectangle((PIT_ROWS[0], column), PIT_ROWS[1] - PIT_ROWS[0], 1.0, color=_LAVA, linewidth=0.0))
    axes.add_patch(Circle((GOAL[0], GOAL[1]), GOAL_RADIUS, color=GREEN, alpha=0.25, linewidth=0.0))
    axes.plot(*START, "o", color=INK, markersize=5)


def draw_ways(axes: Axes, ways: Sequence[Array], fell: Sequence[bool]) -> None:
    """Draw positions, each way of shape (n, 2); one that ended in a fall has a cross there."""
    for way, failed in zip(ways, fell, strict=True):
        axes.plot(way[:, 0], way[:, 1], color=VERMILLION if failed else BLUE, linewidth=0.8, alpha=0.5)
        if failed:
            axes.plot(*way[-1], "x", color=VERMILLION, markersize=5)
