# SPDX-License-Identifier: Apache-2.0
"""Episodes side by side: padded arrays, named as the columns of transitions are, that learners take steps from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
_Rollouts = TypeVar("_Rollouts", bound="Rollouts")


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollouts:
    """E episodes of at most T steps, padded after an episode's end; named as the columns of transitions are.

    Attributes:
      observation: Shape (E, T+1, k).
      chosen: Those taken, a gate's where it chose another, before any bound, shape (E, T, n).
      applied: The actions as bounded, what a critic judges, same shape.
      reward: Shape (E, T).
      cost: 1 at a step that led to an unsafe state, else 0, shape (E, T).
      terminated: True at the step that ended its episode by termination, shape (E, T).
      lengths: Steps of each episode, shape (E,).
      succeeded: Whether each episode reached its goal, shape (E,); NaN where the task has none.
      gated: Whether a critic chose the action, shape (E, T).
    """

    observation: Array
    chosen: Array
    applied: Array
    reward: Array
    cost: Array
    terminated: Flags
    lengths: NDArray[np.int64]
    succeeded: Array
    gated: Flags

    @property
    def steps(self) -> int:
        """Steps taken, padding left out."""
        return int(self.lengths.sum())

    @property
    def valid(self) -> Flags:
        """Mask of the entries of an (E, T) array that are steps."""
        return np.arange(self.reward.shape[1]) < self.lengths[:, None]

    @property
    def failures(self) -> int:
        """Episodes with an unsafe state."""
        return int(((self.cost > 0.0) & self.valid).any(axis=1).sum())

    @property
    def returns(self) -> Array:
        """Undiscounted sum of each episode's rewards, shape (E,)."""
        return np.asarray((self.reward * self.valid).sum(axis=1))

    def ended_by_failures(self: _Rollouts) -> _Rollouts:
        """Rollouts with each episode cut off after its first unsafe state, which terminates it."""
        unsafe = np.asarray((self.cost > 0.0) & self.valid)
        failed, steps = np.asarray(unsafe.any(axis=1)), np.arange(unsafe.shape[1])
        lengths = np.where(failed, unsafe.argmax(axis=1) + 1, self.lengths).astype(np.int64)
        last, inside = steps == lengths[:, None] - 1, steps < lengths[:, None]
        return dataclasses.replace(
            self,
            cost=np.asarray(last & failed[:, None], dtype=np.float64),
            terminated=np.where(failed[:, None], last, self.terminated),
            lengths=lengths,
            succeeded=np.where(failed, np.minimum(self.succeeded, 0.0), self.succeeded),
            gated=self.gated & inside,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedRollouts(Rollouts):
    """Rollouts of a simulated arm: E whole episodes of T steps; row t + 1 of a state array is what step t led to.

    Attributes:
      first_episode: Number of the first episode; the others follow.
      position: Shape (E, T+1, n), rad.
      velocity: Shape (E, T+1, n), rad/s.
      mean: Policy mean torque, shape (E, T, n), N·m.
      stddev: Standard deviation, shape (E, T, n), N·m.
      proposed: Sampled torque, shape (E, T, n), N·m.
      torque_limit: Limit in force, shape (E, T), N·m.
      reasons: safety.Reason bits of each step, shape (E, T), uint32.
      unsafety: u of each state, shape (E, T+1).
      task_reward: Shape (E, T).
    """

    first_episode: int
    position: Array
    velocity: Array
    mean: Array
    stddev: Array
    proposed: Array
    torque_limit: Array
    reasons: NDArray[np.uint32]
    unsafety: Array
    task_reward: Array
