# SPDX-License-Identifier: Apache-2.0
"""Learners of a graph by name: what `learner:=NAME` may be. Light: the learner itself is loaded when it starts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.tasks.deployment import TaskInGraph


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a learner starts from.

    Attributes:
      graph: The task.
      parameters: The policy to go on from.
      max_kl: Largest KL divergence of one update, summed over action dimensions.
      leave_one_out: Whether an episode's own returns are left out of the baseline it is compared with.
      seed: Seed of the run.
      checkpoints: Folder for what a resumed run needs; None keeps nothing.
      first_iteration: Above 0: go on behind so many iterations, kept in `checkpoints`.
    """

    graph: TaskInGraph
    parameters: Parameters
    max_kl: float
    leave_one_out: bool
    seed: int
    checkpoints: Path | None = None
    first_iteration: int = 0


class PolicyUpdates(Protocol):
    """A learner under way: what the trainer asks of it."""

    @property
    def parameters(self) -> Parameters:
        """The policy as it is now."""
        ...

    @property
    def kl_bound(self) -> float:
        """Bound on the divergence of an update."""
        ...

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """Learn from an iteration's episodes.

        Returns:
          KL divergence old || new, summed over action dimensions.
        """
        ...

    def critic(self) -> bytes | None:
        """The safety critic the next episodes are to be judged by (`critics.safety_critic`); None: it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class GraphLearner:
    """One way to learn in a graph.

    Attributes:
      factory: "module:name" of a callable that makes `PolicyUpdates` of a `Beginning`.
      description: One line for --help.
      learns_critic: Whether it sends the filter a critic of its own, which no training could have certified.
    """

    factory: str
    description: str
    learns_critic: bool = False

    def begin(self, beginning: Beginning) -> PolicyUpdates:
        """Load the learner and start it.

        Raises:
          ValueError: if it cannot learn this task, or its checkpoints are missing or damaged.
        """
        module, _, name = self.factory.partition(":")
        made: PolicyUpdates = getattr(importlib.import_module(module), name)(beginning)
        return made


LEARNERS: dict[str, GraphLearner] = {
    "pspt": GraphLearner(
        factory="safe_transfer_ros.transfer.policy_updates:PsptUpdates", description="TRPO on the rewards (PSPT)"
    ),
    "csc": GraphLearner(
        factory="safe_transfer_ros.transfer.policy_updates:CscUpdates",
        description="a conservative critic learns in the run and refuses proposals; a step that minds failures (CSC)",
        learns_critic=True,
    ),
}


def graph_learner(name: str) -> GraphLearner:
    """Look up a learner.

    Raises:
      ValueError: if there is none of that name; names the nearest.
    """
    if name not in LEARNERS:
        raise ValueError(f"unknown learner '{name}': {nearest(name, LEARNERS)}")
    return LEARNERS[name]
