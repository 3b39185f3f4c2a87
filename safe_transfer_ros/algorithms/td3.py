# SPDX-License-Identifier: Apache-2.0
"""Twin delayed deep deterministic policy gradient (TD3, Fujimoto et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.actor_critic import ActorCritic
from safe_transfer_ros.algorithms.double_q import TransitionBatch, bellman_target, critic_loss
from safe_transfer_ros.algorithms.single_thread import one_thread, single_thread
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Td3Settings:
    """Settings of TD3; the defaults are the paper's.

    Attributes:
      gamma: Discount, in [0, 1).
      hidden: Widths of the hidden layers of actor and critics.
      learning_rate: Of both optimisers.
      target_rate: How far the targets move at each update of the actor.
      exploration: Standard deviation of what is added to actions, as a fraction of their bound.
      smoothing: Standard deviation of what is added to the target's actions, likewise.
      smoothing_bound: Largest magnitude of that.
      delay: Updates of the critics per update of the actor and of the targets.
    """

    gamma: float = 0.99
    hidden: tuple[int, ...] = (400, 300)
    learning_rate: float = 1e-3
    target_rate: float = 0.005
    exploration: float = 0.1
    smoothing: float = 0.2
    smoothing_bound: float = 0.5
    delay: int = 2

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma < 1.0 or not 0.0 < self.target_rate <= 1.0 or self.delay < 1:
            raise ValueError(f"expected gamma in [0, 1), target_rate in (0, 1] and a delay of at least 1, got {self}")
        if min(self.exploration, self.smoothing, self.smoothing_bound) < 0.0:
            raise ValueError(f"expected noise of at least 0, got {self}")


def smoothed(action: Tensor, noise: Tensor, smoothing: float, smoothing_bound: float) -> Tensor:
    """Actions of the target beside its own, so that no narrow peak of Q is learned from (Fujimoto et al. Eq. 14-15).

    Args:
      action: As fractions of their bound, any shape.
      noise: Independent standard normal values, the same shape.
      smoothing: Standard deviation of what is added.
      smoothing_bound: Largest magnitude of that.
    """
    return (action + (smoothing * noise).clamp(-smoothing_bound, smoothing_bound)).clamp(-1.0, 1.0)


class Td3:
    """An agent that explores by noise added to its actions. Not for several threads; one of torch.

    Attributes:
      noise_size: Numbers of noise per action.
      updates: Updates done.
    """

    def __init__(self, observation_size: int, bound: Array, settings: Td3Settings, *, seed: int) -> None:
        """Draw networks.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          settings: See `Td3Settings`.
          seed: Equal seeds give equal networks.

        Raises:
          ValueError: if a size, a bound or a rate is not positive.
        """
        self._settings, self.noise_size, self.updates = settings, len(bound), 0
        self._networks = ActorCritic(
            observation_size,
            bound,
            hidden=settings.hidden,
            learning_rate=settings.learning_rate,
            target_rate=settings.target_rate,
            actor_rng=generator(Purpose.POLICY_INITIALISATION, seed),
            critic_rng=generator(Purpose.CRITIC_INITIALISATION, seed),
        )
        self._actor, self._critic = self._networks.actor, self._networks.critic

    def act(self, observation: Array, noise: Array) -> Array:
        """Actions to explore with, shape (b, n), in their unit.

        Args:
          observation: Shape (b, k).
          noise: Independent standard normal values, shape (b, noise_size).
        """
        with single_thread():
            actor = self._actor.network
            seen, drawn = (torch.from_numpy(np.asarray(given, dtype=np.float32)) for given in (observation, noise))
            action = (actor(seen) + self._settings.exploration * drawn).clamp(-1.0, 1.0)
            return (action * actor.bound).numpy().astype(np.float64)

    def update(self, columns: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, float]:
        """Take a step of the critics, and at every `delay`-th one of the actor and the targets.

        Args:
          columns: Transitions, see `TransitionBatch.of`.
          rng: Draws the noise of the target's actions.

        Returns:
          critic_loss, and actor_loss where the actor took a step.
        """
        actor, critic = self._actor.network, self._critic.network
        self.updates += 1
        with one_thread():
            batch = TransitionBatch.of(columns, actor.bound)
            noise = torch.from_numpy(rng.standard_normal(batch.action.shape, dtype=np.float32))
            error = critic_loss(critic(batch.observation, batch.action), self._target(batch, noise))
            self._critic.descend(error)
            if self.updates % self._settings.delay:
                return {"critic_loss": error.item()}
            loss = -critic.first(batch.observation, actor(batch.observation)).mean()
            self._actor.descend(loss)
            self._networks.follow()
        return {"critic_loss": error.item(), "actor_loss": loss.item()}

    def _target(self, batch: TransitionBatch, noise: Tensor) -> Tensor:
        settings = self._settings
        with torch.no_grad():
            own = self._actor.target(batch.next_observation)
            action = smoothed(own, noise, settings.smoothing, settings.smoothing_bound)
            following = self._critic.target(batch.next_observation, action).amin(dim=0)
            return bellman_target(batch.reward, batch.terminated, following, settings.gamma)

    def policy(self) -> DeterministicPolicy:
        """Make the policy that acts on the robot side, without the noise."""
        return self._networks.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """Serialise that policy, with metadata of the run."""
        return self._networks.policy_file(metadata)

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {"updates": self.updates, **self._networks.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.updates = int(state["updates"])
        self._networks.restore(state)
