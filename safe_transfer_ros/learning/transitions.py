# SPDX-License-Identifier: Apache-2.0
"""Transitions (s, a, r, c, s') by named column: the schema that a recorded bag, a replay buffer and a learner share.

The columns and what each means are those of `bags.transition_store.transition_dtype`. A learner that needs only some of
them, or some more (the hidden state of a recurrent policy), says so in the schema of its buffer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.transition_store import transition_dtype
from safe_transfer_ros.tasks.rollouts import Array, Flags, Rollouts, SimulatedRollouts

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""Transitions held in memory: an array per column, each of as many rows."""


class TransitionColumns(Protocol):
    """Transitions by column: `bags.transition_store.Transitions`, a `ReplayBuffer`, or a mapping of arrays."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; see `bags.transition_store.transition_dtype`."""
        ...


def schema(
    n_actions: int,
    n_observations: int,
    *,
    columns: Sequence[str] | None = None,
    extra: Sequence[tuple[str, str, tuple[int, ...]]] = (),
) -> np.dtype[Any]:
    """Names, types and shapes of a buffer's columns.

    Args:
      n_actions: Length of an action.
      n_observations: Length of an observation.
      columns: Names of the columns to keep; None keeps all.
      extra: Columns beside those of a recording: name, numpy type and shape of one row.

    Raises:
      ValueError: if a column is unknown, or an extra one has the name of another.
    """
    whole = transition_dtype(n_actions, n_observations)
    known = whole.names or ()
    kept = known if columns is None else tuple(columns)
    if unknown := sorted(set(kept) - set(known)):
        raise ValueError(f"unknown columns {unknown}; known: {', '.join(known)}")
    names = [*kept, *(name for name, _, _ in extra)]
    if twice := sorted({name for name in names if names.count(name) > 1 or name in known and name not in kept}):
        raise ValueError(f"expected columns with names of their own, got {twice} twice or with a meaning already")
    return np.dtype([*((name, whole[name]) for name in kept), *extra])


def transitions(rollouts: Rollouts, *, iteration: int = 0, first_episode: int = 0) -> dict[str, NDArray[Any]]:
    """Transitions of rollouts, episode after episode, with the names, types and meaning of recorded ones.

    Args:
      rollouts: n steps in all.
      iteration: Iteration they belong to.
      first_episode: Number of the first episode, where the rollouts do not tell; the others follow.

    Returns:
      The columns that rollouts can tell, n rows each; of a simulated arm also the law proposed, u and torque
      limits. An episode that did not terminate is truncated at its last step.
    """
    valid, steps = rollouts.valid, np.arange(rollouts.reward.shape[1])
    first = getattr(rollouts, "first_episode", first_episode)
    episode = np.repeat(first + np.arange(len(rollouts.lengths)), rollouts.lengths)
    last = steps == rollouts.lengths[:, None] - 1
    found = {
        "iteration": np.full(len(episode), iteration),
        "episode": episode,
        "step": np.broadcast_to(steps, valid.shape)[valid],
        "chain": episode,
        "observation": rollouts.observation[:, :-1][valid],
        "chosen": rollouts.chosen[valid],
        "applied": rollouts.applied[valid],
        "reward": rollouts.reward[valid],
        "cost": rollouts.cost[valid],
        "next_observation": rollouts.observation[:, 1:][valid],
        "terminated": rollouts.terminated[valid],
        "truncated": (last & ~rollouts.terminated)[valid],
    }
    if isinstance(rollouts, SimulatedRollouts):
        found |= _of_simulated(rollouts, valid, last)
    types = transition_dtype(rollouts.chosen.shape[-1], rollouts.observation.shape[-1])
    return {name: values.astype(types[name].base) for name, values in found.items()}


def _of_simulated(rollouts: SimulatedRollouts, valid: Flags, last: Flags) -> dict[str, NDArray[Any]]:
    """Columns that only the simulator knows; the policy is Gaussian."""

    def following(values: Array) -> Array:
        after = np.full_like(values, np.nan)
        after[:, :-1] = values[:, 1:]
        after[last] = np.nan  # the episode ended there
        return after[valid]

    unbounded, limit = np.full_like(rollouts.mean[valid], np.nan), rollouts.torque_limit
    return {
        "proposed": rollouts.proposed[valid],
        "mean": rollouts.mean[valid],
        "stddev": rollouts.stddev[valid],
        "distribution": np.zeros(len(unbounded)),
        "bound": unbounded,
        "torque_limit": rollouts.torque_limit[valid],
        "unsafety": rollouts.unsafety[:, 1:][valid],
        "next_mean": following(rollouts.mean),
        "next_stddev": following(rollouts.stddev),
        "next_distribution": np.zeros(len(unbounded)),
        "next_bound": unbounded,
        "next_torque_limit": np.concatenate([limit[:, 1:], limit[:, -1:]], axis=1)[valid],
    }
