# SPDX-License-Identifier: Apache-2.0
"""Pre-training in simulation: TRPO on the unperturbed robot, the torque limit drawn anew for each episode
(PSPT).

There is no state but the parameters and the number of batches done: every random number comes from a stream
named by the seed and the batch or episode it serves. A run that is resumed therefore goes on exactly as it
would have.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from safe_transfer_ros.configuration import ConfigurationError, setting
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.weights import Architecture, Parameters
from safe_transfer_ros.randomness import Purpose, generator, integer_seed
from safe_transfer_ros.safety.limit.unsafety import unsafety_rate
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv
from safe_transfer_ros.transfer.pspt.fine_tuning import PolicyUpdate, PsptSettings, improve_from_rollouts


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """Settings that determine the numbers of a pre-training run, except its length: batches can be added later."""

    seed: int = setting(0, "seed of all random numbers", minimum=0)
    episodes: int = setting(50, "episodes per batch", minimum=2)
    max_kl: float = setting(0.01, "trust region of an update: KL summed over joints", minimum=1e-6)
    gamma: float = setting(0.95, "discount factor", minimum=0.0, maximum=0.9999)
    lam: float = setting(0.98, "lambda of the advantage estimate", minimum=0.0, maximum=1.0)
    hidden_layers: int = setting(3, "hidden layers of the policy", minimum=1, maximum=8)
    hidden_units: int = setting(64, "units of each", minimum=1, maximum=1024)
    log_std: float = setting(-1.0, "initial log standard deviation, of N·m", minimum=-10.0, maximum=3.0)
    fisher_fraction: float = setting(0.2, "share of states the Fisher matrix is estimated from", minimum=0.01)

    def __post_init__(self) -> None:
        if self.fisher_fraction > 1.0:
            raise ConfigurationError(f"fisher_fraction must be at most 1, got {self.fisher_fraction}")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a run: after `batches` batches, with these parameters."""

    batches: int
    parameters: Parameters


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """One batch; the fields are the columns of learning_curve.csv.

    Attributes:
      batch: Its number, from 0.
      steps: Environment steps up to its end, since the start of the run.
      mean_return: Mean over episodes of the undiscounted sum of rewards, before the update.
      mean_task_return: Without the penalty for tilting.
      unsafety_rate: Share of states beyond the task's limit.
      unsafety_mean: Mean of the unsafety function (cup swirl: degrees of tilt).
      kl: Of the update, summed over joints; 0 if it was refused.
      explained_variance: Share of the returns' variance that the value function foresaw.
      stddev: Mean standard deviation of the policy, N·m.
      rollout_s: Time the rollouts took, s.
      update_s: Time the update took, s.
    """

    batch: int
    steps: int
    mean_return: float
    mean_task_return: float
    unsafety_rate: float
    unsafety_mean: float
    kl: float
    explained_variance: float
    stddev: float
    rollout_s: float
    update_s: float


TIME_COLUMNS = ("rollout_s", "update_s")
"""Columns that differ from one run to the next; all others are the same numbers for the same settings."""

COLUMNS = tuple(field.name for field in dataclasses.fields(BatchRecord))


def start(task: TorqueTask, settings: PretrainSettings) -> Progress:
    """Start a run before its first batch."""
    return Progress(
        batches=0,
        parameters=initial_parameters(architecture(task, settings), settings.seed, log_std=settings.log_std),
    )


def architecture(task: TorqueTask, settings: PretrainSettings) -> Architecture:
    """Sizes of the policy for a task."""
    return Architecture(
        observation_size=task.observation_size,
        hidden=(settings.hidden_units,) * settings.hidden_layers,
        action_size=task.action_size,
    )


def pretrain(
    task: TorqueTask, settings: PretrainSettings, progress: Progress, *, threads: int | None = None
) -> Iterator[tuple[Progress, BatchRecord]]:
    """Train without end; the caller stops when it has enough.

    Args:
      task: The task, on its unperturbed robot.
      settings: See `PretrainSettings`.
      progress: Where to go on: `start`, or what an earlier run got to.
      threads: Physics threads, None for all cores; changes nothing but the speed.

    Yields:
      After each batch: where the run stands, and the batch's record.
    """
    learning = PsptSettings(
        max_kl=settings.max_kl,
        gamma=settings.gamma,
        lam=settings.lam,
        leave_one_out=True,
        fisher_fraction=settings.fisher_fraction,
    )
    parameters = progress.parameters
    with VectorTorqueEnv(task, threads=threads) as environment:
        batch = progress.batches
        while True:
            started = time.perf_counter()
            limits = task.draw_torque_limit(generator(Purpose.TORQUE_LIMITS, settings.seed, batch), settings.episodes)
            rolled = environment.rollout(
                GaussianPolicy(parameters),
                torque_limits=limits,
                seed=settings.seed,
                first_episode=batch * settings.episodes,
            )
            between = time.perf_counter()
            update = improve_from_rollouts(
                parameters,
                rolled,
                learning,
                integer_seed(Purpose.POLICY_UPDATE, settings.seed, batch),
            )
            parameters = update.parameters
            record = _record(batch, rolled, update, task, between - started, time.perf_counter() - between)
            batch += 1
            yield Progress(batches=batch, parameters=parameters), record


def _record(
    batch: int, rolled: SimulatedRollouts, update: PolicyUpdate, task: TorqueTask, rollout_s: float, update_s: float
) -> BatchRecord:
    return BatchRecord(
        batch=batch,
        steps=(batch + 1) * update.steps,
        mean_return=float(rolled.reward.sum(axis=1).mean()),
        mean_task_return=float(rolled.task_reward.sum(axis=1).mean()),
        unsafety_rate=unsafety_rate(rolled.unsafety[:, 1:], task.unsafety_limit),
        unsafety_mean=float(rolled.unsafety[:, 1:].mean()),
        kl=update.kl,
        explained_variance=update.explained_variance,
        stddev=float(np.exp(update.parameters["log_std"].astype(np.float64)).mean()),
        rollout_s=rollout_s,
        update_s=update_s,
    )
