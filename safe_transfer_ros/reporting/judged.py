# SPDX-License-Identifier: Apache-2.0
"""Table of a study judged by further episodes: true damage, and how much more a method earns than the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.reporting.bootstrap import Interval, stratified_interval
from safe_transfer_ros.reporting.evidence import Curves, stacked
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.robots.simulation import Perturbation
from safe_transfer_ros.studies.study import StudyCurves

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Line of a method; the columns of <figure>_judged.csv. Intervals are 95 % bootstrap intervals over seeds.

    Attributes:
      method: Its label.
      runs: Seeds.
      looks: Iterations that were judged by further episodes, of all runs together.
      true_over: Those of them that were truly over D_safe.
      largest: Largest p_u * T_lim of all, as measured by a run's own rollouts, N·m.
      largest_true: By the further episodes, N·m.
      last_limit: Mean limit of the last iteration, N·m.
      run_return: Mean return over whole runs.
      run_return_stddev: Its standard deviation over seeds; 0 of one.
      more: Mean over seeds of how much more that is than the first method's on the same arm with the same seed; 0 for
        that one itself.
      more_low: Lower end of its interval.
      more_high: Upper end.
      more_at_looks: The same of the further episodes' return, at each look, as text: mean (low, high), ...
    """

    method: str
    runs: int
    looks: int
    true_over: int
    largest: float
    largest_true: float
    last_limit: float
    run_return: float
    run_return_stddev: float
    more: float
    more_low: float
    more_high: float
    more_at_looks: str


def judged(curves: Curves) -> list[Judged]:
    """Lines of all methods, compared by seed with the first on the same arm; none where nothing was judged."""
    if not np.isfinite(stacked(next(iter(curves.values())), "true_damage")).any():
        return []
    first: dict[Perturbation, Sequence[StudyCurves]] = {}
    for runs in curves.values():
        first.setdefault(runs[0].run.perturbation, runs)
    return [_line(label, runs, first[runs[0].run.perturbation]) for label, runs in curves.items()]


def _line(label: str, runs: Sequence[StudyCurves], first: Sequence[StudyCurves]) -> Judged:
    if [run.run.seed for run in runs] != [run.run.seed for run in first]:
        raise ValueError(f"expected the same seeds of {label} as of the first method on its arm")
    true, returns = stacked(runs, "true_damage"), stacked(runs, "mean_return").mean(axis=1)
    at = np.flatnonzero(np.isfinite(true).all(axis=0))
    more = stratified_interval([returns - stacked(first, "mean_return").mean(axis=1)])
    looks = stratified_interval([(stacked(runs, "true_return") - stacked(first, "true_return"))[:, at]])
    return Judged(
        method=label,
        runs=len(runs),
        looks=true[:, at].size,
        true_over=int((true[:, at] > runs[0].run.governor.d_safe).sum()),
        largest=round(float(stacked(runs, "expected_damage").max()), 4),
        largest_true=round(float(true[:, at].max()), 4),
        last_limit=round(float(stacked(runs, "torque_limit")[:, -1].mean()), 3),
        run_return=round(float(returns.mean()), 1),
        run_return_stddev=round(float(returns.std(ddof=1)), 1) if len(runs) > 1 else 0.0,
        more=round(float(more.estimate), 1),
        more_low=round(float(more.low), 1),
        more_high=round(float(more.high), 1),
        more_at_looks=", ".join(_interval(looks, place) for place in range(len(at))),
    )


def _interval(interval: Interval, place: int) -> str:
    low, middle, high = (float(np.asarray(each)[place]) for each in (interval.low, interval.estimate, interval.high))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def judged_text(lines: Sequence[Judged]) -> str:
    """The table in Markdown."""
    head = (
        "method",
        "truly over D_safe",
        "largest damage measured, true",
        "T_lim at the end",
        "return over the run",
        "more than the first on that arm, by seed (95 %)",
    )
    rows = [
        (
            line.method,
            f"{line.true_over} of {line.looks}",
            f"{line.largest:.2f}, {line.largest_true:.2f}",
            f"{line.last_limit:.2f}",
            f"{line.run_return:.0f} +- {line.run_return_stddev:.0f}",
            f"{line.more:.0f} ({line.more_low:.0f}, {line.more_high:.0f})",
        )
        for line in lines
    ]
    return markdown([list(row) for row in (head, *rows)])
