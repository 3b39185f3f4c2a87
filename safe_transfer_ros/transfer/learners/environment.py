# SPDX-License-Identifier: Apache-2.0
"""Environments as the learners see them: whole batches of episodes that end with a failure."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import BatchGate, Policy, VectorTorqueEnv
from safe_transfer_ros.transfer.rollouts import ConstrainedRollouts

Array = NDArray[np.float64]


class ConstrainedEnvironment(Protocol):
    """What a learner needs; a context manager.

    Attributes:
      observation_size: Length of an observation.
      action_bound: What is beyond is cut before it is applied, shape (n,), in the unit of the actions.
      gamma: Discount of the return.
    """

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        ...

    @property
    def action_bound(self) -> Array:
        """Shape (n,)."""
        ...

    @property
    def gamma(self) -> float:
        """Discount of the return."""
        ...

    def rollout(
        self, policy: Policy, *, episodes: int, seed: int, first_episode: int = 0, gate: BatchGate | None = None
    ) -> ConstrainedRollouts:
        """Run episodes; seed and number fix an episode's start and its noise."""
        ...

    def __enter__(self) -> ConstrainedEnvironment: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RecordingGate:
    """Passes a gate's choices on and remembers them."""

    def __init__(self, gate: BatchGate) -> None:
        """Stand before a gate."""
        self._gate = gate
        self.actions: list[Array] = []
        self.reasons: list[NDArray[np.uint32]] = []

    def judge_batch(
        self, observation: Array, mean: Array, stddev: Array, sample: Array, torque_limit: Array
    ) -> tuple[Array, NDArray[np.uint32]]:
        """See `BatchGate.judge_batch`."""
        actions, reasons = self._gate.judge_batch(observation, mean, stddev, sample, torque_limit)
        self.actions.append(actions.copy())
        self.reasons.append(reasons)
        return actions, reasons


class TorqueTaskEnvironment:
    """A task of joint torques under a fixed torque limit; an unsafe state is a failure and ends the episode.

    The simulation runs to the horizon all the same; what lies beyond a failure is cut off.
    """

    def __init__(self, task: str, *, torque_limit: float = 1.0) -> None:
        """Build the simulated robot.

        Args:
          task: Name of the task.
          torque_limit: Of every episode, N·m.
        """
        self._task = make(task)
        self._environment = VectorTorqueEnv(self._task, threads=1)
        self._limit = torque_limit
        self.observation_size = self._task.observation_size
        self.action_bound: Array = np.minimum(self._task.robot.limits.effort, torque_limit)
        self.gamma = self._task.gamma

    def __enter__(self) -> TorqueTaskEnvironment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._environment.close()

    def rollout(
        self, policy: Policy, *, episodes: int, seed: int, first_episode: int = 0, gate: BatchGate | None = None
    ) -> ConstrainedRollouts:
        """See `ConstrainedEnvironment.rollout`."""
        record = None if gate is None else RecordingGate(gate)
        batch = self._environment.rollout(
            policy,
            torque_limits=np.full(episodes, self._limit),
            seed=seed,
            first_episode=first_episode,
            gate=record,
        )
        actions, gated = batch.proposed, np.zeros(batch.reward.shape, dtype=np.bool_)
        if record is not None:
            actions, gated = np.stack(record.actions, axis=1), np.stack(record.reasons, axis=1) != 0
        unsafe = ~(batch.unsafety[:, 1:] <= self._task.unsafety_limit)
        steps = unsafe.shape[1]
        lengths = np.where(unsafe.any(axis=1), unsafe.argmax(axis=1) + 1, steps)
        failed = unsafe & (np.arange(steps) == lengths[:, None] - 1)
        return ConstrainedRollouts(
            observations=batch.observation,
            actions=actions,
            rewards=batch.reward,
            terminated=failed,
            lengths=lengths.astype(np.int64),
            applied=batch.applied,
            costs=failed.astype(np.float64),
            succeeded=np.full(episodes, np.nan),
            gated=gated & (np.arange(steps) < lengths[:, None]),
        )


ENVIRONMENTS: dict[str, Callable[[], ConstrainedEnvironment]] = {
    "pr2_cup_swirl": lambda: TorqueTaskEnvironment("pr2_cup_swirl"),
}


def environment(task: str) -> ConstrainedEnvironment:
    """Make the environment of a task.

    Raises:
      ValueError: if there is none; names the nearest known one.
    """
    if task not in ENVIRONMENTS:
        raise ValueError(f"unknown task '{task}': {nearest(task, ENVIRONMENTS)}")
    return ENVIRONMENTS[task]()
