# SPDX-License-Identifier: Apache-2.0
"""Table of the spill test: almonds lost with each method, and whether the first method loses significantly fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from safe_transfer_ros.reporting.evidence import Curves, stacked
from safe_transfer_ros.reporting.tables import markdown


@dataclass(frozen=True, kw_only=True)
class AlmondsLost:
    """Almonds lost with a method by the end of its runs; the columns of spill_almonds.csv.

    Attributes:
      method: Its label.
      runs: Seeds.
      mean: Of almonds lost.
      standard_deviation: Over the runs (n - 1); empty with one run.
      fewest: In any run.
      most: In any run.
      p_value: Of a one-sided Mann-Whitney U test that the first method loses as many as this one or more; empty for
        the first method itself. Exact where no two runs of the two methods lose equally many.
    """

    method: str
    runs: int
    mean: float
    standard_deviation: float | str
    fewest: int
    most: int
    p_value: float | str


def almonds_lost(curves: Curves) -> list[AlmondsLost]:
    """The lines of all methods, in their order."""
    last = {label: stacked(runs, "almonds_lost")[:, -1] for label, runs in curves.items()}
    first = next(iter(last.values()))
    lines = []
    for number, (label, lost) in enumerate(last.items()):
        fewer = scipy.stats.mannwhitneyu(first, lost, alternative="less", method="exact")
        lines.append(
            AlmondsLost(
                method=label,
                runs=len(lost),
                mean=round(float(lost.mean()), 2),
                standard_deviation=round(float(np.std(lost, ddof=1)), 2) if len(lost) > 1 else "",
                fewest=int(lost.min()),
                most=int(lost.max()),
                p_value=round(float(fewer.pvalue), 4) if number else "",
            )
        )
    return lines


def almonds_lost_text(lines: Sequence[AlmondsLost]) -> str:
    """The table in Markdown."""
    rows = [
        (
            line.method,
            f"{line.mean:.1f}" + ("" if line.standard_deviation == "" else f" ± {line.standard_deviation:.1f}"),
            f"{line.fewest} to {line.most}",
            f"{line.runs}",
            "" if line.p_value == "" else f"{line.p_value:.4f}",
        )
        for line in lines
    ]
    head = ("method", "almonds lost", "range", "runs", f"p ({lines[0].method} loses fewer)")
    return markdown([head, *rows])
