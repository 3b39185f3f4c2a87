# SPDX-License-Identifier: Apache-2.0
"""Recurrent SAC-Lagrangian: sequences from stored memories, and a cost kept to its limit by a multiplier (CST).

max_theta min_{lambda >= 0}  E[R] + alpha H - lambda (E[Q_c] - d),  lambda = softplus(v)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from safe_transfer_ros.algorithms.double_q import bellman_target, critic_loss
from safe_transfer_ros.algorithms.lagrange import next_softplus_variable, softplus
from safe_transfer_ros.algorithms.sac.actor import actor_loss
from safe_transfer_ros.algorithms.sac.critic import soft_value
from safe_transfer_ros.algorithms.single_thread import one_thread, single_thread
from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.networks.actors import SquashedActor
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic
from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RecurrentSacSettings:
    """Settings; learning rate and temperature are CST's, gamma and target_rate those of the same group's released SAC.

    The paper says nothing of the others.

    Attributes:
      gamma: Discount of rewards and costs, in [0, 1).
      hidden: Widths of the hidden layers of the actor's head and of the critics.
      learning_rate: Of everything but the multiplier.
      target_rate: How far the critics' targets move at each update.
      temperature: alpha, fixed, >= 0.
      cost_limit: d, largest mean of Q_c, see `cost_critic.discounted_limit`; None: costs weigh nothing.
      multiplier_rate: Of v, per update.
      initial_variable: v to begin with.
    """

    gamma: float = 0.99
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 3e-4
    target_rate: float = 0.005
    temperature: float = 0.005
    cost_limit: float | None = None
    multiplier_rate: float = 1e-3
    initial_variable: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma < 1.0 or not 0.0 < self.target_rate <= 1.0 or not self.temperature >= 0.0:
            raise ValueError(f"expected gamma in [0, 1), target_rate in (0, 1] and temperature >= 0, got {self}")
        if not (self.cost_limit is None or self.cost_limit > 0.0) or not self.multiplier_rate > 0.0:
            raise ValueError(f"expected cost_limit and multiplier_rate above 0, got {self}")


class Encoder(Protocol):
    """Network that makes features of sequences of observations; a torch module with a GRU, `VisualEncoder` for one."""

    @property
    def units(self) -> int:
        """Length of its memory, which is what it gives, too."""
        ...

    def __call__(self, observation: Tensor, memory: Tensor) -> Tensor:
        """Memories after every step, (b, t, units), of observations (b, t, k) and the memory (b, units) before."""
        ...


class Critics(nn.Module):
    """An encoder, and critics of rewards and of costs that look at its features and teach it."""

    def __init__(self, encoder: nn.Module, units: int, actions: int, hidden: tuple[int, ...], seed: int) -> None:
        """Take an encoder over, and draw critics: twins of rewards, one of costs."""
        super().__init__()
        self.encoder = encoder
        self.reward = TwinCritic(units, actions, hidden, generator(Purpose.CRITIC_INITIALISATION, seed))
        drawn = generator(Purpose.SAFE_CRITIC_INITIALISATION, seed)
        self.cost = TwinCritic(units, actions, hidden, drawn, members=1)


class RecurrentSac:
    """An agent with a memory that explores by its own noise. Not for several threads; one of torch.

    The encoder learns from the critics; the actor takes its features as they are.

    Attributes:
      units: Length of the memory.
      noise_size: Numbers of noise per action.
      updates: Updates done.
      head: The actor's head as it learns, a function of the features.
      variable: v, of which the multiplier is the softplus.
    """

    def __init__(self, encoder: Encoder, bound: Array, settings: RecurrentSacSettings, *, seed: int) -> None:
        """Draw the actor's head and the critics.

        Args:
          encoder: A torch module; it is taken over.
          bound: Largest |action|, shape (n,).
          settings: See `RecurrentSacSettings`.
          seed: Equal seeds and encoders give equal networks.

        Raises:
          ValueError: if a size, a bound or a rate is not positive.
        """
        self._settings, self.noise_size, self.updates = settings, len(bound), 0
        self.units, self.variable = encoder.units, settings.initial_variable
        rate, hidden = settings.learning_rate, settings.hidden
        self.head = SquashedActor(self.units, bound, hidden, generator(Purpose.POLICY_INITIALISATION, seed))
        self._acting = TrainedNetwork(self.head, learning_rate=rate)
        critics = Critics(cast(nn.Module, encoder), self.units, len(bound), hidden, seed)
        self._critics = TrainedNetwork(critics, learning_rate=rate, target_rate=settings.target_rate)

    @property
    def encoder(self) -> nn.Module:
        """The encoder as it learns."""
        return self._critics.network.encoder

    @property
    def multiplier(self) -> float:
        """Lambda; 0 where costs weigh nothing."""
        return 0.0 if self._settings.cost_limit is None else softplus(self.variable)

    def act(self, observation: Array, memory: Array, noise: Array) -> tuple[Array, Array]:
        """Draw actions to explore with.

        Args:
          observation: Shape (b, k).
          memory: What is remembered of each episode, shape (b, units); zero at its start.
          noise: Independent standard normal values, shape (b, noise_size).

        Returns:
          Actions in their unit, shape (b, n), and the memory afterwards, shape (b, units).
        """
        with single_thread():
            seen, before, drawn = (
                torch.from_numpy(np.asarray(given, dtype=np.float32)) for given in (observation, memory, noise)
            )
            after = self.encoder(seen[:, None], before)[:, 0]
            action, _ = self.head.sample(after, drawn)
            return (action * self.head.bound).numpy().astype(np.float64), after.numpy().astype(np.float64)

    def update(self, sequences: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, float]:
        """Take a step of encoder and critics, of the actor, of the multiplier and of the targets.

        Args:
          sequences: See `SequenceReplay.sample`.
          rng: Draws the actions of the actor.

        Returns:
          critic_loss, cost_critic_loss, actor_loss, entropy, cost_value (the mean of Q_c) and multiplier.
        """
        with one_thread():
            given = {
                name: torch.from_numpy(np.asarray(sequences[name], dtype=np.float32))
                for name in ("observation", "memory", "chosen", "reward", "cost", "terminated")
            }
            observation, memory = given.pop("observation"), given.pop("memory")
            features = self.encoder(observation, memory)
            here, following = _flat(features[:, :-1]), _flat(features[:, 1:]).detach()
            chosen = _flat(given.pop("chosen")) / self.head.bound
            drawn = rng.standard_normal((2, *chosen.shape), dtype=np.float32)
            noise, next_noise = torch.from_numpy(drawn)
            with torch.no_grad():
                next_action, next_density = self.head.sample(following, next_noise)
                next_features = _flat(self._critics.target.encoder(observation, memory)[:, 1:])
                targets = self._targets(given, next_features, next_action, next_density)
            critics = self._critics.network
            losses = [
                critic_loss(critic(here, chosen), target)
                for critic, target in zip((critics.reward, critics.cost), targets, strict=True)
            ]
            self._critics.descend(losses[0] + losses[1])
            watched = self._actor_step(here.detach(), noise)
            self._critics.follow()
        self.updates += 1
        return {"critic_loss": losses[0].item(), "cost_critic_loss": losses[1].item()} | watched

    def _targets(
        self, given: Mapping[str, Tensor], features: Tensor, action: Tensor, log_density: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Targets of the critics of rewards and of costs, shape (b * t,) each."""
        reward, cost, terminated = (given[name].flatten() for name in ("reward", "cost", "terminated"))
        target, gamma = self._critics.target, self._settings.gamma
        alpha = torch.tensor(self._settings.temperature)
        value = soft_value(target.reward(features, action), log_density, alpha)
        cost_value = target.cost.first(features, action)
        return (
            bellman_target(reward, terminated, value, gamma),
            bellman_target(cost, terminated, cost_value, gamma),
        )

    def _actor_step(self, features: Tensor, noise: Tensor) -> dict[str, float]:
        critics, alpha = self._critics.network, torch.tensor(self._settings.temperature)
        action, log_density = self.head.sample(features, noise)
        cost_value = critics.cost.first(features, action).mean()
        loss = actor_loss(critics.reward(features, action), log_density, alpha) + self.multiplier * cost_value
        self._acting.descend(loss)
        limit = self._settings.cost_limit
        if limit is not None:
            violation = cost_value.item() - limit
            self.variable = next_softplus_variable(self.variable, violation, self._settings.multiplier_rate)
        return {
            "actor_loss": loss.item(),
            "entropy": -log_density.mean().item(),
            "cost_value": cost_value.item(),
            "multiplier": self.multiplier,
        }

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {
            "updates": self.updates,
            "variable": self.variable,
            "acting": self._acting.state(),
            "critics": self._critics.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.updates, self.variable = int(state["updates"]), float(state["variable"])
        self._acting.restore(state["acting"])
        self._critics.restore(state["critics"])


def _flat(sequences: Tensor) -> Tensor:
    """Steps of all sequences one after the other, shape (b * t, ...)."""
    return sequences.flatten(0, 1)
