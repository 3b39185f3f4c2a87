# SPDX-License-Identifier: Apache-2.0
"""One row per iteration of a run: what it is, how it is worked out, and the CSV it stands in.

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
from safe_transfer_ros.safety.limit.torque_limit import LimitStep
from safe_transfer_ros.safety.limit.unsafety import LedgerTotals
from safe_transfer_ros.tasks.robot_task import RobotTask


class IterationsError(ValueError):
    """An iterations.csv cannot be used. The message names the file, the line and the mend."""


@dataclass(frozen=True, kw_only=True)
class IterationRecord:
    """One iteration of Algorithm 1 (PSPT). Fields are the columns of iterations.csv, in this order.

    Attributes:
      iteration: Its number, from 0.
      mean_return: Mean over episodes of the undiscounted sum of rewards, tilt penalty included (PSPT Eq. 4).
      unsafety_rate: p_u, share of joint states beyond the unsafety limit.
      limit_change_risk: dp_u1, PSPT Eq. 22-23.
      policy_change_risk: dp_u2, PSPT Eq. 28-31.
      predicted_unsafety_rate: p'_u for the next iteration, PSPT Eq. 32.
      torque_limit: Limit in force, N·m.
      expected_damage: unsafety_rate * torque_limit, bounded by D_safe, N·m.
      interventions: Decisions of the filter with any reason set, refused ones included.
      policy_version: Version of the weights rolled out.
      wall_time_s: Time since the run's first weights, s.
      mean_task_return: Like mean_return without the tilt penalty.
      kl: Divergence of the update that followed, summed over action dimensions.
      unsafety_mean: Mean of the unsafety function over joint states, in its unit (deg for a tilt).
      unsafety_max: Its largest value.
      steps: Steps taken.
    """

    iteration: int
    mean_return: float
    unsafety_rate: float
    limit_change_risk: float
    policy_change_risk: float
    predicted_unsafety_rate: float
    torque_limit: float
    expected_damage: float
    interventions: int
    policy_version: int
    wall_time_s: float
    mean_task_return: float
    kl: float
    unsafety_mean: float
    unsafety_max: float
    steps: int

    def as_dict(self) -> dict[str, int | float]:
        """Column name to value, in column order."""
        return dataclasses.asdict(self)


_TABLE = CsvTable(IterationRecord, IterationsError)
COLUMNS = _TABLE.columns


@dataclass(frozen=True, kw_only=True)
class IterationEstimate:
    """What the unsafety monitor says about an iteration: the fields of an UnsafetyEstimate message."""

    iteration: int
    policy_version: int
    steps: int
    missing: int
    unsafety_rate: float
    limit_change_risk: float
    policy_change_risk: float
    predicted_unsafety_rate: float
    torque_limit: float
    next_torque_limit: float
    expected_damage: float
    kl: float
    unsafety_mean: float
    unsafety_max: float


def iteration_estimate(
    step: LimitStep, totals: LedgerTotals, *, policy_version: int, steps: int, kl: float
) -> IterationEstimate:
    """Joins what the governor and the ledger say about an iteration.

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
        iteration=step.iteration,
        policy_version=policy_version,
        steps=steps,
        missing=totals.missing,
        unsafety_rate=step.unsafety_rate,
        limit_change_risk=step.limit_change_risk,
        policy_change_risk=step.policy_change_risk,
        predicted_unsafety_rate=step.predicted_unsafety_rate,
        torque_limit=step.torque_limit,
        next_torque_limit=step.next_torque_limit,
        expected_damage=step.expected_damage,
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
    return IterationRecord(
        iteration=iteration,
        mean_return=float(np.mean([total for total, _ in returns])),
        unsafety_rate=float(estimate.unsafety_rate),
        limit_change_risk=float(estimate.limit_change_risk),
        policy_change_risk=float(estimate.policy_change_risk),
        predicted_unsafety_rate=float(estimate.predicted_unsafety_rate),
        torque_limit=float(estimate.torque_limit),
        expected_damage=float(estimate.expected_damage),
        interventions=int(interventions),
        policy_version=int(estimate.policy_version),
        wall_time_s=float(wall_time_s),
        mean_task_return=float(np.mean([task_only for _, task_only in returns])),
        kl=float(estimate.kl),
        unsafety_mean=float(estimate.unsafety_mean),
        unsafety_max=float(estimate.unsafety_max),
        steps=int(estimate.steps),
    )


def episode_returns(episode: Episode, task: RobotTask) -> tuple[float, float]:
    """Undiscounted sums of an episode's rewards: with the tilt penalty, and without it.

    The reward of step t is that of the state it led to and the torque it proposed.
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
