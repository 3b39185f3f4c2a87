# SPDX-License-Identifier: Apache-2.0
"""Two agents in one policy: a baseline, and a safe one beside it (DARL).

A pair that explores draws its actions around what either would do without its own noise: N(a, spread^2), one law
whoever acts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.policy import GAUSSIAN, Act, Policy
from safe_transfer_ros.policies.tensors import WeightsError

Array = NDArray[np.float64]

ACTORS = ("baseline", "safe")


class PairPolicy:
    """Each step one of two agents acts, the baseline with probability `baseline_share` (DARL explores with 1/2).

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: One number that chooses the agent, and what the one needs that needs more.
    """

    kind: ClassVar[str] = "pair"

    def __init__(
        self, agents: Mapping[str, Policy], baseline_share: float = 0.0, *, spread: Array | None = None
    ) -> None:
        """Join two agents.

        Args:
          agents: By name, see `ACTORS`.
          baseline_share: Probability of the baseline acting, in [0, 1].
          spread: Standard deviation to explore with, shape (action_size,), > 0, in the unit of the actions; None: each
            acts with its own noise.

        Raises:
          WeightsError: if their observations or actions differ in length.
        """
        sizes = {(agent.observation_size, agent.action_size) for agent in agents.values()}
        if len(sizes) != 1:
            raise WeightsError(f"expected agents of one size, got observations and actions {sorted(sizes)}")
        self._agents, self._share = dict(agents), baseline_share
        ((self.observation_size, self.action_size),) = sizes
        if spread is not None and (spread.shape != (self.action_size,) or not (spread > 0.0).all()):
            raise WeightsError(f"expected a spread above 0 for each of {self.action_size} actions, got {spread}")
        self._spread = spread
        own = max(agent.noise_size for agent in agents.values())
        self.noise_size = 1 + (own if spread is None else self.action_size)

    def begin(self) -> None:
        """Begin an episode in both agents."""
        for agent in self._agents.values():
            agent.begin()

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; one episode at a time. Both agents see the observation, so that both remember it.

        Raises:
          ValueError: for several episodes side by side.
        """
        noise = np.asarray(noise, dtype=np.float64)
        if noise.shape != (self.noise_size,):
            raise ValueError(f"expected noise of shape ({self.noise_size},), got {noise.shape}: one episode at a time")
        # Phi(noise) is uniform in (0, 1).
        actor = ACTORS[0] if 0.5 * math.erfc(-noise[0] / math.sqrt(2.0)) < self._share else ACTORS[1]
        given = (
            noise[1:] if self._spread is None else np.zeros(max(agent.noise_size for agent in self._agents.values()))
        )
        acts = {name: agent.act(observation, given[: agent.noise_size]) for name, agent in self._agents.items()}
        chosen = acts[actor]
        if self._spread is not None:
            return Act(
                action=chosen.action + self._spread * noise[1:],
                distribution=GAUSSIAN,
                mean=chosen.action,
                stddev=self._spread,
                actor=actor,
            )
        return Act(
            action=chosen.action,
            distribution=chosen.distribution,
            mean=chosen.mean,
            stddev=chosen.stddev,
            bound=chosen.bound,
            actor=actor,
        )
