# SPDX-License-Identifier: Apache-2.0
"""Off-policy updates of a graph: between the iterations an agent learns from all episodes so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.learning.experience import experience
from safe_transfer_ros.learning.off_policy import COLUMNS, Agent, ReplayLearner, ReplaySettings
from safe_transfer_ros.learning.replay_buffer import Hindsight
from safe_transfer_ros.learning.rollouts import from_episodes
from safe_transfer_ros.learning.transitions import schema, transitions
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.transfer.checkpoints import LearnerCheckpoints, Part
from safe_transfer_ros.transfer.graph_learners import Beginning

Array = NDArray[np.float64]

SETTINGS = ReplaySettings(warmup=256, capacity=100_000)
_NEWEST = 3  # states: a run is cut at most one iteration behind the newest


class GraphAgent(Agent, Protocol):
    """An agent whose policy can act in a graph."""

    def proposing_file(self, metadata: Mapping[str, str]) -> bytes:
        """Policy as it explores: what policy_server is to act with (`policies.loading.any_policy_from_bytes`)."""
        ...

    def law(self, observation: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the Gaussian that it has learned to draw from, (b, n) each.

        In any coordinates that do not change from update to update: a divergence is the same in all.
        """
        ...

    @property
    def learned_share(self) -> float:
        """Share of the proposals that are drawn from it; the others do not change."""
        ...


def gaussian_divergence(before: tuple[Array, Array], after: tuple[Array, Array]) -> float:
    """KL divergence before || after, summed over dimensions, mean over states.

    Args:
      before: Mean and standard deviation > 0, shape (b, n) each.
      after: The same of the other.
    """
    (mean, stddev), (other, spread) = before, after
    terms = np.log(spread / stddev) + (stddev**2 + (mean - other) ** 2) / (2.0 * spread**2) - 0.5
    return float(terms.sum(axis=1).mean())


class OffPolicyUpdates:
    """An agent as the learner of a graph; see `PolicyUpdates`.

    Attributes:
      agent: The one that learns.
      kl_bound: Divergence of the last update: none is bounded beforehand, so what it came to is all that can be said.
    """

    def __init__(
        self,
        beginning: Beginning,
        agent: GraphAgent,
        settings: ReplaySettings = SETTINGS,
        *,
        hindsight: Hindsight | None = None,
    ) -> None:
        """Start with what earlier recordings tell, or go on with a run.

        Args:
          beginning: Task, seed, recordings and checkpoints.
          agent: Learns.
          settings: Of its learning.
          hindsight: Gives other goals to some of the transitions that are learned from.

        Raises:
          BagError: if a recording cannot be read or is of another task.
          ConfigurationError: if what was kept is missing or damaged.
        """
        self.agent, self.kl_bound, self._graph = agent, 0.0, beginning.graph
        task = beginning.graph.task
        columns = schema(task.action_size, task.observation_size, columns=COLUMNS)
        self._learner = ReplayLearner(agent, columns, settings, seed=beginning.seed, hindsight=hindsight)
        self._folder = beginning.checkpoints
        self._checkpoints = (
            None if self._folder is None else LearnerCheckpoints(self._folder, "off_policy", newest=_NEWEST)
        )
        if beginning.first_iteration:
            if self._checkpoints is None:
                raise ValueError("a resumed run of an off-policy learner needs the folder of its checkpoints")
            self._checkpoints.restore(beginning.first_iteration, self._go_on)
            return
        for path in beginning.experience:
            self._learner.give(experience(path, beginning.graph, COLUMNS))
        self._keep(0)

    def policy(self, metadata: Mapping[str, str]) -> bytes:
        """See `PolicyUpdates.policy`."""
        return self.agent.proposing_file(metadata)

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`; the divergence is of what is proposed, the other actors' share included."""
        columns = columns_of(episodes, self._graph, iteration)
        before = self.agent.law(columns["observation"])
        self._learner.buffer.add(columns)
        self._learner.learn()
        self.kl_bound = self.agent.learned_share * gaussian_divergence(before, self.agent.law(columns["observation"]))
        self._keep(iteration + 1)
        return self.kl_bound

    def critic(self) -> bytes | None:
        """See `PolicyUpdates.critic`: none that the filter is to ask."""
        return None

    def _go_on(self, state: Mapping[str, Any], parts: Sequence[Part]) -> None:
        for part in parts:
            self._learner.buffer.add(part)
        self._learner.restore(state)

    def _keep(self, version: int) -> None:
        if self._checkpoints is None or self._folder is None:
            return
        state = {name: part for name, part in self._learner.state().items() if name != "buffer"}
        self._checkpoints.keep(version, state, self._learner.buffer)
        learned = self.agent.policy_file({"task": self._graph.task.name, "version": str(version)})
        if learned is not None:
            write_atomically(self._folder / f"learned_{version:05d}.safetensors", learned)


def columns_of(
    episodes: Sequence[Episode], graph: TaskInGraph, iteration: int, *, ends_on_failure: bool = False
) -> dict[str, NDArray[Any]]:
    """Transitions of an iteration's episodes, as an off-policy learner takes them.

    Actions are those that were chosen, cut to their bound: of what is beyond it reward and cost are the bound's.

    Args:
      episodes: At least one, numbered without a gap.
      graph: The task.
      iteration: They belong to.
      ends_on_failure: Whether what lies beyond a failure is cut off, and the failure ends the episode.
    """
    rollouts = from_episodes(episodes, graph.task, action_bound=graph.action_bound, ends_on_failure=ends_on_failure)
    first = min(episode.index for episode in episodes)
    found = transitions(rollouts, iteration=iteration, first_episode=first)
    bound = graph.action_bound.astype(np.float32)
    return {name: found[name] for name in COLUMNS} | {"chosen": np.clip(found["chosen"], -bound, bound)}
