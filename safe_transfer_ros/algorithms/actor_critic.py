# SPDX-License-Identifier: Apache-2.0
"""A deterministic actor and its twin critics, with what they learn by: TD3's, and the safe agent's of DARL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.trained_network import TrainedNetwork
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.networks.actor_file import actor_to_bytes
from safe_transfer_ros.policies.networks.actors import DeterministicActor
from safe_transfer_ros.policies.networks.twin_critic import TwinCritic


class ActorCritic:
    """The two networks while they learn, and the targets that follow both.

    Attributes:
      actor: pi, actions as fractions of their bound.
      critic: Q of the twins.
    """

    def __init__(
        self,
        observation_size: int,
        bound: NDArray[np.float64],
        *,
        hidden: tuple[int, ...],
        learning_rate: float,
        target_rate: float,
        actor_rng: np.random.Generator,
        critic_rng: np.random.Generator,
    ) -> None:
        """Draw networks.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,).
          hidden: Widths of the hidden layers of both.
          learning_rate: Of both optimisers.
          target_rate: How far the targets move at each `follow`.
          actor_rng: Draws the actor.
          critic_rng: Draws the critics.

        Raises:
          ValueError: if a size, a bound or a rate is not positive.
        """
        rates = {"learning_rate": learning_rate, "target_rate": target_rate}
        self.actor = TrainedNetwork(DeterministicActor(observation_size, bound, hidden, actor_rng), **rates)
        self.critic = TrainedNetwork(TwinCritic(observation_size, len(bound), hidden, critic_rng), **rates)

    def follow(self) -> None:
        """Move both targets."""
        self.critic.follow()
        self.actor.follow()

    def policy(self) -> DeterministicPolicy:
        """Make the policy that acts on the robot side."""
        return self.actor.network.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """Serialise that policy, with metadata of the run."""
        return actor_to_bytes(self.actor.network, metadata)

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {"actor": self.actor.state(), "critic": self.critic.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.actor.restore(state["actor"])
        self.critic.restore(state["critic"])
