# SPDX-License-Identifier: Apache-2.0
"""Probabilistically safe policy transfer: the policy update, and Algorithm 1 within one process (PSPT).

`improve` is what the trainer node calls with episodes from the safety filter's record, and what `fine_tune`
calls with simulated ones: equal episodes give equal weights.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.gaussian_network import kl_divergence
from safe_transfer_ros.algorithms.trpo import trpo_update
from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.learning.advantages import AdvantageSettings, estimate, standardised, step_batch
from safe_transfer_ros.learning.policy_file import with_stddev_scaled
from safe_transfer_ros.learning.rollouts import from_episodes, to_episodes
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.randomness import Purpose, integer_seed
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.record.iteration import IterationRecord, iteration_estimate, iteration_record
from safe_transfer_ros.record.policy_shift import policy_shift
from safe_transfer_ros.record.returns import returns_of
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.safety.limit.importance import log_likelihood_ratio, weighted_rates
from safe_transfer_ros.safety.limit.rules import Evidence, PolicyShift
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.rollouts import Rollouts, SimulatedRollouts
from safe_transfer_ros.transfer.pspt.within_budget import Environment, rollout_within

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PsptSettings:
    """Settings of PSPT's policy update.

    Attributes:
      max_kl: Trust region of an update, KL summed over joints (PSPT delta: .01 in pre-training, .05 in
        fine-tuning).
      gamma: Discount (PSPT: .95).
      lam: Lambda of the advantage estimate (PSPT: .98).
      ridge: Regularisation of the value function.
      leave_one_out: Fit each episode's values to the other episodes; wants more than a few of them.
      stddev_decay: Factor on the policy's standard deviation after every update; below 1 exploration is given
        up as the run goes on.
      held_out: Episodes of a batch, its last ones, that `fine_tune` does not learn from: what importance weights
        tell of the updated policy is honest in these alone.
      cg_iterations: See `TrustRegionSettings`.
      damping: See `TrustRegionSettings`.
      fisher_fraction: See `TrustRegionSettings`.
    """

    max_kl: float = 0.05
    gamma: float = 0.95
    lam: float = 0.98
    ridge: float = 1e-3
    leave_one_out: bool = False
    stddev_decay: float = 1.0
    held_out: int = 0
    cg_iterations: int = 10
    damping: float = 0.01
    fisher_fraction: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PolicyUpdate:
    """A policy after learning from one batch.

    Attributes:
      parameters: New ones; equal to the old ones where no step was accepted.
      kl: Measured KL(old || new), summed over joints, mean over the visited states.
      kl_bound: What it was held under.
      accepted: Whether the policy changed.
      surrogate_gain: Improvement of the surrogate, in standard deviations of the advantage.
      explained_variance: Share of the returns' variance that the value function predicted for episodes it
        was not fitted to; may be negative.
      steps: Steps learned from.
    """

    parameters: Parameters
    kl: float
    kl_bound: float
    accepted: bool
    surrogate_gain: float
    explained_variance: float
    steps: int


def improve(
    parameters: Parameters, episodes: Sequence[Episode], task: RobotTask, settings: PsptSettings, seed: int
) -> PolicyUpdate:
    """One policy update from recorded episodes (PSPT Algorithm 1, line "update policy").

    Args:
      parameters: Those that the episodes were rolled out with.
      episodes: Whole episodes, in any order.
      task: Gives the rewards.
      settings: See `PsptSettings`.
      seed: Equal arguments give equal parameters.

    Raises:
      ValueError: if there is nothing to learn from, or the record holds values that are not finite.
    """
    return improve_from_rollouts(parameters, from_episodes(episodes, task), settings, seed)


def improve_from_rollouts(
    parameters: Parameters, rollouts: Rollouts, settings: PsptSettings, seed: int
) -> PolicyUpdate:
    """One policy update from padded rollouts; see `improve`."""
    advantages = estimate(
        rollouts,
        rollouts.reward,
        AdvantageSettings(
            gamma=settings.gamma, lam=settings.lam, ridge=settings.ridge, leave_one_out=settings.leave_one_out
        ),
    )
    batch = step_batch(rollouts, standardised(advantages.values))
    update = trpo_update(
        parameters,
        batch,
        TrustRegionSettings(
            max_kl=settings.max_kl,
            cg_iterations=settings.cg_iterations,
            damping=settings.damping,
            fisher_fraction=settings.fisher_fraction,
        ),
        seed,
    )
    learned, kl = update.parameters, update.kl
    if settings.stddev_decay != 1.0:
        learned = with_stddev_scaled(learned, settings.stddev_decay)
        kl = kl_divergence(parameters, learned, batch.observations)
    return PolicyUpdate(
        parameters=learned,
        kl=kl,
        kl_bound=settings.max_kl,
        accepted=update.accepted,
        surrogate_gain=update.surrogate_after - update.surrogate_before,
        explained_variance=advantages.explained_variance,
        steps=rollouts.steps,
    )


@dataclass(frozen=True, kw_only=True)
class FineTuneStep:
    """One iteration of Algorithm 1.

    Attributes:
      record: Its row, as a run through the ROS graph writes it.
      update: The policy update that followed its rollouts.
      batch: Its rollouts.
    """

    record: IterationRecord
    update: PolicyUpdate
    batch: SimulatedRollouts


def fine_tune(
    environment: Environment,
    parameters: Parameters,
    *,
    settings: PsptSettings,
    governor: GovernorSettings,
    seed: int,
    episodes: int = 5,
    limits: TorqueLimitGovernor | None = None,
) -> Iterator[FineTuneStep]:
    """Algorithm 1 in one process, without end: roll out at T_lim, update, count, next T_lim (PSPT).

    Episodes, updates and limits are those of the ROS graph with the same seed.

    Args:
      environment: The robot, perturbed or not.
      parameters: The pre-trained policy.
      settings: Of the policy updates.
      governor: Of the torque limit.
      seed: Seed of the run.
      episodes: Per iteration (PSPT: 5).
      limits: Walks the limit; made from `governor` by default.

    Yields:
      Every iteration, after its update.

    Raises:
      ValueError: if no episode is left to learn from, or the limit's rule asks for held-out ones and there are none.
    """
    if not 0 <= settings.held_out < episodes or (governor.prediction == "weighted" and settings.held_out == 0):
        raise ValueError(
            f'expected held_out in [0, {episodes}), the episodes of a batch, and at least 1 for prediction "weighted"; '
            f"got {settings.held_out}"
        )
    started = time.monotonic()
    task = environment.task
    limits = limits or TorqueLimitGovernor(governor)
    ledger = UnsafetyLedger(task.unsafety_limit, observations=governor.needs_shift)
    period_ns = round(task.control_period_s * 1e9)
    budget = governor.budget(episodes * task.horizon)
    iteration = 0
    while True:
        batch = rollout_within(
            budget,
            environment,
            GaussianPolicy(parameters),
            torque_limit=limits.torque_limit,
            episodes=episodes,
            seed=seed,
            first_episode=iteration * episodes,
        )
        recorded = to_episodes(
            batch,
            iteration=iteration,
            policy_version=iteration,
            period_ns=period_ns,
            start_ns=iteration * episodes * (task.horizon + 1) * period_ns,
        )
        update = improve(
            parameters,
            recorded[: episodes - settings.held_out],
            task,
            settings,
            integer_seed(Purpose.POLICY_UPDATE, seed, iteration),
        )
        for episode, unsafety in zip(recorded, batch.unsafety, strict=True):
            _account(ledger, episode, unsafety)
        totals = ledger.close(iteration, limits.torque_limit)
        updated, evidence = GaussianPolicy(update.parameters), None
        if governor.needs_evidence:
            returns = np.array([row.total_return for row in returns_of(recorded, task)])
            evidence = Evidence(unsafe=totals.shown(governor.standstill), returns=returns)
        if evidence is not None and governor.prediction == "weighted":
            weighted = _weighted_rates(batch, evidence, updated, limits.torque_limit, settings.held_out)
            evidence = dataclasses.replace(evidence, weighted_rates=weighted)
        step = limits.take(
            totals,
            kl=update.kl,
            kl_bound=update.kl_bound,
            evidence=evidence,
            shift=policy_shift(totals, updated) if governor.needs_shift else None,
        )
        steps = sum(episode.steps for episode in recorded)
        estimate = iteration_estimate(step, totals, policy_version=iteration, steps=steps, kl=update.kl)
        record = iteration_record(
            recorded,
            estimate,
            task,
            interventions=int(np.count_nonzero(batch.reasons)),
            wall_time_s=time.monotonic() - started,
        )
        yield FineTuneStep(record=record, update=update, batch=batch)
        parameters = update.parameters
        iteration += 1


def _weighted_rates(
    batch: SimulatedRollouts, evidence: Evidence, updated: GaussianPolicy, torque_limit: float, held_out: int
) -> Array:
    """Rates of the updated policy in the held-out episodes, as far as they were under the iteration's limit, N·m."""
    steps = [int(np.count_nonzero(limits >= torque_limit)) for limits in batch.torque_limit]
    known = [row for row, count in enumerate(steps) if count]  # in the order of `evidence.unsafe`
    judged = [(flags, row) for flags, row in zip(evidence.unsafe, known, strict=True) if row >= len(steps) - held_out]
    ratios = []
    for _, row in judged:
        own = slice(steps[row])  # a limit that was given up is not taken up again
        mean = batch.mean[row, own]
        shift = PolicyShift(
            mean=mean,
            stddev=batch.stddev[row, own],
            mean_after=updated.mean(batch.observation[row, own]),
            stddev_after=np.broadcast_to(updated.stddev, mean.shape),
        )
        ratios.append(log_likelihood_ratio(batch.proposed[row, own], torque_limit, shift))
    return weighted_rates([flags for flags, _ in judged], ratios)


def _account(ledger: UnsafetyLedger, episode: Episode, unsafety: Array) -> None:
    """Add an episode's states and decisions to the ledger, as the unsafety monitor receives them."""
    for stamp, value, position in zip(episode.stamp_ns.tolist(), unsafety.tolist(), episode.position, strict=True):
        ledger.add_state(stamp, value)
        ledger.add_position(stamp, position)
    for step in range(episode.steps + 1):
        last = step == episode.steps
        row = 0 if last else step
        ledger.add_step(
            episode.iteration,
            episode.index,
            int(episode.stamp_ns[step]),
            last,
            episode.mean[row],
            episode.stddev[row],
            float(episode.torque_limit[row]),
            observation=episode.observation[row],
        )
