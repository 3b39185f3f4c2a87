# SPDX-License-Identifier: Apache-2.0
"""One row per iteration of a run: what it is, how it is worked out, and the CSV it stands in.

The live trainer, the in-process loop and the recomputation from a bag all call `iteration_record`, so their
numbers can differ only where their data do.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safe_transfer_ros.safety.torque_limit import LimitStep
from safe_transfer_ros.safety.unsafety import LedgerTotals
from safe_transfer_ros.tasks.task import RobotTask
from safe_transfer_ros.transfer.episode import Episode


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

    def summary(self, d_safe: float) -> str:
        """What a person watches a run for, in one line; OVER where the expected damage is above `d_safe`, N·m."""
        over = "  OVER" if self.expected_damage > d_safe else ""
        return (
            f"return {self.mean_return:7.2f}  p_u {self.unsafety_rate:.3f}  T_lim {self.torque_limit:.3f} N·m  "
            f"damage {self.expected_damage:.3f}/{d_safe:g}{over}  interventions {self.interventions}"
        )


COLUMNS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(IterationRecord))
_WHOLE = frozenset(field.name for field in dataclasses.fields(IterationRecord) if field.type == "int")


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
    line = ",".join(_text(name, value) for name, value in record.as_dict().items()) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end == 0:
            line = ",".join(COLUMNS) + "\n" + line
        else:
            rows = _parse(content[:end].decode("utf-8", "replace"), path, exact=True)
            if rows and rows[-1].iteration >= record.iteration:
                raise IterationsError(
                    f"{path} already has iteration {rows[-1].iteration}, row {record.iteration} does not "
                    "follow it: resume behind it, or choose another run_dir"
                )
        file.seek(end)
        file.truncate(end)
        try:
            _write_all(file.fileno(), line.encode())
        except OSError:
            file.truncate(end)
            raise
        os.fsync(file.fileno())


def read(path: Path | str) -> list[IterationRecord]:
    """Rows of an iterations.csv; a half row at the end is left out, unknown columns are ignored.

    Args:
      path: The CSV file.

    Returns:
      The rows, in file order.

    Raises:
      IterationsError: if it is missing, lacks a column, or a value is not a number; names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise IterationsError(f"cannot read {path}: {error.strerror or error}") from error
    return _parse(text[: text.rfind("\n") + 1], path, exact=False)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _text(name: str, value: int | float) -> str:
    # repr is the shortest text that reads back as the same number.
    return repr(int(value)) if name in _WHOLE else repr(float(value))


def _parse(text: str, path: Path, *, exact: bool) -> list[IterationRecord]:
    lines = text.splitlines()
    if not lines:
        return []
    header = lines[0].split(",")
    missing = [name for name in COLUMNS if name not in header]
    if missing or (exact and tuple(header) != COLUMNS):
        what = f"lacks the columns {', '.join(missing)}" if missing else f"has the columns {', '.join(header)}"
        raise IterationsError(f"{path} {what}: expected a file that starts with {','.join(COLUMNS)}")
    where = [header.index(name) for name in COLUMNS]
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        values = line.split(",")
        try:
            if len(values) != len(header):
                raise ValueError(f"{len(values)} values for {len(header)} columns")
            rows.append(
                IterationRecord(
                    **{  # type: ignore[arg-type]
                        name: int(values[at]) if name in _WHOLE else float(values[at])
                        for name, at in zip(COLUMNS, where, strict=True)
                    }
                )
            )
        except ValueError as error:
            raise IterationsError(f"{path}, line {number}: {error}") from None
    return rows
