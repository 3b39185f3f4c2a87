# SPDX-License-Identifier: Apache-2.0
"""Return of every episode of a run: returns.csv, and as the unsafety monitor hears it from the filter's decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.files import CsvTable
from safe_transfer_ros.record.episode import Episode, EpisodeAssembler
from safe_transfer_ros.record.iteration import IterationRecord, IterationsError, episode_returns
from safe_transfer_ros.tasks.robot_task import RobotTask

Array = NDArray[np.float64]

RETURNS = "returns.csv"
_CAPACITY = 200_000  # decisions of an iteration, as the ledger holds


@dataclass(frozen=True, kw_only=True)
class EpisodeReturn:
    """One episode, a row of returns.csv.

    Attributes:
      iteration: Iteration of the run it belongs to.
      episode: Its number in the run.
      steps: Steps taken.
      total_return: Undiscounted sum of its rewards, tilt penalty included (PSPT Eq. 4).
      task_return: Like total_return without the tilt penalty.
    """

    iteration: int
    episode: int
    steps: int
    total_return: float
    task_return: float


_TABLE = CsvTable(EpisodeReturn, IterationsError)


def returns_of(episodes: Sequence[Episode], task: RobotTask) -> list[EpisodeReturn]:
    """The rows of an iteration's episodes, in their order."""
    rows = []
    for episode in episodes:
        total, task_only = episode_returns(episode, task)
        rows.append(
            EpisodeReturn(
                iteration=episode.iteration,
                episode=episode.index,
                steps=episode.steps,
                total_return=total,
                task_return=task_only,
            )
        )
    return rows


def append(path: Path, rows: Sequence[EpisodeReturn]) -> None:
    """Add rows to returns.csv, creating it with its header; they are on the disk when this returns.

    An iteration that was interrupted after that is done again, and has its rows twice: the later ones count.

    Raises:
      IterationsError: if the file has other columns.
      OSError: if it cannot be written.
    """
    _TABLE.append(path, rows)


def read(path: Path) -> list[EpisodeReturn]:
    """Rows of a returns.csv in file order.

    Raises:
      IterationsError: if it is missing, lacks a column, or a value is not a number.
    """
    return _TABLE.read(path, extra_columns=True)


def by_iteration(rows: Sequence[EpisodeReturn], records: Sequence[IterationRecord]) -> list[Array]:
    """Return of each episode of every iteration, in the order of the episodes; empty where one is missing.

    Args:
      rows: Of returns.csv.
      records: Of iterations.csv, which tells the number of steps of each.
    """
    newest = {(row.iteration, row.episode): row for row in rows}
    found: dict[int, list[EpisodeReturn]] = defaultdict(list)
    for key in sorted(newest):
        found[key[0]].append(newest[key])
    return [_whole(found[record.iteration], record.steps) for record in records]


class ReturnsHeard:
    """Takes the filter's decisions one by one, and gives the returns of an iteration once it is over.

    Live in the unsafety monitor, and for a bag in `recompute`: equal decisions give equal returns, to the last bit.

    Attributes:
      problem: Why the returns asked for last are not known; empty where they are.
    """

    def __init__(self, task: RobotTask, action_names: Sequence[str]) -> None:
        """Hear nothing yet.

        Args:
          task: Gives the rewards.
          action_names: See `EpisodeAssembler`.
        """
        self.problem = ""
        self._task = task
        self._assembler = EpisodeAssembler(task.robot.joint_names, action_names=action_names)
        self._rows: dict[int, list[EpisodeReturn]] = defaultdict(list)
        self._error = ""
        self._held = 0

    def add(self, decision: Any) -> None:
        """Take the next decision. One that fits no episode leaves its iteration's returns unknown."""
        if self._held >= _CAPACITY:
            self._error = f"more than {_CAPACITY} decisions"
            return
        self._held += 1
        try:
            episode = self._assembler.add(decision)
            if episode is not None:
                self._rows[episode.iteration] += returns_of([episode], self._task)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._error = str(error)

    def close(self, iteration: int, steps: int) -> Array:
        """Returns of an iteration, which is forgotten with all before it.

        Args:
          iteration: The iteration.
          steps: Steps that were learned from, over all its episodes.

        Returns:
          Shape (episodes,), in their order; empty where its episodes are not all there, see `problem`.
        """
        rows = self._rows.get(iteration, [])
        returns = _whole(rows, steps)
        heard = sum(row.steps for row in rows)
        self.problem = ""
        if not len(returns):
            what = f"whole episodes with {heard} steps were heard, {steps} were learned from"
            self.problem = f"{what} ({self._error})" if self._error else what
        elif not np.isfinite(returns).all():
            self.problem = "a reward is not finite"
        for old in [known for known in self._rows if known <= iteration]:
            del self._rows[old]
        self._held, self._error = 0, ""
        return returns


def _whole(rows: Sequence[EpisodeReturn], steps: int) -> Array:
    if sum(row.steps for row in rows) != steps:
        return np.empty(0)
    return np.array([row.total_return for row in rows], dtype=np.float64)
