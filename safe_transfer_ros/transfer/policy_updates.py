# SPDX-License-Identifier: Apache-2.0
"""Policy updates of a graph from an iteration's episodes: PSPT's update, or CSC's with its critic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from safe_transfer_ros.algorithms.trust_region import TrustRegionSettings
from safe_transfer_ros.critics.safety_critic import critic_to_bytes
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.rollouts import from_episodes
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.tensors import read
from safe_transfer_ros.policies.weights import Parameters, to_bytes
from safe_transfer_ros.randomness import Purpose, integer_seed
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.transfer.checkpoints import CheckpointError, LearnerCheckpoints, Part
from safe_transfer_ros.transfer.constrained.learner import Learner
from safe_transfer_ros.transfer.constrained.method import CONSTRAINED
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings
from safe_transfer_ros.transfer.graph_learners import Beginning
from safe_transfer_ros.transfer.pspt.fine_tuning import PsptSettings, improve

_SETTINGS = LearnerSettings()


class NoUpdates:
    """Learner that leaves the policy as it is."""

    kl_bound = 0.0

    def __init__(self, beginning: Beginning) -> None:
        """Keep a policy of any kind."""
        self._tensors, self._about = read(beginning.policy)

    def policy(self, metadata: Mapping[str, str]) -> bytes:
        """See `PolicyUpdates.policy`."""
        return policy_to_bytes(self._tensors, self._about | dict(metadata))

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`: nothing changes."""
        return 0.0

    def critic(self) -> None:
        """See `PolicyUpdates.critic`: none."""
        return None


class PsptUpdates:
    """PSPT: TRPO on the rewards."""

    def __init__(self, beginning: Beginning) -> None:
        """Start from a policy."""
        self._task, self._seed = beginning.graph.task, beginning.seed
        self._settings = PsptSettings(
            max_kl=beginning.max_kl, gamma=self._task.gamma, leave_one_out=beginning.leave_one_out
        )
        self.parameters, self.kl_bound = beginning.gaussian(), beginning.max_kl

    def policy(self, metadata: Mapping[str, str]) -> bytes:
        """See `PolicyUpdates.policy`."""
        return to_bytes(self.parameters, metadata)

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`."""
        seed = integer_seed(Purpose.POLICY_UPDATE, self._seed, iteration)
        found = improve(self.parameters, episodes, self._task, self._settings, seed)
        self.parameters = found.parameters
        return found.kl

    def critic(self) -> None:
        """See `PolicyUpdates.critic`: none."""
        return None


class CscUpdates:
    """CSC: a conservative critic learns from all episodes so far, which the filter takes between episodes; the policy
    learns along A_R - lambda' A_C.
    """

    def __init__(self, beginning: Beginning, settings: LearnerSettings = _SETTINGS) -> None:
        """Start from a policy, with a critic that has learned nothing and lets everything pass, or go on with a run.

        Args:
          beginning: Policy, task and trust region.
          settings: Of the learner; the region is that of `beginning`.

        Raises:
          ValueError: if there is no environment of this task for the learners.
          CheckpointError: if what was kept is missing or damaged.
        """
        region = TrustRegionSettings(max_kl=beginning.max_kl, backtrack_ratio=0.7, backtrack_steps=20)
        self._graph, self.kl_bound = beginning.graph, beginning.max_kl
        self._learner = Learner(
            TaskEnvironment(beginning.graph.task.name),
            CONSTRAINED["csc"],
            dataclasses.replace(settings, region=region),
            episodes=0,
            seed=beginning.seed,
            parameters=beginning.gaussian(),
        )
        folder = beginning.checkpoints
        self._checkpoints = None if folder is None else LearnerCheckpoints(folder, "csc", first=1)
        self._learned_from = beginning.first_iteration
        if self._learned_from:
            if self._checkpoints is None:
                raise CheckpointError("a resumed run of CSC needs the folder of its checkpoints")
            self._checkpoints.restore(self._learned_from, self._go_on)

    def _go_on(self, state: Mapping[str, Any], parts: Sequence[Part]) -> None:
        # Before there was one schema of transitions, s' was called "following".
        renamed = {"following": "next_observation"}
        self._learner.restore(state, [{renamed.get(name, name): part[name] for name in part} for part in parts])

    @property
    def parameters(self) -> Parameters:
        """Current policy."""
        return self._learner.parameters

    def policy(self, metadata: Mapping[str, str]) -> bytes:
        """See `PolicyUpdates.policy`."""
        return to_bytes(self.parameters, metadata)

    def update(self, episodes: Sequence[Episode], iteration: int) -> float:
        """See `PolicyUpdates.update`."""
        rollouts = from_episodes(
            episodes, self._graph.task, action_bound=self._graph.action_bound, ends_on_failure=True
        )
        kl = self._learner.learn(rollouts, iteration)
        if self._checkpoints is not None:
            assert self._learner.critic is not None
            self._checkpoints.keep(iteration + 1, self._learner.state(), self._learner.critic.buffer)
        self._learned_from = iteration + 1
        return kl

    def critic(self) -> bytes:
        """See `PolicyUpdates.critic`."""
        critic = self._learner.critic
        assert critic is not None
        return critic_to_bytes(critic.parameters(), self._card())

    def _card(self) -> dict[str, Any]:
        """Model card for the filter. It is not certified: the critic is still learning."""
        return {
            "task": self._graph.task.name,
            "observation_size": self._graph.task.observation_size,
            "epsilon": self._learner.epsilon,
            "gamma_safe": self._learner.cost_gamma,
            "support": {"rule": "off", "limit": 1.0},
            "certified": False,
            "against": ["it learns while the policy does (CSC)"],
            "iterations": self._learned_from,
            "multiplier": self._learner.multiplier,
        }
