# SPDX-License-Identifier: Apache-2.0
"""Advantages of rollouts, for their rewards or costs (linear baseline, then GAE), and the batch for a policy's step."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.gae import generalized_advantages
from safe_transfer_ros.algorithms.linear_baseline import fitted_values
from safe_transfer_ros.algorithms.trpo import TrpoBatch
from safe_transfer_ros.tasks.rollouts import Rollouts

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AdvantageSettings:
    """Settings of advantage estimation.

    Attributes:
      gamma: Discount.
      lam: Lambda of GAE.
      ridge: Regularisation of the value function.
      leave_one_out: Fit each episode's values to the other episodes; wants more than a few of them.
    """

    gamma: float
    lam: float
    ridge: float = 1e-3
    leave_one_out: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Advantages:
    """Advantages of the steps taken, without padding; shape (steps,) each.

    Attributes:
      values: GAE.
      returns: What they and the value function add up to.
    """

    values: Array
    returns: Array

    @property
    def explained_variance(self) -> float:
        """Share of the returns' variance that the value function predicted; may be negative."""
        return 1.0 - float(np.var(self.values)) / max(float(np.var(self.returns)), 1e-12)


def estimate(rollouts: Rollouts, signal: Array, settings: AdvantageSettings) -> Advantages:
    """Estimate the advantages of a signal, the rewards or the costs, shape (E, T)."""
    valid = rollouts.valid
    values = fitted_values(
        rollouts.observation,
        signal,
        rollouts.terminated,
        settings.gamma,
        ridge=settings.ridge,
        lengths=rollouts.lengths,
        leave_one_out=settings.leave_one_out,
    )
    advantages = generalized_advantages(
        signal, values, rollouts.terminated, settings.gamma, settings.lam, rollouts.lengths
    )[valid]
    return Advantages(values=advantages, returns=advantages + values[:, :-1][valid])


def cost_advantages_of_episodes(rollouts: Rollouts, lam: float) -> Array:
    """Advantages of the undiscounted sum of an episode's costs, what a limit per episode bounds.

    J_C(pi') - J_C(pi) = E_pi'[sum_t A_C(s_t, a_t)] holds for this A_C, and for no discounted one. The time limit ends
    an episode's costs as a termination does.

    Args:
      rollouts: Of whole episodes.
      lam: Lambda of GAE, in [0, 1].

    Returns:
      One number per valid step, in their order; their mean is 0.
    """
    last = np.arange(rollouts.cost.shape[1]) == rollouts.lengths[:, None] - 1
    whole = dataclasses.replace(rollouts, terminated=last)
    found = estimate(whole, rollouts.cost, AdvantageSettings(gamma=1.0, lam=lam)).values
    return np.asarray(found - found.mean())


def standardised(advantages: Array) -> Array:
    """Mean 0, standard deviation 1: a step of the trust region does not depend on the reward's unit."""
    return np.asarray((advantages - advantages.mean()) / max(float(advantages.std()), 1e-8))


def step_batch(rollouts: Rollouts, advantages: Array) -> TrpoBatch:
    """Batch for a step of the policy: the steps taken, with an advantage each, shape (steps,)."""
    valid = rollouts.valid
    return TrpoBatch(
        observations=rollouts.observation[:, :-1][valid].astype(np.float32),
        actions=rollouts.chosen[valid].astype(np.float32),
        advantages=advantages.astype(np.float32),
    )
