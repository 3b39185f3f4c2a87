# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic: the order of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from safe_transfer_ros.algorithms.cost_critic import CostCritic, CostCriticSettings
from safe_transfer_ros.algorithms.double_q import TransitionBatch, bellman_target, critic_loss
from safe_transfer_ros.algorithms.sac.actor import actor_loss
from safe_transfer_ros.algorithms.sac.cost_constraint import CostConstraint, CostConstraintSettings
from safe_transfer_ros.algorithms.sac.critic import soft_value
from safe_transfer_ros.algorithms.sac.temperature import Temperature, temperature_loss
from safe_transfer_ros.algorithms.single_thread import one_thread, single_thread
from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.networks.actor_file import actor_to_bytes
from safe_transfer_ros.policies.networks.actors import SquashedActor
from safe_transfer_ros.policies.networks.layers import load
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SacSettings:
    """Settings of SAC; the defaults are the paper's.

    Attributes:
      gamma: Discount, in [0, 1).
      hidden: Widths of the hidden layers of actor and critics.
      learning_rate: Of actor, critics and temperature.
      target_rate: How far the critics' targets move at each update.
      initial_temperature: alpha to begin with.
      target_entropy: Of actions as fractions of their bound; None: minus the length of an action.
      members: Critics.
      quantile: Of the critics' values, that actor and targets go by; 0: the least, as the twins have it.
      max_entropy: Whether there is a temperature; False: alpha is 0.
      critics_first: Updates of the critics alone, before actor and temperature begin to learn: an actor that comes with
        experience is not to follow critics that have none.
    """

    gamma: float = 0.99
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 3e-4
    target_rate: float = 0.005
    initial_temperature: float = 1.0
    target_entropy: float | None = None
    members: int = 2
    quantile: float = 0.0
    max_entropy: bool = True
    critics_first: int = 0

    def __post_init__(self) -> None:
        if self.members < 1 or not 0.0 <= self.quantile <= 1.0 or self.critics_first < 0:
            raise ValueError(f"expected members of at least 1, quantile in [0, 1] and critics_first >= 0, got {self}")
        if not 0.0 <= self.gamma < 1.0 or not 0.0 < self.target_rate <= 1.0:
            raise ValueError(f"expected gamma in [0, 1) and target_rate in (0, 1], got {self}")


class ActorPenalty(Protocol):
    """Term of the actor's loss beside the reward, for example a multiplier times a critic's risk."""

    def __call__(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Penalty, a scalar with a graph through the action: the gradient has to reach the policy.

        Args:
          observation: Shape (b, k).
          action: Drawn differentiably from the policy, as a fraction of its bound, shape (b, n).
        """
        ...


class Sac:
    """An agent that explores by its own noise. Not for several threads; one of torch: its last bits are repeatable.

    Attributes:
      noise_size: Numbers of noise per action.
      updates: Updates done.
    """

    def __init__(
        self,
        observation_size: int,
        bound: Array,
        settings: SacSettings,
        *,
        seed: int,
        constraint: CostConstraintSettings | None = None,
        penalty: ActorPenalty | None = None,
    ) -> None:
        """Draw networks.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          settings: See `SacSettings`.
          seed: Equal seeds give equal networks.
          constraint: On the costs of transitions, which makes it SAC-Lagrangian; None: costs are ignored.
          penalty: Added to the actor's loss; whose state it is, keeps it.

        Raises:
          ValueError: if a size, a bound or a rate is not positive.
        """
        self._settings, self.noise_size, self.updates = settings, len(bound), 0
        rate, hidden = settings.learning_rate, settings.hidden
        drawn = generator(Purpose.POLICY_INITIALISATION, seed)
        self._actor = SquashedActor(observation_size, bound, hidden, drawn)
        self._temperature = Temperature(settings.initial_temperature)
        # Neither's loss hangs on the other, so they share a step.
        both = nn.ModuleDict({"actor": self._actor, "temperature": self._temperature})
        self._acting = TrainedNetwork(both, learning_rate=rate)
        drawn = generator(Purpose.CRITIC_INITIALISATION, seed)
        critic = TwinCritic(observation_size, len(bound), hidden, drawn, members=settings.members)
        self._critic = TrainedNetwork(critic, learning_rate=rate, target_rate=settings.target_rate)
        self._penalty = penalty
        self._constraint: CostConstraint | None = None
        if constraint is not None:
            about = CostCriticSettings(
                gamma=constraint.gamma, hidden=hidden, learning_rate=rate, target_rate=settings.target_rate
            )
            drawn = generator(Purpose.SAFE_CRITIC_INITIALISATION, seed)
            cost_critic = CostCritic(observation_size, len(bound), about, drawn)
            self._constraint = CostConstraint(cost_critic, constraint)
        target = settings.target_entropy
        self._target_entropy = -float(len(bound)) if target is None else target

    def act(self, observation: Array, noise: Array) -> Array:
        """Draw actions to explore with, shape (b, n), in their unit.

        Args:
          observation: Shape (b, k).
          noise: Independent standard normal values, shape (b, noise_size).
        """
        with single_thread():
            actor = self._actor
            seen, drawn = (torch.from_numpy(np.asarray(given, dtype=np.float32)) for given in (observation, noise))
            action, _ = actor.sample(seen, drawn)
            return (action * actor.bound).numpy().astype(np.float64)

    def update(self, columns: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, float]:
        """Take a step of the critics, of actor and temperature, and of the targets.

        Args:
          columns: Transitions, see `TransitionBatch.of`; with their cost where there is a constraint.
          rng: Draws the actions of the actor.

        Returns:
          critic_loss, actor_loss, temperature and entropy; cost_critic_loss and multiplier where there is a constraint.
        """
        actor, critic = self._actor, self._critic.network
        with one_thread():
            batch = TransitionBatch.of(columns, actor.bound)
            drawn = rng.standard_normal((2, *batch.action.shape), dtype=np.float32)
            noise, next_noise = torch.from_numpy(drawn)
            temperature = self._temperature()
            alpha = temperature.detach() * float(self._settings.max_entropy)
            with torch.no_grad():
                next_action, next_density = actor.sample(batch.next_observation, next_noise)
            watched = {"critic_loss": self._critic_step(batch, next_action, next_density, alpha)}
            action, log_density = actor.sample(batch.observation, noise)
            loss = actor_loss(self._pessimistic(critic(batch.observation, action)), log_density, alpha)
            if self._constraint is not None:
                cost = torch.from_numpy(np.asarray(columns["cost"], dtype=np.float32))
                watched["cost_critic_loss"] = self._constraint.critic.learn(batch, cost, next_action)
                loss = loss + self._constraint.penalty(batch.observation, action)
                watched["multiplier"] = self._constraint.multiplier
            if self._penalty is not None:
                loss = loss + self._penalty(batch.observation, action)
            if self.updates >= self._settings.critics_first:
                self._acting.descend(loss + temperature_loss(temperature, log_density, self._target_entropy))
            self._critic.follow()
        self.updates += 1
        return watched | {
            "actor_loss": loss.item(),
            "temperature": alpha.item(),
            "entropy": -log_density.mean().item(),
        }

    def _critic_step(
        self, batch: TransitionBatch, action: torch.Tensor, log_density: torch.Tensor, alpha: torch.Tensor
    ) -> float:
        with torch.no_grad():
            values = self._pessimistic(self._critic.target(batch.next_observation, action))
            following = soft_value(values, log_density, alpha)
            target = bellman_target(batch.reward, batch.terminated, following, self._settings.gamma)
        loss = critic_loss(self._critic.network(batch.observation, batch.action), target)
        self._critic.descend(loss)
        return loss.item()

    def _pessimistic(self, values: torch.Tensor) -> torch.Tensor:
        """The members' values (members, b), or their quantile (1, b), of which the least is itself."""
        quantile = self._settings.quantile
        return values.quantile(quantile, dim=0, keepdim=True) if quantile else values

    def start_from(self, parameters: Mapping[str, NDArray[np.float32]], temperature: float | None = None) -> None:
        """Begin with an actor that has learned elsewhere; before the first update.

        Args:
          parameters: Of an actor of these sizes, as its policy file has them.
          temperature: alpha to begin with; None: that of the settings.

        Raises:
          ValueError: if it is an actor of other sizes.
        """
        load(self._actor, dict(parameters))
        if temperature is not None:
            self._temperature.load_state_dict(Temperature(temperature).state_dict())

    @property
    def temperature(self) -> float:
        """Alpha."""
        return self._temperature().item()

    @property
    def actor(self) -> SquashedActor:
        """The actor as it learns."""
        return self._actor

    def policy(self) -> SquashedPolicy:
        """Make the policy that acts on the robot side."""
        return self._actor.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """Serialise that policy, with metadata of the run and the temperature, for who goes on from it."""
        return actor_to_bytes(self._actor, {**metadata, "temperature": repr(self.temperature)})

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        found = {"updates": self.updates, "acting": self._acting.state(), "critic": self._critic.state()}
        return found if self._constraint is None else found | {"constraint": self._constraint.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.updates = int(state["updates"])
        self._acting.restore(state["acting"])
        self._critic.restore(state["critic"])
        if self._constraint is not None:
            self._constraint.restore(state["constraint"])
