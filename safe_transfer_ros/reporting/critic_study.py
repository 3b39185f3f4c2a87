# SPDX-License-Identifier: Apache-2.0
"""Table and picture of the critic study: over seeds, mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Runs = Mapping[str, Sequence[Sequence[Mapping[str, float]]]]

_STEPS_PER_ITERATION = 1000  # five episodes of 200
_STYLES = {"fixed 0.8": ":", "fixed": "--"}


def summary(results: Runs) -> list[dict[str, str]]:
    """A line a method: seeds, unsafe steps (of all iterations, of the last five), failed episodes, damage, returns."""
    lines = []
    for label, runs in results.items():

        def over(name: str, how: object, runs: Sequence[Sequence[Mapping[str, float]]] = runs) -> np.ndarray:
            return np.array([how([row[name] for row in run]) for run in runs])  # type: ignore[operator]

        unsafe = over("unsafety_rate", np.sum) * _STEPS_PER_ITERATION
        lines.append(
            {
                "method": label,
                "seeds": str(len(runs)),
                "steps": f"{len(runs[0]) * _STEPS_PER_ITERATION:d}",
                "unsafe steps": _spread(unsafe, ".0f"),
                "of the last 5": _spread(over("unsafety_rate", lambda v: np.sum(v[-5:])) * _STEPS_PER_ITERATION, ".0f"),
                "failed episodes": _spread(over("failed_episodes", np.sum) * 5, ".1f"),
                "largest damage": _spread(over("expected_damage", np.max), ".3f"),
                "over D_safe .5": _spread(over("expected_damage", lambda v: np.sum(np.array(v) > 0.5)), ".1f"),
                "return": _spread(over("mean_return", np.mean), ".1f"),
                "return, last 5": _spread(over("mean_return", lambda v: np.mean(v[-5:])), ".1f"),
                "task return, last 5": _spread(over("mean_task_return", lambda v: np.mean(v[-5:])), ".1f"),
                "T_lim at the end": _spread(over("torque_limit", lambda v: v[-1]), ".2f"),
                "gated": _spread(over("gated", np.mean), ".2f"),
            }
        )
    return lines


def _spread(values: np.ndarray, form: str) -> str:
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    return f"{values.mean():{form}} ± {deviation:{form}}"


def table(lines: Sequence[Mapping[str, str]], separator: str = " | ") -> str:
    """Text of the summary; with " | " a Markdown table."""
    names = list(lines[0])
    if separator.strip() != "|":
        return "\n".join(separator.join(row) for row in [names, *([line[name] for name in names] for line in lines)])
    rows = [names, ["---"] * len(names), *([line[name] for name in names] for line in lines)]
    return "\n".join("| " + separator.join(row) + " |" for row in rows)


def draw(results: Runs, path: Path) -> Path:
    """Unsafety rate, return, torque limit and expected damage against iterations; mean and spread of the seeds."""
    from matplotlib.figure import Figure

    panels = {
        "unsafety_rate": "unsafety rate p_u",
        "mean_return": "return",
        "torque_limit": "torque limit, N·m",
        "expected_damage": "p_u T_lim, N·m",
    }
    figure = Figure(figsize=(11.0, 7.0), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for label, runs in results.items():
            values = np.array([[row[name] for row in run] for run in runs])
            iterations, mean, spread = np.arange(values.shape[1]), values.mean(axis=0), values.std(axis=0)
            # A colour a method, a style a way of setting the limit: there are more methods than colours.
            style = next((s for start, s in _STYLES.items() if label.startswith(start)), "-")
            colour = f"C{list(results).index(label) % 10}"
            (line,) = axes.plot(iterations, mean, style, color=colour, label=f"{label} ({len(runs)})", linewidth=1.5)
            axes.fill_between(iterations, mean - spread, mean + spread, alpha=0.12, color=line.get_color(), linewidth=0)
        if name == "mean_return":
            axes.set_yscale("symlog", linthresh=100)
        axes.set(xlabel="iteration of 5 episodes", title=title)
        axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    return path
