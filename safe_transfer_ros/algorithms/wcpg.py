# SPDX-License-Identifier: Apache-2.0
"""Worst cases policy gradients: the critic learns mean and variance of the return, the actor their CVaR (Tang 2019).

For a normal return the mean of its worst share alpha is CVaR_alpha = mean - phi(z_alpha) / alpha * stddev. alpha is an
input of actor and critic. Here it is drawn anew for every transition that is learned from and for every action that
explores, not once per episode: which alpha a transition was made with does not matter off policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.double_q import TransitionBatch
from safe_transfer_ros.algorithms.single_thread import one_thread, single_thread
from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.networks.actors import DeterministicActor
from safe_transfer_ros.policies.networks.layers import arrays, load
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic
from safe_transfer_ros.policies.tensors import Tensors
from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float64]
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class WcpgSettings:
    """Settings; SQRL's authors' numbers for this rival but for `exploration`, where theirs is 1.

    Attributes:
      gamma: Discount, in [0, 1).
      hidden: Widths of the hidden layers.
      actor_rate: Learning rate of the actor.
      critic_rate: Of the critic.
      target_rate: How far the targets move at each update.
      levels: Range of alpha.
      exploration: Standard deviation of what is added to actions, as a fraction of their bound.
      critics_first: Updates of the critic alone.
    """

    gamma: float = 0.99
    hidden: tuple[int, ...] = (256, 256)
    actor_rate: float = 3e-4
    critic_rate: float = 1e-4
    target_rate: float = 0.005
    levels: tuple[float, float] = (0.1, 0.3)
    exploration: float = 0.1
    critics_first: int = 0

    def __post_init__(self) -> None:
        low, high = self.levels
        if not (0.0 <= self.gamma < 1.0 and 0.0 < low <= high < 1.0 and self.exploration >= 0.0):
            raise ValueError(f"expected gamma in [0, 1), levels in (0, 1) and exploration >= 0, got {self}")


def cvar(mean: Tensor, variance: Tensor, level: Tensor) -> Tensor:
    """Mean of the worst share `level` of a normal return, shape (b,)."""
    z = torch.special.ndtri(level)
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)
    return mean - density / level * variance.sqrt()


def variance_target(reward: Tensor, going_on: Tensor, mean: Tensor, variance: Tensor, value: Tensor) -> Tensor:
    """r^2 + 2 g r Q' + g^2 (V' + Q'^2) - Q^2, shape (b,): of one sample, so it may be below 0.

    Args:
      reward: r.
      going_on: g, the discount, 0 where the episode terminated.
      mean: Q', of what follows.
      variance: V', likewise.
      value: Q, of the state and action themselves.
    """
    square = reward.square() + 2.0 * going_on * reward * mean + going_on.square() * (variance + mean.square())
    return square - value.square()


class Wcpg:
    """An agent; see `learning.off_policy.Agent`. What it has learned acts at the lowest alpha, the most careful.

    Attributes:
      noise_size: Numbers of noise per action: one for alpha, then one for each part of the action.
      updates: Updates done.
    """

    def __init__(self, observation_size: int, bound: Array, settings: WcpgSettings, *, seed: int) -> None:
        """Draw networks.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          settings: See `WcpgSettings`.
          seed: Equal seeds give equal networks.
        """
        self._settings, self._bound, self.updates = settings, np.asarray(bound, dtype=np.float64), 0
        self.noise_size, inputs, rate = 1 + len(bound), observation_size + 1, settings.target_rate
        drawn = generator(Purpose.POLICY_INITIALISATION, seed)
        actor = DeterministicActor(inputs, bound, settings.hidden, drawn)
        self._actor = TrainedNetwork(actor, learning_rate=settings.actor_rate, target_rate=rate)
        drawn = generator(Purpose.CRITIC_INITIALISATION, seed)
        critic = TwinCritic(inputs, len(bound), settings.hidden, drawn)  # one is the mean, the other the variance
        self._critic = TrainedNetwork(critic, learning_rate=settings.critic_rate, target_rate=rate)

    def start_from(self, parameters: Tensors) -> None:
        """Begin with a deterministic policy, which is then the same at every alpha; before the first update."""
        first = parameters["hidden.0.weight"]
        wide = np.concatenate([first, np.zeros((len(first), 1), dtype=np.float32)], axis=1)
        for network in (self._actor.network, self._actor.target):
            load(network, {**parameters, "hidden.0.weight": wide})

    def act(self, observation: Array, noise: Array) -> Array:
        """Actions to explore with, shape (b, n); see `learning.off_policy.Agent.act`."""
        low, high = self._settings.levels
        share = [0.5 * math.erfc(-one / math.sqrt(2.0)) for one in noise[:, 0]]
        level = low + (high - low) * np.asarray(share)
        with single_thread():
            seen = torch.from_numpy(np.column_stack([observation, level]).astype(np.float32))
            fraction = self._actor.network(seen).numpy().astype(np.float64)
        return np.asarray(self._bound * np.clip(fraction + self._settings.exploration * noise[:, 1:], -1.0, 1.0))

    def update(self, columns: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, float]:
        """Take a step of critic, actor and targets.

        Args:
          columns: Transitions, see `TransitionBatch.of`.
          rng: Draws alpha.

        Returns:
          critic_loss and actor_loss.
        """
        settings = self._settings
        with one_thread():
            batch = TransitionBatch.of(columns, self._actor.network.bound)
            level = torch.from_numpy(rng.uniform(*settings.levels, len(batch.reward)).astype(np.float32))
            seen = torch.cat((batch.observation, level[:, None]), dim=1)
            following = torch.cat((batch.next_observation, level[:, None]), dim=1)
            mean, variance = _law(self._critic.network(seen, batch.action))
            with torch.no_grad():
                later = _law(self._critic.target(following, self._actor.target(following)))
                going_on = settings.gamma * (1.0 - batch.terminated)
                wanted = batch.reward + going_on * later[0]
                spread = variance_target(batch.reward, going_on, *later, mean)
            # Not the distance between normal laws: its root of a sampled variance, which may be below 0, has a bias.
            loss = 0.5 * ((mean - wanted).square() + (variance - spread).square()).mean()
            self._critic.descend(loss)
            law = _law(self._critic.network(seen, self._actor.network(seen)))
            actor_loss = -cvar(*law, level).mean()
            if self.updates >= settings.critics_first:
                self._actor.descend(actor_loss)
            self._critic.follow()
            self._actor.follow()
        self.updates += 1
        return {"critic_loss": loss.item(), "actor_loss": actor_loss.item()}

    def _careful(self) -> Tensors:
        """The actor at the lowest alpha: its share of the first layer goes into the bias."""
        found = arrays(self._actor.network)
        weight = found["hidden.0.weight"]
        level = np.float32(self._settings.levels[0])
        return {
            **found,
            "hidden.0.weight": weight[:, :-1].copy(),
            "hidden.0.bias": found["hidden.0.bias"] + level * weight[:, -1],
        }

    def policy(self) -> DeterministicPolicy:
        """Make the policy that acts on the robot side."""
        return DeterministicPolicy(self._careful())

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """Serialise that policy, with metadata of the run."""
        return policy_to_bytes(self._careful(), {**metadata, "kind": DeterministicPolicy.kind})

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {"updates": self.updates, "actor": self._actor.state(), "critic": self._critic.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.updates = int(state["updates"])
        self._actor.restore(state["actor"])
        self._critic.restore(state["critic"])


def _law(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, each (b,), of what the critic's members give (2, b)."""
    return values[0], torch.nn.functional.softplus(values[1]) + _LEAST_VARIANCE
