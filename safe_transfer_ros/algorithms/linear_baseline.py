# SPDX-License-Identifier: Apache-2.0
"""A value function linear in simple features, fitted to the batch it serves (PSPT: o, o^2, t, t^2, t^3, 1; ridge).

Two things differ from the textbook version:

- An episode cut off by its time limit goes on in principle, so its returns end with the discounted value of its last
  state, under the very function that is being fitted. That is a linear equation in the coefficients: one solve, no
  iteration.
- Each episode's values can come from a fit to the OTHER episodes, so that no episode's luck passes for value. That
  needs many of them: with PSPT's five per iteration the noise of a fit to four costs more than it saves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.algorithms.gae import valid_steps
from safe_transfer_ros.algorithms.single_thread import single_thread

Array = NDArray[np.float64]

OBSERVATION_BOUND = 10.0
"""Observations enter the features within +-this: their squares must not drown the rest."""


def features(observations: ArrayLike) -> Array:
    """Features o, o^2, t, t^2, t^3, 1 of every state, with t = step / 100.

    Args:
      observations: Shape (episodes, steps + 1, k), from each episode's first state on.

    Returns:
      Shape (episodes, steps + 1, 2 k + 4).
    """
    observed = np.clip(np.asarray(observations, dtype=np.float64), -OBSERVATION_BOUND, OBSERVATION_BOUND)
    episodes, states, k = observed.shape
    result = np.empty((episodes, states, 2 * k + 4))
    result[..., :k] = observed
    np.square(observed, out=result[..., k : 2 * k])
    time = np.arange(states) / 100.0
    result[..., 2 * k :] = np.stack([time, time**2, time**3, np.ones(states)], axis=1)
    return result


def fitted_values(
    observations: ArrayLike,
    rewards: ArrayLike,
    terminated: ArrayLike,
    gamma: float,
    *,
    ridge: float = 1e-3,
    lengths: ArrayLike | None = None,
    leave_one_out: bool = True,
) -> Array:
    """Value of every visited state.

    With features f_t, discounted rewards G_t up to the end L of an episode, and b_t = gamma^(L-t) where it
    was truncated, 0 where it terminated, the coefficients w solve

      (sum_t f_t (f_t - b_t f_L)^T + ridge I) w = sum_t f_t G_t,

    which is least squares on the targets G_t + b_t f_L . w with the same w on both sides.

    Args:
      observations: Shape (episodes, steps + 1, k).
      rewards: Shape (episodes, steps).
      terminated: True at the step that ended its episode by termination, shape (episodes, steps).
      gamma: Discount, in [0, 1]; 1 where every episode terminates.
      ridge: Added to the diagonal for each step fitted to; > 0.
      lengths: Steps of each episode where some are shorter; None: all are full.
      leave_one_out: Take each episode's values from a fit to the others. With one episode there are none:
        its values are then 0.

    Returns:
      Shape (episodes, steps + 1); meaningless beyond an episode's last state.

    Raises:
      ValueError: if shapes or ranges disagree.
    """
    observations, rewards = np.asarray(observations, dtype=np.float64), np.asarray(rewards, dtype=np.float64)
    ended = np.asarray(terminated, dtype=np.bool_)
    if observations.ndim != 3 or rewards.shape != (observations.shape[0], observations.shape[1] - 1):
        raise ValueError(
            "expected observations of shape (episodes, steps + 1, k) and rewards of (episodes, steps), "
            f"got {observations.shape} and {rewards.shape}"
        )
    if ended.shape != rewards.shape:
        raise ValueError(f"expected terminated of the rewards' shape {rewards.shape}, got {ended.shape}")
    if not (0.0 <= gamma <= 1.0 and ridge > 0.0):
        raise ValueError(f"expected gamma within [0, 1] and ridge > 0, got {gamma} and {ridge}")
    valid = valid_steps(lengths, *rewards.shape)
    if gamma == 1.0 and not (ended & valid).any(axis=1).all():
        raise ValueError(
            "gamma 1 needs episodes that all terminate: beyond a time limit there would be endless rewards"
        )
    steps = valid.sum(axis=1)
    made = features(observations)
    to_go, discount = _returns(rewards, ended, valid, gamma)
    last = made[np.arange(len(made)), steps]
    fitted = made[:, :-1] * valid[..., None]
    target = (fitted * to_go[..., None]).sum(axis=1)
    # sum_t f_t f_t^T - (sum_t f_t b_t) f_L^T, per episode.
    beyond = (fitted * discount[..., None]).sum(axis=1)[:, :, None] * last[:, None, :]
    with single_thread():
        matrix = (_gram(torch.tensor(fitted)) - torch.tensor(beyond)).numpy()
        equations = _Equations(matrix=matrix, target=target, steps=steps)
        coefficients = (equations.of_the_others if leave_one_out else equations.of_all)(ridge)
        values = torch.bmm(torch.tensor(made), torch.tensor(coefficients)[:, :, None])
    return values[..., 0].numpy()


@dataclass(frozen=True, kw_only=True)
class _Equations:
    """Linear equations of the coefficients, episode by episode: they add up.

    Attributes:
      matrix: Shape (episodes, features, features).
      target: Shape (episodes, features).
      steps: Shape (episodes,).
    """

    matrix: Array
    target: Array
    steps: NDArray[np.int64]

    def of_all(self, ridge: float) -> Array:
        """Coefficients of one fit to all episodes, a row for each, shape (episodes, features)."""
        together = self._solve(self.matrix.sum(axis=0)[None], self.target.sum(axis=0)[None], ridge, self.steps.sum())
        return np.repeat(together, len(self.matrix), axis=0)

    def of_the_others(self, ridge: float) -> Array:
        """Coefficients of the fit without each episode, shape (episodes, features); 0 if there is one."""
        if len(self.matrix) == 1:
            return np.zeros_like(self.target)
        matrix, target = self.matrix.sum(axis=0) - self.matrix, self.target.sum(axis=0) - self.target
        return self._solve(matrix, target, ridge, self.steps.sum() - self.steps)

    @staticmethod
    def _solve(matrix: Array, target: Array, ridge: float, steps: NDArray[np.int64] | np.int64) -> Array:
        diagonal = ridge * np.reshape(steps, (-1, 1, 1)) * np.eye(matrix.shape[-1])
        solution: Array = torch.linalg.solve(torch.tensor(matrix + diagonal), torch.tensor(target)).numpy()
        return solution


def _gram(fitted: torch.Tensor) -> torch.Tensor:
    """f^T f of each episode, (episodes, steps, features) to (episodes, features, features)."""
    return torch.bmm(fitted.transpose(1, 2), fitted)


def _returns(rewards: Array, ended: NDArray[np.bool_], valid: NDArray[np.bool_], gamma: float) -> tuple[Array, Array]:
    """Discounted rewards from each step to the end, and the discount of what comes after it; (E, T) each."""
    to_go, discount = np.zeros_like(rewards), np.zeros_like(rewards)
    following, remaining = np.zeros(len(rewards)), np.ones(len(rewards))
    for step in reversed(range(rewards.shape[1])):
        here = valid[:, step]
        following = np.where(here, rewards[:, step] + gamma * following, 0.0)
        remaining = np.where(here, gamma * remaining * ~ended[:, step], 1.0)
        to_go[:, step], discount[:, step] = following, remaining * here
    return to_go, discount
