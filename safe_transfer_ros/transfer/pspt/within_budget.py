# SPDX-License-Identifier: Apache-2.0
"""Rollouts of an iteration whose limit is given up when its damage budget is spent, as the safety filter does it."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.safety.limit.damage_budget import DamageBudget
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.rollouts import SimulatedRollouts
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import Policy


class Environment(Protocol):
    """Environment that rolls out batches of episodes: `VectorTorqueEnv`, or `WorkerRollouts` with the same numbers."""

    @property
    def task(self) -> TorqueTask:
        """The task."""
        ...

    def rollout(
        self, policy: Policy, *, torque_limits: ArrayLike, seed: int, first_episode: int = 0
    ) -> SimulatedRollouts:
        """See `VectorTorqueEnv.rollout`."""
        ...


def rollout_within(
    budget: DamageBudget | None,
    environment: Environment,
    policy: Policy,
    *,
    torque_limit: float,
    episodes: int,
    seed: int,
    first_episode: int,
) -> SimulatedRollouts:
    """Roll out an iteration's episodes, one after the other as far as the budget goes.

    They are simulated side by side; where the budget is spent at a decision, what comes behind it is simulated again
    under the low limit.

    Args:
      budget: Of a whole iteration; None: none.
      environment: Of the robot.
      policy: Gives the distribution of the torque proposed.
      torque_limit: The iteration's limit, N·m.
      episodes: How many.
      seed: Seed of the run.
      first_episode: Number of the first one.
    """
    batch = environment.rollout(
        policy, torque_limits=np.full(episodes, torque_limit), seed=seed, first_episode=first_episode
    )
    task = environment.task
    if budget is None:
        return batch
    decision = _first_not_allowed(budget, batch.unsafety, task.unsafety_limit, torque_limit)
    if decision is None:
        return batch
    episode, step = decision
    limits = np.full((episodes - episode, task.horizon), min(torque_limit, budget.fallback))
    limits[0, :step] = torque_limit
    again = environment.rollout(policy, torque_limits=limits, seed=seed, first_episode=first_episode + episode)
    reasons = again.reasons.copy()
    reasons[limits < torque_limit] |= np.uint32(Reason.DAMAGE_BUDGET_SPENT)
    return _behind(batch, episode, dataclasses.replace(again, reasons=reasons))


def _first_not_allowed(
    budget: DamageBudget, unsafety: NDArray[np.float64], limit: float, torque_limit: float
) -> tuple[int, int] | None:
    """Episode and step of the first decision that must not be under the limit; `unsafety` has shape (E, T + 1)."""
    budget.renew()
    stamp = 0
    for episode, unsafe in enumerate((~(unsafety <= limit)).tolist()):
        for step, leads_to_unsafe in enumerate(unsafe[1:]):
            if not budget.affords(torque_limit):
                return episode, step
            budget.decide(stamp, torque_limit)
            stamp += 1
            budget.see(stamp, leads_to_unsafe)
        budget.end(stamp)
        stamp += 1
    return None


def _behind(batch: SimulatedRollouts, episode: int, again: SimulatedRollouts) -> SimulatedRollouts:
    """The first episodes of a batch, with another batch behind them."""
    joined = {
        field.name: np.concatenate([getattr(batch, field.name)[:episode], getattr(again, field.name)])
        for field in dataclasses.fields(SimulatedRollouts)
        if field.name != "first_episode"
    }
    return SimulatedRollouts(first_episode=batch.first_episode, **joined)
