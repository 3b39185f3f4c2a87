# SPDX-License-Identifier: Apache-2.0
"""Run of an on-policy method, as `safe_transfer train` drives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import Evaluation
from safe_transfer_ros.learning.imitation import imitated
from safe_transfer_ros.policies.weights import to_bytes
from safe_transfer_ros.transfer.constrained.learner import Learner, LearnerProgress
from safe_transfer_ros.transfer.constrained.method import Method
from safe_transfer_ros.transfer.training import EpochRecord, TrainingPlan


class OnPolicyRun:
    """A `Learner` in a task's environment; a `transfer.training.TrainingRun`."""

    def __init__(self, method: Method, plan: TrainingPlan) -> None:
        """Start.

        Raises:
          ValueError: if there is no such task, or no rule for a warm start.
        """
        if plan.baseline:
            raise ValueError(f"{method.label} takes no baseline: expected a method that corrects one, dual-agent")
        start = imitated(plan.task, plan.seed, hidden=plan.settings.hidden) if plan.warm_start else None
        self._environment = TaskEnvironment(plan.task)
        self._learner = Learner(
            self._environment, method, plan.settings, episodes=plan.episodes, seed=plan.seed, parameters=start
        )

    def epoch(self) -> EpochRecord:
        """See `TrainingRun.epoch`."""
        return self._learner.epoch()

    def evaluate(self, episodes: int) -> Evaluation:
        """See `TrainingRun.evaluate`."""
        return self._learner.evaluate(episodes)

    def policy_file(self, metadata: Mapping[str, str]) -> bytes:
        """See `TrainingRun.policy_file`."""
        return to_bytes(self._learner.parameters, metadata)

    def state(self) -> dict[str, Any]:
        """See `TrainingRun.state`."""
        learner, critic = self._learner, self._learner.critic
        return {
            "learner": learner.state(),
            "parameters": dict(learner.parameters),
            "progress": dataclasses.asdict(learner.progress),
            "seen": {} if critic is None else critic.buffer.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `TrainingRun.restore`."""
        learner = self._learner
        learner.restore(state["learner"], [])
        learner.parameters = dict(state["parameters"])
        learner.progress = LearnerProgress(**state["progress"])
        if learner.critic is not None:
            learner.critic.buffer.restore(state["seen"])

    def __enter__(self) -> OnPolicyRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._environment.__exit__(kind, error, trace)
