# SPDX-License-Identifier: Apache-2.0
"""Recorded episodes as rollouts to learn from, and simulated rollouts as the record of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.tasks.rollouts import Rollouts, SimulatedRollouts

Array = NDArray[np.float64]


def from_episodes(
    episodes: Sequence[Episode], task: RobotTask, *, action_bound: Array | None = None, ends_on_failure: bool = False
) -> Rollouts:
    """Rollouts of recorded episodes, ordered by their numbers.

    Args:
      episodes: At least one, none of them empty.
      task: Gives rewards and failures.
      action_bound: What is beyond is cut before it acts, shape (n,); None: nothing is.
      ends_on_failure: Whether what lies beyond a failure is cut off.

    Raises:
      ValueError: if there is no episode, one has no step, or two have the same number.
    """
    ordered = sorted(episodes, key=lambda episode: episode.index)
    numbers = [episode.index for episode in ordered]
    if not ordered or min(episode.steps for episode in ordered) < 1 or len(set(numbers)) != len(numbers):
        raise ValueError(
            "expected at least one episode, each with steps and a number of its own, "
            f"got numbers {numbers} with {[episode.steps for episode in ordered]} steps"
        )
    count, longest = len(ordered), max(episode.steps for episode in ordered)
    observations = np.zeros((count, longest + 1, ordered[0].observation.shape[1]))
    actions = np.zeros((count, longest, ordered[0].proposed.shape[1]))
    rewards, costs = np.zeros((2, count, longest))
    terminated, gated = np.zeros((2, count, longest), dtype=np.bool_)
    for row, episode in enumerate(ordered):
        steps, outcome = episode.steps, task.outcome_of(episode)
        observations[row, : steps + 1] = episode.observation
        actions[row, :steps] = episode.proposed
        rewards[row, :steps] = outcome.reward
        costs[row, :steps] = ~(outcome.unsafety <= task.unsafety_limit)
        terminated[row, steps - 1] = episode.terminated
        gated[row, :steps] = episode.reasons & Reason.CRITIC_RISK != 0
    rollouts = Rollouts(
        observation=observations,
        chosen=actions,
        applied=actions if action_bound is None else np.clip(actions, -action_bound, action_bound),
        reward=rewards,
        cost=costs,
        terminated=terminated,
        lengths=np.array([episode.steps for episode in ordered], dtype=np.int64),
        succeeded=np.asarray(terminated.any(axis=1) & ~costs.any(axis=1), dtype=np.float64),
        gated=gated,
    )
    return rollouts.ended_by_failures() if ends_on_failure else rollouts


def to_episodes(
    batch: SimulatedRollouts, *, iteration: int, policy_version: int, period_ns: int, start_ns: int = 0
) -> list[Episode]:
    """The record that the safety filter would have made of a simulated batch.

    What a gate chose stands as proposed: it is a sample of the masked policy, and the one whose consequences were seen.
    Learning from the sample that was refused would credit a torque nobody applied.

    Args:
      batch: Simulated episodes.
      iteration: Iteration they belong to.
      policy_version: Version of the weights that proposed.
      period_ns: Time between decisions, ns.
      start_ns: Stamp of the first state; the episodes follow each other, one period apart.

    Returns:
      One episode per row of the batch.
    """
    count, steps = batch.reward.shape
    stamps = start_ns + period_ns * np.arange(count * (steps + 1), dtype=np.int64).reshape(count, steps + 1)
    bounded = np.where(batch.reasons != Reason.NONE, Verdict.BOUNDED, Verdict.ACCEPTED).astype(np.uint8)
    return [
        Episode(
            iteration=iteration,
            index=batch.first_episode + row,
            stamp_ns=stamps[row],
            position=batch.position[row],
            velocity=batch.velocity[row],
            observation=batch.observation[row],
            mean=batch.mean[row],
            stddev=batch.stddev[row],
            proposed=batch.chosen[row],
            applied=batch.applied[row],
            torque_limit=batch.torque_limit[row],
            reasons=batch.reasons[row],
            verdict=bounded[row],
            risk=np.full(steps, np.nan),
            policy_version=policy_version,
            terminated=False,
        )
        for row in range(count)
    ]
