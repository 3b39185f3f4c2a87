# SPDX-License-Identifier: Apache-2.0
"""DARL's dual agent in a graph: the pair acts, and the safe agent learns between the iterations.

policy_server draws the coin and the noise, so every decision of the filter says which agent acted. The baseline is the
run's policy, of any kind that remembers nothing, imported ones too, or a hand-written controller; it stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.learning.off_policy import ReplaySettings
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.loading import Part, pair_to_bytes, parts_of
from safe_transfer_ros.policies.mlp import hidden_widths
from safe_transfer_ros.policies.pair import ACTORS, PairPolicy
from safe_transfer_ros.policies.tensors import WeightsError, read
from safe_transfer_ros.transfer.dual_agent.agent import DualAgent, DualAgentSettings
from safe_transfer_ros.transfer.dual_agent.baseline import GivenBaseline, alone, baseline_policy, without_noise
from safe_transfer_ros.transfer.graph_learners import Beginning
from safe_transfer_ros.transfer.off_policy.graph import SETTINGS, OffPolicyUpdates

Array = NDArray[np.float64]

_BASELINE, _SAFE = ACTORS


class ServedPair:
    """A dual agent whose pair is served by another process; a `transfer.off_policy.graph.GraphAgent`.

    Attributes:
      noise_size: Of the agent.
      learned_share: Of the safe agent in the proposals.
    """

    def __init__(self, agent: DualAgent, baseline: Part, settings: DualAgentSettings, bound: Array) -> None:
        """Take an agent and the content of its baseline's file."""
        self._agent, self._baseline, self._settings = agent, baseline, settings
        self._stddev = settings.exploration * bound
        self.noise_size, self.learned_share = agent.noise_size, 1.0 - settings.baseline_share

    def act(self, observation: Array, noise: Array) -> Array:
        """See `Agent.act`."""
        return self._agent.act(observation, noise)

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """See `Agent.update`."""
        return self._agent.update(columns, rng)

    def policy(self) -> DeterministicPolicy:
        """See `Agent.policy`: the safe agent's."""
        return self._agent.policy()

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """See `Agent.policy_file`: the safe agent's, without noise."""
        return self._agent.policy_file(metadata)

    def proposing_file(self, metadata: Mapping[str, str]) -> bytes:
        """See `GraphAgent.proposing_file`: the pair, whose actions are drawn around those of the one that acts."""
        settings, safe = self._settings, read(self._agent.policy_file({}))
        about = {"baseline_share": str(settings.baseline_share), "exploration": str(settings.exploration)}
        return pair_to_bytes({_BASELINE: self._baseline, _SAFE: safe}, {**metadata, **about})

    def law(self, observation: Array) -> tuple[Array, Array]:
        """See `GraphAgent.law`: the safe agent's."""
        action = self._agent.policy().act(observation, np.zeros((len(observation), 0))).action
        return action, np.broadcast_to(self._stddev, action.shape)

    def state(self) -> dict[str, Any]:
        """See `Agent.state`; the baseline counts by its content."""
        return self._agent.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Agent.restore`."""
        self._agent.restore(state)


class DualAgentUpdates(OffPolicyUpdates):
    """A dual agent as the learner of a graph."""

    def __init__(
        self, beginning: Beginning, settings: DualAgentSettings | None = None, replay: ReplaySettings = SETTINGS
    ) -> None:
        """Start beside a baseline, go on from a pair, or go on with a run.

        Args:
          beginning: Its policy is the baseline, or a pair with one: then the safe agent begins as the pair's.
          settings: Of the agent; None: DARL's, with the task's horizon and the width of a pair's safe agent.
          replay: Of its learning.

        Raises:
          ValueError: if the task's actions are torques, or the policy is none that a baseline can be.
        """
        graph = beginning.graph
        if graph.torques:
            # It explores by fractions of an action's bound: of torques that is a joint's whole effort.
            raise ValueError(f"learner dual_agent takes tasks of tool motions, got {graph.task.name}")
        baseline, safe = _agents(beginning.policy)
        task, bound = graph.task, graph.action_bound
        settings = settings or DualAgentSettings(horizon=task.horizon, **_width(safe))
        try:
            policy = baseline_policy(baseline, observation_size=task.observation_size, action_size=task.action_size)
        except WeightsError as error:
            raise WeightsError(f"{_BASELINE}: {error}") from error
        given = GivenBaseline(partial(without_noise, policy), bound, baseline)
        agent = DualAgent(task.observation_size, bound, given, settings, seed=beginning.seed)
        if safe is not None:
            agent.begin_with(safe[0])
        super().__init__(beginning, ServedPair(agent, baseline, settings, bound), replay)


def _agents(policy: bytes) -> tuple[Part, Part | None]:
    """Baseline, and the safe agent where the policy is a pair."""
    tensors, about = read(policy)
    if about.get("kind") != PairPolicy.kind:
        return alone((tensors, about)), None
    parts = parts_of(tensors, about)
    if parts[_SAFE][1].get("kind") != DeterministicPolicy.kind:
        raise WeightsError(
            f"expected a pair whose safe agent is {DeterministicPolicy.kind}, got {parts[_SAFE][1].get('kind')}"
        )
    return parts[_BASELINE], parts[_SAFE]


def _width(safe: Part | None) -> dict[str, Any]:
    return {} if safe is None else {"hidden": tuple(hidden_widths(safe[0])[1])}
