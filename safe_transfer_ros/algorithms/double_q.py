# SPDX-License-Identifier: Apache-2.0
"""Learning of Q functions from transitions, as TD3 and SAC have in common (Fujimoto et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class TransitionBatch:
    """Transitions to learn from, float32.

    Attributes:
      observation: Shape (b, k).
      action: Chosen, as a fraction of its bound, shape (b, n).
      reward: Shape (b,).
      terminated: 1 where the episode ended in s' by termination, shape (b,). A time limit is none: what comes after
        it counts.
      next_observation: Shape (b, k).
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    next_observation: Tensor

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]], bound: Tensor) -> TransitionBatch:
        """Make a batch of the columns of a replay buffer.

        The action is the one chosen, before any bound of the environment: reward and Q are of what the actor proposes.

        Args:
          columns: observation, chosen, reward, terminated and next_observation, of as many rows each.
          bound: Largest |action|, shape (n,).
        """
        given = {
            name: torch.from_numpy(np.asarray(columns[name], dtype=np.float32))
            for name in ("observation", "chosen", "reward", "terminated", "next_observation")
        }
        return cls(action=given.pop("chosen") / bound, **given)


def bellman_target(reward: Tensor, terminated: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """Target y = r + gamma (1 - terminated) V(s'), shape (..., b); V is the least of the twins' (Fujimoto Eq. 10)."""
    return reward + gamma * (1.0 - terminated) * next_value


def critic_loss(values: Tensor, target: Tensor) -> Tensor:
    """Half the mean squared Bellman error, summed over the members of a critic: each learns as if it were alone.

    Args:
      values: Q(s, a), shape (members, b).
      target: y, shape (b,).
    """
    squares = torch.nn.functional.mse_loss(values, target.expand_as(values), reduction="sum")
    return squares * (0.5 / values.shape[-1])
