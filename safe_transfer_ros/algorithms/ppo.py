# SPDX-License-Identifier: Apache-2.0
"""Update of proximal policy optimisation (PPO, Schulman et al. 2017): Adam on the clipped surrogate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.gaussian_network import Parameters, kl_divergence
from safe_transfer_ros.algorithms.single_thread import one_thread
from safe_transfer_ros.algorithms.trpo import TrpoBatch
from safe_transfer_ros.policies.gaussian import distribution, from_tensors, to_tensors
from safe_transfer_ros.randomness import Purpose, generator


@dataclass(frozen=True, kw_only=True)
class PpoSettings:
    """Settings of one update.

    Attributes:
      clip: How far the probability ratio may be from 1 before it earns no more, in (0, 1).
      passes: Over the batch, at most.
      minibatch: Steps of a minibatch.
      learning_rate: Of Adam, which starts anew at each update: an update is a function of its arguments.
      max_kl: KL(old || new), summed over dimensions, mean over states, after which no further pass is begun.
    """

    clip: float = 0.2
    passes: int = 10
    minibatch: int = 256
    learning_rate: float = 3e-4
    max_kl: float = 0.02

    def __post_init__(self) -> None:
        if not (0.0 < self.clip < 1.0 and min(self.passes, self.minibatch) >= 1):
            raise ValueError(f"expected clip in (0, 1), passes and minibatch of at least 1, got {self}")
        if not (self.learning_rate > 0.0 and self.max_kl > 0.0):
            raise ValueError(f"expected learning_rate and max_kl above 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class PpoUpdate:
    """Result of an update.

    Attributes:
      parameters: The new ones.
      kl: KL(old || new) over all states, summed over dimensions.
      passes: Done.
    """

    parameters: Parameters
    kl: float
    passes: int


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Mean of min(r A, clip(r, 1 - clip, 1 + clip) A), a scalar (Schulman et al. 2017, Eq. 7).

    Args:
      ratio: Probability of each action under the new policy over that under the old one, shape (b,).
      advantage: Of each action, shape (b,).
      clip: In (0, 1).
    """
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage).mean()


def ppo_update(
    parameters: Mapping[str, NDArray[np.float32]], batch: TrpoBatch, settings: PpoSettings, seed: int
) -> PpoUpdate:
    """Improve the clipped surrogate by passes over a batch of steps.

    Args:
      parameters: hidden.<i>.weight (out, in) and .bias, mean.weight and .bias, log_std; float32.
      batch: Steps sampled under these parameters.
      settings: See `PpoSettings`.
      seed: Orders the minibatches; equal inputs and seeds give equal parameters.
    """
    rng, count = generator(Purpose.MINIBATCHES, seed), len(batch.observations)
    tensors = to_tensors(parameters, requires_grad=True)
    optimiser = torch.optim.Adam(tensors.values(), lr=settings.learning_rate)
    seen, taken, advantages = (torch.tensor(given) for given in (batch.observations, batch.actions, batch.advantages))
    kl, passes = 0.0, 0
    with one_thread():
        with torch.no_grad():
            old = distribution(tensors, seen).log_prob(taken)
        while passes < settings.passes and kl <= settings.max_kl:
            order = torch.from_numpy(rng.permutation(count))
            for rows in torch.split(order, settings.minibatch):
                ratio = torch.exp(distribution(tensors, seen[rows]).log_prob(taken[rows]) - old[rows])
                optimiser.zero_grad()
                (-clipped_surrogate(ratio, advantages[rows], settings.clip)).backward()
                optimiser.step()
            passes += 1
            kl = kl_divergence(parameters, from_tensors(tensors), batch.observations)
    return PpoUpdate(parameters=from_tensors(tensors), kl=kl, passes=passes)
