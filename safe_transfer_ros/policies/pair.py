# SPDX-License-Identifier: Apache-2.0
"""Two agents in one policy: a baseline, and a safe one beside it (DARL)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies import policy
from safe_transfer_ros.policies.policy import Act, Policy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError

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

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        """Make both agents.

        Args:
          tensors: Those of the agents, their names behind "baseline." and "safe.".
          metadata: baseline_share, in [0, 1]; baseline and safe: each agent's own metadata, with its kind, as JSON.

        Raises:
          WeightsError: if they are not those of this kind.
        """
        about = dict(metadata or {})
        made: dict[str, Policy] = {}
        for actor in ACTORS:
            own = {
                name.removeprefix(f"{actor}."): array for name, array in tensors.items() if name.startswith(f"{actor}.")
            }
            made[actor] = policy.policy_of(own, _metadata(about.get(actor, "{}"), actor), within=f"{actor}: ")
        strangers = [name for name in tensors if name.split(".")[0] not in ACTORS]
        if strangers:
            raise WeightsError(f"expected tensors of {' and '.join(ACTORS)} only, got {strangers[:4]}")
        sizes = {(agent.observation_size, agent.action_size) for agent in made.values()}
        if len(sizes) != 1:
            raise WeightsError(f"expected agents of one size, got observations and actions {sorted(sizes)}")
        self._agents = made
        self._share = _share(about.get("baseline_share", "0"))
        ((self.observation_size, self.action_size),) = sizes
        self.noise_size = 1 + max(agent.noise_size for agent in made.values())

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
        acts = {name: agent.act(observation, noise[1 : 1 + agent.noise_size]) for name, agent in self._agents.items()}
        chosen = acts[actor]
        return Act(
            action=chosen.action,
            distribution=chosen.distribution,
            mean=chosen.mean,
            stddev=chosen.stddev,
            bound=chosen.bound,
            actor=actor,
        )


def _metadata(text: str, actor: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WeightsError(f"{actor}: expected its metadata as JSON, got {text[:60]!r}") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise WeightsError(f"{actor}: expected its metadata as an object of strings, got {text[:60]!r}")
    if found.get("kind") == PairPolicy.kind:
        raise WeightsError(f"{actor}: a pair of pairs is not supported")
    return found


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0.0 <= share <= 1.0:
        raise WeightsError(f"expected baseline_share in [0, 1], got {text[:60]!r}")
    return share
