# SPDX-License-Identifier: Apache-2.0
"""Rollouts as learning needs them: padded arrays of episodes, simulated or from the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.task import RobotTask
from safe_transfer_ros.tasks.vector import EpisodeBatch

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """E episodes of at most T steps; what lies beyond an episode's end is padding.

    Attributes:
      observations: Shape (E, T+1, k).
      actions: Torque proposed, before any bound, shape (E, T, n), N·m.
      rewards: Shape (E, T).
      terminated: True at the step that ended its episode by termination, shape (E, T).
      lengths: Steps of each episode, shape (E,).
    """

    observations: Array
    actions: Array
    rewards: Array
    terminated: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """Steps taken, padding left out."""
        return int(self.lengths.sum())

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which entries of an (E, T) array are steps."""
        return np.arange(self.rewards.shape[1]) < self.lengths[:, None]


@dataclass(frozen=True, kw_only=True)
class ConstrainedRollouts(Rollouts):
    """Rollouts whose episodes end with a failure; `actions` are those taken, the gate's where it chose another.

    Attributes:
      applied: The actions as bounded, what a critic judges, shape (E, T, n).
      costs: 1 at the step that failed, and so was its episode's last, shape (E, T).
      succeeded: Whether each episode reached its goal, shape (E,); NaN where the task has none.
      gated: Whether a critic chose the action, shape (E, T).
    """

    applied: Array
    costs: Array
    succeeded: Array
    gated: NDArray[np.bool_]

    @property
    def failures(self) -> int:
        """Episodes that failed."""
        return int(self.costs.sum())


def from_batch(batch: EpisodeBatch) -> Rollouts:
    """Rollouts of a simulated batch: full length, none terminated."""
    return Rollouts(
        observations=batch.observation,
        actions=batch.proposed,
        rewards=batch.reward,
        terminated=np.zeros(batch.reward.shape, dtype=np.bool_),
        lengths=np.full(len(batch.reward), batch.reward.shape[1], dtype=np.int64),
    )


def from_episodes(episodes: Sequence[Episode], task: RobotTask) -> Rollouts:
    """Rollouts of recorded episodes, in order of their numbers whatever order they came in.

    Args:
      episodes: At least one, none of them empty.
      task: Gives the rewards.

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
    rewards = np.zeros((count, longest))
    terminated = np.zeros((count, longest), dtype=np.bool_)
    for row, episode in enumerate(ordered):
        steps = episode.steps
        observations[row, : steps + 1] = episode.observation
        actions[row, :steps] = episode.proposed
        rewards[row, :steps] = task.outcome_of(episode).reward
        terminated[row, steps - 1] = episode.terminated
    lengths = np.array([episode.steps for episode in ordered], dtype=np.int64)
    return Rollouts(observations=observations, actions=actions, rewards=rewards, terminated=terminated, lengths=lengths)


def constrained_from_episodes(episodes: Sequence[Episode], task: RobotTask, action_bound: Array) -> ConstrainedRollouts:
    """Rollouts of recorded episodes with their failures; what lies beyond a failure is cut off.

    Args:
      episodes: As `from_episodes`.
      task: Gives rewards and failures.
      action_bound: What is beyond is cut before it acts, shape (n,).

    Raises:
      ValueError: as `from_episodes`.
    """
    plain = from_episodes(episodes, task)
    steps = plain.rewards.shape[1]
    ordered = sorted(episodes, key=lambda episode: episode.index)
    unsafe, gated = np.zeros((2, len(ordered), steps), dtype=np.bool_)
    for row, episode in enumerate(ordered):
        unsafe[row, : episode.steps] = ~(task.outcome_of(episode).unsafety <= task.unsafety_limit)
        gated[row, : episode.steps] = episode.reasons & Reason.CRITIC_RISK != 0
    failed = np.asarray(unsafe.any(axis=1))
    lengths = np.where(failed, unsafe.argmax(axis=1) + 1, plain.lengths).astype(np.int64)
    last = np.arange(steps) == lengths[:, None] - 1
    ended = plain.terminated.any(axis=1)
    return ConstrainedRollouts(
        observations=plain.observations,
        actions=plain.actions,
        rewards=plain.rewards,
        terminated=last & (failed | ended)[:, None],
        lengths=lengths,
        applied=np.clip(plain.actions, -action_bound, action_bound),
        costs=np.asarray(last & failed[:, None], dtype=np.float64),
        succeeded=np.asarray(ended & ~failed, dtype=np.float64),
        gated=gated,
    )


def to_episodes(
    batch: EpisodeBatch, *, iteration: int, policy_version: int, period_ns: int, start_ns: int = 0
) -> list[Episode]:
    """The record that the safety filter would have made of a simulated batch.

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
            proposed=batch.proposed[row],
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
