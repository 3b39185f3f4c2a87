# SPDX-License-Identifier: Apache-2.0
"""Tables and curves of a comparison of SQRL with its rivals: returns and counts of failures in fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from safe_transfer_ros.files import write_rows
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.reporting.bootstrap import stratified_interval
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.studies.learner_run import LearnerCurves

_LAST = 10  # epochs
_PANELS = ("mean_return", "failures_per_episode", "cumulative_failures", "evaluation_return")


def write(name: str, title: str, curves: Mapping[str, Sequence[LearnerCurves]], folder: Path) -> str:
    """Write <name>.csv, <name>_summary.csv and <name>.png of the fine-tuning runs of each case.

    Args:
      name: Of the files.
      title: Of the picture; what is fine-tuned.
      curves: Finished runs of each case, by its name.
      folder: Of the files.

    Returns:
      The summary as text, and where the picture is.
    """
    rows = [
        {"case": label, "seed": one.run.seed} | {column: repr(float(of[at])) for column, of in one.columns.items()}
        for label, runs in curves.items()
        for one in runs
        for at in range(one.run.iterations)
    ]
    write_rows(folder / f"{name}.csv", rows)
    lines = [_line(label, runs) for label, runs in curves.items()]
    write_rows(folder / f"{name}_summary.csv", lines)
    picture = evidence.draw(f"{title}: fine-tuning", curves, _PANELS, folder / f"{name}.png", along=("steps", "steps"))
    table = markdown([list(lines[0]), *([str(value) for value in line.values()] for line in lines)])
    return f"{table}\n\n{picture}"


def _line(label: str, runs: Sequence[LearnerCurves]) -> dict[str, object]:
    def last(column: str, count: int, form: str) -> str:
        values = np.array([np.nanmean(one.columns[column][-count:]) for one in runs])
        if len(values) == 1:
            return f"{values[0]:{form}}"
        interval = stratified_interval([values])
        return f"{values.mean():{form}} ({float(interval.low):{form}}–{float(interval.high):{form}})"

    episodes = np.array([one.columns["episodes"][-1] for one in runs])
    falls = np.array([one.columns["cumulative_failures"][-1] for one in runs])
    return {
        "case": label,
        "seeds": len(runs),
        "steps": f"{np.mean([one.columns['steps'][-1] for one in runs]):.0f}",
        "falls": last("cumulative_failures", 1, ".0f"),
        "falls per episode, all": f"{(falls / episodes).mean():.3f}",
        f"falls per episode, last {_LAST} epochs": last("failures_per_episode", _LAST, ".3f"),
        f"return, last {_LAST} epochs": last("mean_return", _LAST, ".1f"),
        "return, evaluation": last("evaluation_return", 1, ".1f"),
        "falls, evaluation": last("evaluation_failures", 1, ".3f"),
    }
