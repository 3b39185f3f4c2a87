# SPDX-License-Identifier: Apache-2.0
"""The key numbers of a run, as a table with a column per run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from safe_transfer_ros.reporting.run import Run

# Start and end of a run are means over this many iterations: one iteration is a few episodes only.
_ENDS = 5


@dataclass(frozen=True, kw_only=True)
class KeyNumber:
    """One line of the table.

    Attributes:
      name: What is counted.
      meaning: How, in a few words.
      values: Text per run, "–" where it is not known.
      alarm: Per run, whether the value breaks the bound.
    """

    name: str
    meaning: str
    values: tuple[str, ...]
    alarm: tuple[bool, ...]


def key_numbers(runs: list[Run]) -> list[KeyNumber]:
    """The table's lines for these runs, in reading order."""
    return [
        KeyNumber(
            name=name,
            meaning=meaning,
            values=tuple(_text(value, run) for run in runs),
            alarm=tuple(bool(run.records) and alarm(run) for run in runs),
        )
        for name, meaning, value, alarm in _LINES
    ]


def iterations_over_bound(run: Run) -> int:
    """Iterations whose expected damage was over D_safe."""
    return int(np.count_nonzero(run.column("expected_damage") > run.d_safe))


def _text(value: Callable[[Run], str], run: Run) -> str:
    return value(run) if run.records else "–"


def _ends(name: str) -> Callable[[Run], str]:
    def text(run: Run) -> str:
        values = run.column(name)
        # The two ends must not overlap, or a short run would look as if nothing had happened.
        count = max(1, min(_ENDS, len(values) // 2))
        ends = [values[:count].mean(), values[-count:].mean()] if len(values) > 1 else [values[0]]
        return " → ".join(_number(end) for end in ends)

    return text


def _number(value: float) -> str:
    return (f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}").replace("-", "−")


def _iterations(run: Run) -> str:
    done = len(run.records)
    return f"{done}" if run.planned in (None, done) else f"{done} of {run.planned}"


def _largest_damage(run: Run) -> str:
    damage = run.column("expected_damage")
    worst = int(np.nanargmax(damage))
    bound = f" of {run.d_safe:g}" if math.isfinite(run.d_safe) else ""
    return f"{damage[worst]:.3f}{bound} N·m (iteration {run.records[worst].iteration})"


def _over(run: Run) -> str:
    if not math.isfinite(run.d_safe):
        return "–"
    count = iterations_over_bound(run)
    return f"{count} of {len(run.records)}" + (f" ({count / len(run.records):.0%})" if count else "")


def _largest(name: str, form: str) -> Callable[[Run], str]:
    return lambda run: _known(_most(run, name), form.format)


def _largest_unsafety(run: Run) -> str:
    return _known(_most(run, "unsafety_max"), run.unsafety)


def _most(run: Run, name: str) -> float:
    """Largest number of a column; NaN where none is known."""
    values = run.column(name)
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else math.nan


def _known(value: float, told: Callable[[float], str]) -> str:
    return "unknown" if math.isnan(value) else told(value)


def _episodes(run: Run) -> str:
    if not run.details:
        return "unknown without the bag"
    unsafe, succeeded = (
        sum(getattr(detail, name) for detail in run.details) for name in ("unsafe_episodes", "succeeded")
    )
    text = f"{sum(detail.episodes for detail in run.details):,d}, {unsafe:,d} with an unsafe state"
    return text + (f", {succeeded:,d} succeeded" if succeeded else "")


def _interventions(run: Run) -> str:
    total = run.column("interventions").sum()
    finished = {record.iteration for record in run.records}
    decisions = sum(detail.decisions for detail in run.details if detail.iteration in finished)
    return f"{total:,.0f}" + (f" ({total / decisions:.0%} of decisions)" if decisions else "")


def _pace(run: Run) -> str:
    seconds, steps = run.records[-1].wall_time_s, run.column("steps").sum()
    pace = f", {steps / seconds:,.0f} steps/s" if seconds > 0 else ""
    minutes, rest = divmod(round(seconds), 60)
    return (f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s") + pace


def _never(run: Run) -> bool:
    return False


def _breaks_bound(run: Run) -> bool:
    return iterations_over_bound(run) > 0


_LINES: tuple[tuple[str, str, Callable[[Run], str], Callable[[Run], bool]], ...] = (
    ("Iterations", "of Algorithm 1: roll out, update, new limit", _iterations, _never),
    (
        "Return",
        f"mean of the first → last {_ENDS} iterations, penalty for unsafety included",
        _ends("mean_return"),
        _never,
    ),
    ("Task return", "without that penalty", _ends("mean_task_return"), _never),
    ("Largest expected damage", "p_u · T_lim, to stay within D_safe", _largest_damage, _breaks_bound),
    ("Iterations over D_safe", "", _over, _breaks_bound),
    ("Torque limit", "first → last", lambda run: _span(run), _never),
    (
        "Largest unsafety rate",
        "share of decision periods beyond the limit",
        _largest("unsafety_rate", "{:.1%}"),
        _never,
    ),
    ("Largest u", "of the task's safety function, over all joint states", _largest_unsafety, _never),
    ("Episodes", "whole ones", _episodes, _never),
    (
        "Interventions",
        "decisions that the filter changed or refused, ends of episodes too",
        _interventions,
        _never,
    ),
    ("Steps", "decisions with a proposal", lambda run: f"{run.column('steps').sum():,.0f}", _never),
    ("Duration", "wall clock, learning included", _pace, _never),
)


def _span(run: Run) -> str:
    limit = run.column("torque_limit")
    return f"{limit[0]:.3f} → {limit[-1]:.3f} N·m"
