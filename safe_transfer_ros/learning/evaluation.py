# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a policy, with its gate if it has one, in episodes that are not used for learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safe_transfer_ros.learning.environment import ConstrainedEnvironment
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.tasks.vector import BatchGate, Policy


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of a policy in a number of episodes.

    Attributes:
      episodes: How many.
      mean_return: Mean undiscounted sum of an episode's rewards.
      return_error: Standard error of that mean; NaN of a single episode.
      mean_cost: Mean number of an episode's steps that led to an unsafe state.
      failures_per_episode: Share of episodes with such a step.
      success_rate: Share of episodes that reached their goal; NaN where the task has none.
    """

    episodes: int
    mean_return: float
    return_error: float
    mean_cost: float
    failures_per_episode: float
    success_rate: float

    @classmethod
    def of(cls, rollouts: Rollouts) -> Evaluation:
        """Evaluate these rollouts."""
        episodes, returns = len(rollouts.lengths), rollouts.returns
        return cls(
            episodes=episodes,
            mean_return=float(returns.mean()),
            return_error=float(returns.std(ddof=1) / np.sqrt(episodes)) if episodes > 1 else float("nan"),
            mean_cost=float((rollouts.cost * rollouts.valid).sum(axis=1).mean()),
            failures_per_episode=rollouts.failures / episodes,
            success_rate=float(rollouts.succeeded.mean()),
        )


def evaluate(
    policy: Policy,
    environment: ConstrainedEnvironment,
    *,
    episodes: int,
    seed: int,
    gate: BatchGate | None = None,
) -> Evaluation:
    """Evaluate a policy, in the same episodes whoever asks: those from `FirstEpisode.EVALUATION` on.

    Args:
      policy: Acts as it explores, with its own noise.
      environment: The task.
      episodes: How many.
      seed: With an episode's number it fixes start and noise.
      gate: Chooses another action where it rejects one.

    Raises:
      ValueError: if there is no episode.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    rollouts = environment.rollout(
        policy, episodes=episodes, seed=seed, first_episode=FirstEpisode.EVALUATION, gate=gate
    )
    return Evaluation.of(rollouts)
