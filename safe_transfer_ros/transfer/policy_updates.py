# SPDX-License-Identifier: Apache-2.0
"""How the policy of a graph learns from an iteration's episodes: PSPT's update, or CSC's with its critic."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.critics.safety_critic import save_critic
from safe_transfer_ros.learning.environment import environment
from safe_transfer_ros.learning.rollouts import from_episodes
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.randomness import Purpose, integer_seed
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.transfer.constrained.checkpoints import CheckpointError, CscCheckpoints
from safe_transfer_ros.transfer.constrained.learner import Learner
from safe_transfer_ros.transfer.constrained.method import LearnerSettings, method
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, improve

_SETTINGS = LearnerSettings()


class PolicyUpdates(Protocol):
    """What the trainer asks."""

    @property
    def parameters(self) -> Parameters:
        """The policy as it is now."""
        ...

    @property
    def kl_bound(self) -> float:
        """What the divergence of an update is held under."""
        ...

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """Learn from an iteration's episodes.

        Returns:
          KL divergence old || new, summed over action dimensions.
        """
        ...


class PsptUpdates:
    """PSPT: TRPO on the rewards."""

    def __init__(self, graph: TaskInGraph, parameters: Parameters, settings: PsptSettings, seed: int) -> None:
        """Start from a policy."""
        self._task, self._settings, self._seed = graph.task, settings, seed
        self.parameters = parameters

    @property
    def kl_bound(self) -> float:
        """See `PolicyUpdates.kl_bound`."""
        return self._settings.max_kl

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`."""
        seed = integer_seed(Purpose.POLICY_UPDATE, self._seed, iteration)
        found = improve(self.parameters, episodes, self._task, self._settings, seed)
        self.parameters = found.parameters
        return found.kl


class CscUpdates:
    """CSC: a conservative critic learns from all episodes so far and is written to a file, which the filter takes
    between episodes; the policy learns along A_R - lambda' A_C.
    """

    def __init__(
        self,
        graph: TaskInGraph,
        parameters: Parameters,
        *,
        max_kl: float,
        seed: int,
        critic: Path,
        settings: LearnerSettings = _SETTINGS,
        checkpoints: Path | None = None,
        first_iteration: int = 0,
    ) -> None:
        """Start from a policy, with a critic that has learned nothing and lets everything pass, or go on with a run.

        Args:
          graph: The task.
          parameters: The policy.
          max_kl: Trust region of an update.
          seed: Of everything random.
          critic: File of the critic.
          settings: Of the learner; the region is that of `max_kl`.
          checkpoints: Folder to keep what a resumed run needs in; None keeps nothing.
          first_iteration: Above 0 it goes on behind so many iterations, kept in `checkpoints`.

        Raises:
          ValueError: if there is no environment of this task for the learners.
          CheckpointError: if what was kept is missing or damaged.
        """
        region = TrustRegionSettings(max_kl=max_kl, backtrack_ratio=0.7, backtrack_steps=20)
        self._graph, self._path = graph, critic
        self._learner = Learner(
            environment(graph.task.name),
            method("csc"),
            dataclasses.replace(settings, region=region),
            episodes=0,
            seed=seed,
            parameters=parameters,
        )
        self.kl_bound = max_kl
        self._checkpoints = None if checkpoints is None else CscCheckpoints(checkpoints)
        if first_iteration:
            if self._checkpoints is None:
                raise CheckpointError("a run of CSC that goes on needs the folder of its checkpoints")
            self._checkpoints.restore(self._learner, first_iteration)
        self._save(first_iteration)

    @property
    def parameters(self) -> Parameters:
        """See `PolicyUpdates.parameters`."""
        return self._learner.parameters

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`; the critic's file is replaced before this returns."""
        rollouts = from_episodes(
            episodes, self._graph.task, action_bound=self._graph.action_bound, ends_on_failure=True
        )
        kl = self._learner.learn(rollouts, iteration)
        if self._checkpoints is not None:
            self._checkpoints.keep(self._learner, iteration + 1)
        self._save(iteration + 1)
        return kl

    def _save(self, learned_from: int) -> None:
        """Write the critic, whole or not at all."""
        critic = self._learner.critic
        assert critic is not None
        save_critic(self._path, critic.parameters(), self._card(learned_from))

    def _card(self, learned_from: int) -> dict[str, Any]:
        """What the filter has to know. It was certified by nobody: it is learning."""
        return {
            "task": self._graph.task.name,
            "observation_size": self._graph.task.observation_size,
            "epsilon": self._learner.epsilon,
            "gamma_safe": self._learner.cost_gamma,
            "support": {"rule": "off", "limit": 1.0},
            "certified": False,
            "against": ["it learns while the policy does (CSC)"],
            "iterations": learned_from,
            "multiplier": self._learner.multiplier,
        }
