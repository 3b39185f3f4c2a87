# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a given baseline as it is, in the episodes that its corrections are judged by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import evaluate
from safe_transfer_ros.studies.learner_run import LearnerRun
from safe_transfer_ros.transfer.dual_agent.baseline import GivenBaseline, given_baseline

Array = NDArray[np.float64]


class _AsPolicy:
    """A baseline as rollouts want a policy: a distribution without a spread."""

    def __init__(self, baseline: GivenBaseline) -> None:
        self._baseline = baseline

    def distribution(self, observation: Array) -> tuple[Array, Array]:
        action = self._baseline.act(observation)
        return action, np.zeros_like(action)


def evaluations(runs: Sequence[LearnerRun]) -> dict[int, dict[str, float]]:
    """Evaluate the baseline that runs correct, once for each of their seeds.

    Args:
      runs: Of one task and one baseline.

    Returns:
      Fields of `Evaluation` by seed.

    Raises:
      ValueError: if there is no such baseline, or it does not fit the task.
    """
    with TaskEnvironment(runs[0].task) as where:
        given = given_baseline(runs[0].baseline, observation_size=where.observation_size, bound=where.action_bound)
        policy = _AsPolicy(given)
        lengths = {run.seed: run.evaluation_episodes for run in runs}
        return {
            seed: dataclasses.asdict(evaluate(policy, where, episodes=episodes, seed=seed))
            for seed, episodes in lengths.items()
        }


def heading(judged: Mapping[int, Mapping[str, float]]) -> str:
    """Line about a baseline: means over the seeds of `evaluations`."""
    mean = {name: float(np.mean([found[name] for found in judged.values()])) for name in next(iter(judged.values()))}
    success = "" if np.isnan(mean["success_rate"]) else f", success {mean['success_rate']:.2f}"
    return (
        f"baseline as it is, {mean['episodes']:.0f} episodes per seed: return {mean['mean_return']:.2f}, "
        f"failures per episode {mean['mean_cost']:.3f}{success}\n"
    )
