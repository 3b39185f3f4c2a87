# SPDX-License-Identifier: Apache-2.0
"""Tables and curves of SQRL through the graph: unsafe steps, failures, return and torque limit of each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from safe_transfer_ros.files import replaced, write_rows
from safe_transfer_ros.reporting.bootstrap import stratified_interval
from safe_transfer_ros.reporting.plots import STYLE
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.studies.sqrl_graph import GraphCurves

_ENDS = 5  # iterations averaged at the beginning and at the end
_PANELS = (
    ("unsafe_steps", "unsafe steps, cumulative"),
    ("failures", "failed episodes, cumulative"),
    ("mean_return", "return of an episode"),
    ("torque_limit", "torque limit [N·m]"),
)
_COLUMNS = ("steps", "unsafe_steps", "failures", "mean_return", "torque_limit", "expected_damage", "kl")

Found = Mapping[str, Mapping[str, Sequence[GraphCurves]]]


def write(name: str, found: Found, folder: Path) -> str:
    """Write <name>.csv, <name>_summary.csv and <name>.png.

    Args:
      name: Of the files.
      found: Runs of each case of each scene, one a seed.
      folder: Theirs.

    Returns:
      The summary as text, and where the picture is.
    """
    rows = [
        {"scene": scene, "case": case, "seed": seed, "iteration": at}
        | {column: repr(float(getattr(one, column)[at])) for column in _COLUMNS}
        for scene, cases in found.items()
        for case, runs in cases.items()
        for seed, one in enumerate(runs)
        for at in range(len(one.steps))
    ]
    write_rows(folder / f"{name}.csv", rows)
    lines = [line(scene, case, runs) for scene, cases in found.items() for case, runs in cases.items()]
    write_rows(folder / f"{name}_summary.csv", lines)
    picture = _draw(found, folder / f"{name}.png")
    return f"{markdown([list(lines[0]), *([str(value) for value in each.values()] for each in lines)])}\n\n{picture}"


def line(scene: str, case: str, runs: Sequence[GraphCurves]) -> dict[str, object]:
    """Numbers of a case: means over its runs, with a 95 % interval where there are several."""

    def told(values: Sequence[float], form: str) -> str:
        numbers = np.array(values)
        if len(numbers) == 1:
            return f"{numbers[0]:{form}}"
        interval = stratified_interval([numbers])
        return f"{numbers.mean():{form}} ({float(interval.low):{form}}–{float(interval.high):{form}})"

    return {
        "scene": scene,
        "case": case,
        "seeds": len(runs),
        "steps": f"{np.mean([one.steps.sum() for one in runs]):.0f}",
        "unsafe steps": told([one.unsafe_steps.sum() for one in runs], ".0f"),
        "failed episodes": told([one.failures.sum() for one in runs], ".0f"),
        f"return, first {_ENDS}": told([one.mean_return[:_ENDS].mean() for one in runs], ".1f"),
        f"return, last {_ENDS}": told([one.mean_return[-_ENDS:].mean() for one in runs], ".1f"),
        "largest damage": told([one.expected_damage.max() for one in runs], ".3f"),
        "limit at the end, N·m": told([one.torque_limit[-1] for one in runs], ".2f"),
    }


def _draw(found: Found, path: Path) -> Path:
    with rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(_PANELS), 3.0 * len(found)), layout="constrained")
        axes = figure.subplots(len(found), len(_PANELS), squeeze=False)
        for row, (scene, cases) in zip(axes, found.items(), strict=True):
            for axis, (column, title) in zip(row, _PANELS, strict=True):
                for case, runs in cases.items():
                    values = np.array([getattr(one, column) for one in runs])
                    values = values.cumsum(axis=1) if title.endswith("cumulative") else values
                    (drawn,) = axis.plot(values.mean(axis=0), linewidth=2, label=case)
                    for each in values if len(values) > 1 else ():
                        axis.plot(each, color=drawn.get_color(), linewidth=0.6, alpha=0.4)
                axis.set_title(f"{scene}: {title}", fontsize=10, loc="left")
                axis.set_xlabel("iteration")
        axes[0, 0].legend(frameon=False, fontsize=8)
        with replaced(path) as beside:
            figure.savefig(beside, format="png", dpi=110)
    return path
