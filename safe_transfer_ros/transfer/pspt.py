# SPDX-License-Identifier: Apache-2.0
"""Probabilistically safe policy transfer: the policy update, and Algorithm 1 within one process (PSPT).

`improve` is what the trainer node calls with episodes from the safety filter's record, and what `fine_tune`
calls with simulated ones: equal episodes give equal weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from safe_transfer_ros.algorithms.gae import generalized_advantages
from safe_transfer_ros.algorithms.linear_baseline import fitted_values
from safe_transfer_ros.algorithms.trpo import TrpoBatch, TrpoSettings, trpo_update
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.tasks.task import Task
from safe_transfer_ros.transfer.episode import Episode
from safe_transfer_ros.transfer.rollouts import Rollouts, from_episodes

# Streams 0 and 1 are initial states and action noise (tasks/streams.py).
_UPDATES = 2


@dataclass(frozen=True, kw_only=True)
class PsptSettings:
    """How a policy learns from rollouts.

    Attributes:
      max_kl: Trust region of an update, KL summed over joints (PSPT delta: .01 in pre-training, .05 in
        fine-tuning).
      gamma: Discount (PSPT: .95).
      lam: Lambda of the advantage estimate (PSPT: .98).
      ridge: Regularisation of the value function.
      leave_one_out: Fit each episode's values to the other episodes.
      cg_iterations: See `TrpoSettings`.
      damping: See `TrpoSettings`.
      fisher_fraction: See `TrpoSettings`.
    """

    max_kl: float = 0.05
    gamma: float = 0.95
    lam: float = 0.98
    ridge: float = 1e-3
    leave_one_out: bool = True
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


def update_seed(seed: int, iteration: int) -> int:
    """Seed of the update after an iteration (or pre-training batch), of a run with this seed."""
    return int(np.random.SeedSequence([seed, _UPDATES, iteration]).generate_state(1)[0])


def improve(
    parameters: Parameters, episodes: Sequence[Episode], task: Task, settings: PsptSettings, seed: int
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
    valid = rollouts.valid
    values = fitted_values(
        rollouts.observations,
        rollouts.rewards,
        rollouts.terminated,
        settings.gamma,
        ridge=settings.ridge,
        lengths=rollouts.lengths,
        leave_one_out=settings.leave_one_out,
    )
    advantages = generalized_advantages(
        rollouts.rewards, values, rollouts.terminated, settings.gamma, settings.lam, rollouts.lengths
    )[valid]
    returns = advantages + values[:, :-1][valid]
    spread = float(advantages.std())
    batch = TrpoBatch(
        observations=rollouts.observations[:, :-1][valid],
        actions=rollouts.actions[valid],
        advantages=(advantages - advantages.mean()) / max(spread, 1e-8),
    )
    update = trpo_update(
        parameters,
        batch,
        TrpoSettings(
            max_kl=settings.max_kl,
            cg_iterations=settings.cg_iterations,
            damping=settings.damping,
            fisher_fraction=settings.fisher_fraction,
        ),
        seed,
    )
    return PolicyUpdate(
        parameters=update.parameters,
        kl=update.kl,
        kl_bound=settings.max_kl,
        accepted=update.accepted,
        surrogate_gain=update.surrogate_after - update.surrogate_before,
        explained_variance=1.0 - float(np.var(advantages) / max(np.var(returns), 1e-12)),
        steps=rollouts.steps,
    )
