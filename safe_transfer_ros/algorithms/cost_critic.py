# SPDX-License-Identifier: Apache-2.0
"""Critic of discounted costs, learned as TD3 and SAC learn their critics of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from safe_transfer_ros.algorithms.double_q import TransitionBatch, bellman_target, critic_loss
from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.networks.layers import Arrays, arrays
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic


def discounted_limit(cost_per_step: float, gamma: float, horizon: int) -> float:
    """Limit of Q_c that a cost of c at each of T steps comes to: c (1 - gamma^T) / (1 - gamma).

    CST compares c itself with Q_c and prints no discount; the same group's released SAC has this.

    Args:
      cost_per_step: c, accepted on the average, > 0.
      gamma: Discount of costs, in [0, 1).
      horizon: T, >= 1.

    Raises:
      ValueError: if an argument is out of range.
    """
    if not (cost_per_step > 0.0 and 0.0 <= gamma < 1.0 and horizon >= 1):
        raise ValueError(
            f"expected cost_per_step > 0, gamma in [0, 1), horizon >= 1; got {cost_per_step}, {gamma}, {horizon}"
        )
    return cost_per_step * (1.0 - gamma**horizon) / (1.0 - gamma)


@dataclass(frozen=True, kw_only=True)
class CostCriticSettings:
    """Settings of the critic.

    Attributes:
      gamma: Discount of costs, in [0, 1).
      hidden: Widths of the hidden layers.
      learning_rate: Of Adam.
      target_rate: How far the target moves at each update.
    """

    gamma: float = 0.99
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 3e-4
    target_rate: float = 0.005

    def __post_init__(self) -> None:
        if not (0.0 <= self.gamma < 1.0 and 0.0 < self.target_rate <= 1.0):
            raise ValueError(f"expected gamma in [0, 1) and target_rate in (0, 1], got {self}")


class CostCritic:
    """Q_c(o, a), a as a fraction of its bound. Not for several threads."""

    def __init__(
        self, observation_size: int, action_size: int, settings: CostCriticSettings, rng: np.random.Generator
    ) -> None:
        """Draw it.

        Args:
          observation_size: Length of an observation.
          action_size: Length of an action.
          settings: See `CostCriticSettings`.
          rng: Draws the parameters.
        """
        self._gamma = settings.gamma
        network = TwinCritic(observation_size, action_size, settings.hidden, rng, members=1)
        self._critic = TrainedNetwork(network, learning_rate=settings.learning_rate, target_rate=settings.target_rate)

    def values(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q_c, shape (b,), of observations (b, k) and actions (b, n)."""
        return self._critic.network.first(observation, action)

    def learn(self, batch: TransitionBatch, cost: Tensor, next_action: Tensor) -> float:
        """Take a step; gives the loss.

        Args:
          batch: Transitions.
          cost: Of the states they led to, shape (b,).
          next_action: What is done in these states, shape (b, n), without a graph.
        """
        with torch.no_grad():
            following = self._critic.target.first(batch.next_observation, next_action)
            target = bellman_target(cost, batch.terminated, following, self._gamma)
        loss = critic_loss(self._critic.network(batch.observation, batch.action), target)
        self._critic.descend(loss)
        self._critic.follow()
        return loss.item()

    def parameters(self) -> Arrays:
        """Copies of its parameters by name, as `policies.layered.LayeredPolicy` takes them behind "critic."."""
        held = arrays(self._critic.network)
        layers = len(held) // 2
        found: Arrays = {}
        for layer in range(layers):
            name = f"hidden.{layer}" if layer < layers - 1 else "value"
            found[f"{name}.weight"] = np.ascontiguousarray(held[f"layer.{layer}.weight"][0].T)
            found[f"{name}.bias"] = held[f"layer.{layer}.bias"][0]
        return found

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return self._critic.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self._critic.restore(state)
