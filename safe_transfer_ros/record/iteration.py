# SPDX-License-Identifier: Apache-2.0
"""One row per iteration of a run: its definition, its computation, and its CSV.

The live trainer, the in-process loop and the recomputation from a bag all call `iteration_record`, so their
numbers can differ only where their data do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safe_transfer_ros.files import CsvTable
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.safety.limit.limit_step import IterationRisk, LimitStep
from safe_transfer_ros.safety.limit.unsafety import LedgerTotals
from safe_transfer_ros.tasks.robot_task import RobotTask


class IterationsError(ValueError):
    """An iterations.csv cannot be used. The message names the file, the line and the fix."""


@dataclass(frozen=True, kw_only=True)
class IterationMeasures:
    """Measures of an iteration beyond those that its limit follows from.

    Attributes:
      policy_version: Version of the weights rolled out.
      steps: Steps taken.
      kl: Divergence of the update that followed, summed over action dimensions.
      unsafety_mean: Mean of the unsafety function over joint states, in its unit (deg for a tilt).
      unsafety_max: Its largest value.
    """

    policy_version: int
    steps: int
    kl: float
    unsafety_mean: float
    unsafety_max: float


@dataclass(frozen=True, kw_only=True)
class IterationEstimate(LimitStep, IterationMeasures):
    """The unsafety monitor's estimate of an iteration: the fields of an UnsafetyEstimate message.

    Attributes:
      missing: Joint states of decisions that were never received; the decision period of each counts as unsafe.
    """

    missing: int


@dataclass(frozen=True, kw_only=True)
class IterationRecord(IterationRisk, IterationMeasures):
    """One iteration of Algorithm 1 (PSPT), a row of iterations.csv.

    Attributes:
      mean_return: Mean over episodes of the undiscounted sum of rewards, tilt penalty included (PSPT Eq. 4).
      mean_task_return: Like mean_return without the tilt penalty.
      interventions: Decisions of the filter with any reason set, refused ones included.
      wall_time_s: Time since the run's first weights, s.
    """

    mean_return: float
    mean_task_return: float
    interventions: int
    wall_time_s: float

    def as_dict(self) -> dict[str, int | float]:
        """Column name to value, in column order."""
        return {name: getattr(self, name) for name in COLUMNS}

    def summary(self, d_safe: float) -> str:
        """Summary of an iteration in one line; OVER where the expected damage is above `d_safe`, N·m."""
        over = "  OVER" if self.expected_damage > d_safe else ""
        return (
            f"return {self.mean_return:7.2f}  p_u {self.unsafety_rate:.3f}  T_lim {self.torque_limit:.3f} N·m  "
            f"damage {self.expected_damage:.3f}/{d_safe:g}{over}  interventions {self.interventions}"
        )


# Runs are resumed, so the columns keep their places; what is added to the record comes behind them.
_ORDER = (
    "iteration", "mean_return", "unsafety_rate", "limit_change_risk", "policy_change_risk", "predicted_unsafety_rate",
    "torque_limit", "expected_damage", "interventions", "policy_version", "wall_time_s", "mean_task_return", "kl",
    "unsafety_mean", "unsafety_max", "steps",
)  # fmt: skip
_TABLE = CsvTable(IterationRecord, IterationsError, first=_ORDER)
COLUMNS = _TABLE.columns
ROWS = "iterations.csv"


def iteration_estimate(
    step: LimitStep, totals: LedgerTotals, *, policy_version: int, steps: int, kl: float
) -> IterationEstimate:
    """Join the governor's and the ledger's results of an iteration.

    Args:
      step: The governor's step for it.
      totals: The ledger's totals of it.
      policy_version: Version of the weights rolled out.
      steps: Steps taken.
      kl: Measured divergence of the update that followed.

    Returns:
      What the monitor publishes as UnsafetyEstimate.
    """
    return IterationEstimate(
        **dataclasses.asdict(step),
        policy_version=policy_version,
        steps=steps,
        missing=totals.missing,
        kl=kl,
        unsafety_mean=totals.unsafety_mean,
        unsafety_max=totals.unsafety_max,
    )


def iteration_record(
    episodes: Sequence[Episode],
    estimate: IterationEstimate,
    task: RobotTask,
    *,
    interventions: int,
    wall_time_s: float,
) -> IterationRecord:
    """The row of one iteration.

    Args:
      episodes: Its episodes, in the robot's joint order.
      estimate: The monitor's estimate of it; an UnsafetyEstimate message will do.
      task: Gives the rewards.
      interventions: From `count_interventions` over all its decisions.
      wall_time_s: Time since the run's first weights, s.

    Returns:
      The row.

    Raises:
      ValueError: if there is no episode, or one is of another iteration.
    """
    iteration = int(estimate.iteration)
    strangers = sorted({episode.iteration for episode in episodes} - {iteration})
    if not episodes or strangers:
        raise ValueError(
            f"iteration {iteration} needs its own episodes, got {len(episodes)}"
            + (f", some of iteration {strangers[0]}" if strangers else "")
        )
    returns = [episode_returns(episode, task) for episode in episodes]
    estimated = {
        field.name: _TABLE.kinds[field.name](getattr(estimate, field.name))
        for part in (IterationRisk, IterationMeasures)
        for field in dataclasses.fields(part)
    }
    return IterationRecord(
        **estimated,  # each by its own kind
        mean_return=float(np.mean([total for total, _ in returns])),
        mean_task_return=float(np.mean([task_only for _, task_only in returns])),
        interventions=int(interventions),
        wall_time_s=float(wall_time_s),
    )


def episode_returns(episode: Episode, task: RobotTask) -> tuple[float, float]:
    """Undiscounted sums of an episode's rewards: with the tilt penalty, and without it.

    The reward of step t is that of the state it led to and the torque chosen, a critic's where it let another pass.
    """
    outcome = task.outcome_of(episode)
    return float(np.sum(outcome.reward)), float(np.sum(outcome.task_reward))


def append(path: Path | str, record: IterationRecord) -> None:
    """Adds a row to iterations.csv, creating it with its header.

    The row reaches the disk before this returns, and in one piece: a half row that a crash left behind is
    removed first.

    Args:
      path: The CSV file.
      record: The row; its iteration must be beyond the last one in the file.

    Raises:
      IterationsError: if the file has other columns, or already has this iteration.
      OSError: if it cannot be written.
    """
    path = Path(path)

    def follows(rows: Sequence[IterationRecord]) -> None:
        if rows and rows[-1].iteration >= record.iteration:
            raise IterationsError(
                f"{path} already has iteration {rows[-1].iteration}, row {record.iteration} does not "
                "follow it: resume behind it, or choose another run_dir"
            )

    _TABLE.append(path, [record], check=follows)


def read(path: Path | str) -> list[IterationRecord]:
    """Rows of an iterations.csv; a half row at the end is left out, unknown columns are ignored.

    Args:
      path: The CSV file.

    Returns:
      The rows, in file order.

    Raises:
      IterationsError: if it is missing, lacks a column, or a value is not a number; names the line.
    """
    return _TABLE.read(Path(path), extra_columns=True)
