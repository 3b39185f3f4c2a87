# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of the comparison on the drunk spider: curves, counts of falls, and the ways of spiders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from safe_transfer_ros.files import replaced, write_rows
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.off_policy import Greedy
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.masked import MaskedPolicy
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.reporting.bootstrap import stratified_interval
from safe_transfer_ros.reporting.plots import STYLE
from safe_transfer_ros.reporting.spider_map import draw_map, draw_ways
from safe_transfer_ros.reporting.tables import markdown
from safe_transfer_ros.studies.learner_run import LearnerCurves
from safe_transfer_ros.tasks.drunk_spider.task import DrunkSpider
from safe_transfer_ros.transfer.sqrl.agent import JudgedMask

Array = NDArray[np.float64]
_LAST = 10  # epochs
_PANELS = ("mean_return", "failures_per_episode", "cumulative_failures", "evaluation_return")


def write(name: str, curves: Mapping[str, Sequence[LearnerCurves]], folder: Path) -> str:
    """Write <name>.csv, <name>_summary.csv and <name>.png of the fine-tuning runs of each case.

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
    picture = evidence.draw(
        "drunk spider: fine-tuning", curves, _PANELS, folder / f"{name}.png", along=("steps", "steps")
    )
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


def draw_policies(policies: Mapping[str, bytes], noise: float, path: Path, *, episodes: int = 40) -> Path:
    """Draw the ways of learned masked policies on the map, a panel each.

    Args:
      policies: Policy files by title.
      noise: Of the environment.
      path: PNG file to write; it is replaced whole.
      episodes: Of each, none of those that were learned from.

    Returns:
      The path.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(4.8 * len(policies), 4.6), dpi=100, layout="tight")
        panels = np.atleast_1d(figure.subplots(1, len(policies)))
        for axes, (title, content) in zip(panels, policies.items(), strict=True):
            ways, fell = _ways(content, noise, episodes)
            draw_map(axes)
            draw_ways(axes, ways, fell)
            axes.set_title(f"{title}: {sum(fell)} of {episodes} fall")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:
            figure.savefig(beside, format="png", metadata={"Software": None})
    return path


def _ways(content: bytes, noise: float, episodes: int) -> tuple[list[Array], list[bool]]:
    policy, _ = policy_from_bytes(content)
    judged = JudgedMask(policy) if isinstance(policy, MaskedPolicy) else policy
    with TaskEnvironment(DrunkSpider.name, noise=noise) as where:
        found = where.rollout(Greedy(judged), episodes=episodes, seed=0, first_episode=FirstEpisode.EVALUATION)
    places = DrunkSpider().position(found.observation)
    ways = [place[: length + 1] for place, length in zip(places, found.lengths, strict=True)]
    return ways, [bool(cost.any()) for cost in found.cost * found.valid]
