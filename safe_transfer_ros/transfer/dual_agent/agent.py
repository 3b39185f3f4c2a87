# SPDX-License-Identifier: Apache-2.0
"""Dual agent: a baseline that earns, and a safe agent that imitates it as far as safety allows (DARL)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.actor_critic import ActorCritic
from safe_transfer_ros.algorithms.double_q import TransitionBatch, critic_loss
from safe_transfer_ros.algorithms.lagrange import next_multiplier, required_safety
from safe_transfer_ros.algorithms.safe_correction import correction_loss, safety_target
from safe_transfer_ros.algorithms.single_thread import one_thread, single_thread
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.networks.layers import load
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.transfer.dual_agent.baseline import Baseline

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DualAgentSettings:
    """Settings of the safe agent; the defaults are DARL's where it states them.

    Attributes:
      horizon: T, steps of an episode.
      tolerance: delta, share of an episode's steps that may be unsafe.
      gamma: Discount of safe steps; DARL says "small", .9 is ours.
      hidden: Widths of the hidden layers of actor and critics.
      learning_rate: Of both optimisers.
      target_rate: How far the targets move at each update of the actor.
      exploration: Standard deviation of what is added to actions, whoever acts, as a fraction of their bound.
      baseline_share: Probability of the baseline acting at a step, in [0, 1].
      multiplier_rate: eta.
      delay: Updates of the critics per update of the actor, the multiplier and the targets, as TD3 has it.
    """

    horizon: int
    tolerance: float = 0.05
    gamma: float = 0.9
    hidden: tuple[int, ...] = (400, 300)
    learning_rate: float = 1e-3
    target_rate: float = 0.005
    exploration: float = 0.1
    baseline_share: float = 0.5
    multiplier_rate: float = 1e-3
    delay: int = 2

    def __post_init__(self) -> None:
        self.required_safety()  # checks horizon, gamma and tolerance
        if not (0.0 <= self.baseline_share <= 1.0 and self.exploration >= 0.0 and self.delay >= 1):
            raise ValueError(
                f"expected baseline_share in [0, 1], exploration of at least 0 and a delay of at least 1, got {self}"
            )
        if not self.multiplier_rate > 0.0 or not 0.0 < self.target_rate <= 1.0:
            raise ValueError(f"expected multiplier_rate above 0 and target_rate in (0, 1], got {self}")

    def required_safety(self) -> float:
        """Gamma; see `lagrange.required_safety`."""
        return required_safety(self.horizon, self.gamma, self.tolerance)


class DualAgent:
    """An agent that explores by a coin between its two, and by noise; `policy` is the safe one.

    Attributes:
      noise_size: Numbers of noise per action: one for the coin, then one for each part of the action.
      updates: Updates done.
      multiplier: lambda.
    """

    def __init__(
        self, observation_size: int, bound: Array, baseline: Baseline, settings: DualAgentSettings, *, seed: int
    ) -> None:
        """Draw the safe agent's networks.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          baseline: The other agent.
          settings: See `DualAgentSettings`.
          seed: Equal seeds give equal networks.

        Raises:
          ValueError: if a size, a bound or a rate is not positive.
        """
        self._settings, self._baseline, self._bound = settings, baseline, np.asarray(bound, dtype=np.float64)
        self.noise_size, self.updates, self.multiplier = 1 + len(bound), 0, 0.0
        self._required = settings.required_safety()
        self._networks = ActorCritic(
            observation_size,
            bound,
            hidden=settings.hidden,
            learning_rate=settings.learning_rate,
            target_rate=settings.target_rate,
            actor_rng=generator(Purpose.SAFE_ACTOR_INITIALISATION, seed),
            critic_rng=generator(Purpose.SAFE_CRITIC_INITIALISATION, seed),
        )
        self._actor, self._critic = self._networks.actor, self._networks.critic

    def begin_with(self, actor: Mapping[str, NDArray[np.float32]]) -> None:
        """Let the safe agent begin as another has become, its target too; the critics know nothing yet.

        Args:
          actor: Parameters of a `deterministic` policy of these sizes.

        Raises:
          ValueError: if they are of another network.
        """
        for network in (self._actor.network, self._actor.target):
            load(network, dict(actor))

    def act(self, observation: Array, noise: Array) -> Array:
        """Actions to explore with, shape (b, n), in their unit.

        Args:
          observation: Shape (b, k).
          noise: Independent standard normal values, shape (b, noise_size).
        """
        by_baseline = self.baseline_acts(noise)
        action = self._safe_action(observation)
        if by_baseline.any():  # one that does not act may be slow, and need not be asked
            action[by_baseline] = self._baseline.act(observation[by_baseline])
        action += self._settings.exploration * self._bound * noise[:, 1:]
        return np.clip(action, -self._bound, self._bound)

    def baseline_acts(self, noise: Array) -> NDArray[np.bool_]:
        """Whether the baseline acts, shape (b,), by the first number of each row's noise, as `PairPolicy` has it."""
        uniform = [0.5 * math.erfc(-coin / math.sqrt(2.0)) for coin in noise[:, 0]]
        return np.asarray(uniform) < self._settings.baseline_share

    def update(self, columns: Columns, rng: np.random.Generator) -> dict[str, float]:
        """Take a step of both agents: the baseline if it learns, the safe critics, and every `delay`-th time the rest.

        Args:
          columns: Transitions with their cost, see `TransitionBatch.of`.
          rng: For the baseline.

        Returns:
          What the baseline gives, its names behind "baseline_", safe_critic_loss, and where the actor took a step
          distance (of the actions, squared), safety (mean of Q_I) and multiplier.
        """
        watched = {f"baseline_{name}": value for name, value in self._baseline.update(columns, rng).items()}
        self.updates += 1
        with one_thread():
            batch = TransitionBatch.of(columns, self._actor.network.bound)
            cost = torch.from_numpy(np.asarray(columns["cost"], dtype=np.float32))
            watched["safe_critic_loss"] = self._critic_step(batch, cost)
            if self.updates % self._settings.delay == 0:
                watched |= self._actor_step(batch, columns["observation"])
        return watched

    def _critic_step(self, batch: TransitionBatch, cost: torch.Tensor) -> float:
        with torch.no_grad():
            following = self._critic.target(batch.next_observation, self._actor.target(batch.next_observation))
            target = safety_target(cost, batch.terminated, following, self._settings.gamma)
        loss = critic_loss(self._critic.network(batch.observation, batch.action), target)
        self._critic.descend(loss)
        return loss.item()

    def _actor_step(self, batch: TransitionBatch, observation: NDArray[Any]) -> dict[str, float]:
        """Step of the actor along D - lambda Q, of lambda along Gamma - Q, and of the targets."""
        wanted = (self._baseline.act(observation) / self._bound).astype(np.float32)
        action = self._actor.network(batch.observation)
        values = self._critic.network(batch.observation, action).amin(dim=0)
        loss = correction_loss(action, torch.from_numpy(wanted), values, self.multiplier)
        safety = values.mean().item()
        distance = loss.item() + self.multiplier * safety
        self._actor.descend(loss)
        self.multiplier = next_multiplier(self.multiplier, self._required - safety, self._settings.multiplier_rate)
        self._networks.follow()
        return {"distance": distance, "safety": safety, "multiplier": self.multiplier}

    def _safe_action(self, observation: Array) -> Array:
        with single_thread():
            actor = self._actor.network
            seen = torch.from_numpy(np.asarray(observation, dtype=np.float32))
            return (actor(seen) * actor.bound).numpy().astype(np.float64)

    def policy(self) -> DeterministicPolicy:
        """Make the safe agent's policy that acts on the robot side, without the noise."""
        return self._networks.policy()

    def baseline_policy(self) -> DeterministicPolicy | None:
        """Make the baseline's policy as it has become; None: it does not learn."""
        return self._baseline.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """Serialise that policy, with metadata of the run."""
        return self._networks.policy_file(metadata)

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {
            "updates": self.updates,
            "multiplier": self.multiplier,
            **self._networks.state(),
            "baseline": self._baseline.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.updates, self.multiplier = int(state["updates"]), float(state["multiplier"])
        self._networks.restore(state)
        self._baseline.restore(state["baseline"])
