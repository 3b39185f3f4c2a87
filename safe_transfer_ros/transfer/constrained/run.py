# SPDX-License-Identifier: Apache-2.0
"""Run of an on-policy method, as `safe_transfer train` drives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import Evaluation
from safe_transfer_ros.learning.imitation import cloned, imitated
from safe_transfer_ros.learning.policy_file import find
from safe_transfer_ros.policies.weights import Parameters, WeightsError, from_bytes, to_bytes
from safe_transfer_ros.transfer.constrained.learner import Learner, LearnerProgress
from safe_transfer_ros.transfer.constrained.method import Method
from safe_transfer_ros.transfer.dual_agent.baseline import given_baseline
from safe_transfer_ros.transfer.training import NOISELESS, EpochRecord, TrainingPlan, check_baseline
from safe_transfer_ros.untrusted import UntrustedError, read_bytes


class OnPolicyRun:
    """A `Learner` in a task's environment; a `transfer.training.TrainingRun`."""

    def __init__(self, method: Method, plan: TrainingPlan) -> None:
        """Start.

        Raises:
          ValueError: if there is no such task, no rule for a warm start, or no baseline where one is cloned, or one
            where none is.
        """
        check_baseline(method, plan.baseline)
        if plan.warm_start and plan.baseline:
            raise ValueError(f"{method.label} starts from the clone of a baseline: leave out --warm-start")
        if plan.start and (plan.warm_start or plan.baseline):
            raise ValueError("one policy to start from, please: leave out --warm-start and --baseline with --from")
        self._environment = TaskEnvironment(plan.task, **plan.environment_settings())
        start = self._start(plan)
        self._learner = Learner(
            self._environment, method, plan.settings, episodes=plan.episodes, seed=plan.seed, parameters=start
        )

    def _start(self, plan: TrainingPlan) -> Parameters | None:
        """Policy to start from; None: a new one."""
        if plan.start:
            return _gaussian(plan.start)
        if plan.warm_start:
            return imitated(plan.task, plan.seed, hidden=plan.settings.hidden)
        if not plan.baseline:
            return None
        where = self._environment
        watched = given_baseline(plan.baseline, observation_size=where.observation_size, bound=where.action_bound)
        return cloned(watched.act, where, plan.seed, hidden=plan.settings.hidden)

    def epoch(self) -> EpochRecord:
        """See `TrainingRun.epoch`."""
        return self._learner.epoch()

    def evaluate(self, episodes: int) -> Evaluation:
        """See `TrainingRun.evaluate`."""
        return self._learner.evaluate(episodes)

    def evaluate_parts(self, episodes: int) -> Mapping[str, Evaluation]:
        """See `TrainingRun.evaluate_parts`: the policy without its noise."""
        return {NOISELESS: self._learner.evaluate(episodes, noise=False)}

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


def _gaussian(name: str) -> Parameters:
    """Parameters of a Gaussian policy's file."""
    path = find(name)
    try:
        return from_bytes(read_bytes(path, most_bytes=WEIGHTS_BYTES))[0]
    except (UntrustedError, WeightsError) as error:
        raise WeightsError(f"policy {path}: {error}") from error
