# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of the comparison on the drunk spider: curves, counts of falls, and the ways of spiders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from safe_transfer_ros.files import replaced
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.off_policy import Greedy
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.masked import MaskedPolicy
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.reporting import sqrl
from safe_transfer_ros.reporting.plots import STYLE
from safe_transfer_ros.reporting.spider_map import draw_map, draw_ways
from safe_transfer_ros.studies.learner_run import LearnerCurves
from safe_transfer_ros.tasks.drunk_spider.task import DrunkSpider
from safe_transfer_ros.transfer.sqrl.agent import JudgedMask

Array = NDArray[np.float64]


def write(name: str, curves: Mapping[str, Sequence[LearnerCurves]], folder: Path) -> str:
    """Write the comparison on the spider; see `sqrl.write`."""
    return sqrl.write(name, "drunk spider", curves, folder)


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
