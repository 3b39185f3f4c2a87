# SPDX-License-Identifier: Apache-2.0
"""Generalised advantage estimation for episodes that end by termination, by truncation, or early."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def valid_steps(lengths: ArrayLike | None, episodes: int, steps: int) -> NDArray[np.bool_]:
    """Mask of the entries of an (episodes, steps) array that belong to an episode, given the number of steps of each.

    Raises:
      ValueError: if a length is not in 1..steps, or there is not one for each episode.
    """
    if lengths is None:
        return np.ones((episodes, steps), dtype=np.bool_)
    counts = np.asarray(lengths)
    if counts.shape != (episodes,) or (counts < 1).any() or (counts > steps).any():
        raise ValueError(f"expected {episodes} episode lengths within 1..{steps}, got {counts.tolist()}")
    return np.arange(steps) < counts[:, None]


def generalized_advantages(
    rewards: ArrayLike,
    values: ArrayLike,
    terminated: ArrayLike,
    gamma: float,
    lam: float,
    lengths: ArrayLike | None = None,
) -> Array:
    """Advantages A_t = sum_k (gamma lam)^k delta_{t+k}, delta_t = r_t + gamma V(s_{t+1}) - V(s_t).

    Running out of time is not a property of the state: a truncated episode is continued by the value of its last
    state. A termination is: the value of the state after it is 0, and nothing flows back through it.

    Args:
      rewards: Shape (episodes, steps).
      values: V of every visited state, the last one included, shape (episodes, steps + 1).
      terminated: True at the step that ended its episode by termination, shape (episodes, steps).
      gamma: Discount, in [0, 1].
      lam: Weight of longer estimates, in [0, 1].
      lengths: Steps of each episode, shape (episodes,), where some are shorter than the arrays; None: all
        are full.

    Returns:
      Shape (episodes, steps); 0 beyond an episode's end.

    Raises:
      ValueError: if shapes or ranges disagree, or an episode goes on after its termination.
    """
    rewards, values = np.asarray(rewards, dtype=np.float64), np.asarray(values, dtype=np.float64)
    ended = np.asarray(terminated, dtype=np.bool_)
    if rewards.ndim != 2 or values.shape != (rewards.shape[0], rewards.shape[1] + 1) or ended.shape != rewards.shape:
        raise ValueError(
            "expected rewards and terminated of shape (episodes, steps) and values of (episodes, steps + 1), "
            f"got {rewards.shape}, {ended.shape} and {values.shape}"
        )
    if not (0.0 <= gamma <= 1.0 and 0.0 <= lam <= 1.0):
        raise ValueError(f"expected gamma and lambda within [0, 1], got {gamma} and {lam}")
    valid = valid_steps(lengths, *rewards.shape)
    if (ended[:, :-1] & valid[:, 1:]).any():
        raise ValueError("an episode continues after its termination: give `lengths`, or split it there")
    alive = ~ended
    delta = rewards + gamma * values[:, 1:] * alive - values[:, :-1]
    advantages = np.zeros_like(rewards)
    following = np.zeros(rewards.shape[0])
    for step in reversed(range(rewards.shape[1])):
        following = valid[:, step] * (delta[:, step] + gamma * lam * alive[:, step] * following)
        advantages[:, step] = following
    return advantages
