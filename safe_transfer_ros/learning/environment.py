# SPDX-License-Identifier: Apache-2.0
"""Environments as the learners see them: whole batches of episodes, and what a failure costs."""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from safe_transfer_ros.learning.rollout import rollout
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.tasks.vector import BatchGate, Policy

Array = NDArray[np.float64]


class ConstrainedEnvironment(Protocol):
    """Environment that a learner needs; a context manager.

    Attributes:
      observation_size: Length of an observation.
      action_bound: What is beyond is cut before it is applied, shape (n,), in the unit of the actions.
      gamma: Discount of the return.
      cost_steps: Steps that a sum of an episode's costs is spread over: its horizon where costs add up, 1 where the
        first one ends it.
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

    @property
    def cost_steps(self) -> int:
        """Horizon where costs add up, else 1."""
        ...

    def rollout(
        self, policy: Policy, *, episodes: int, seed: int, first_episode: int = 0, gate: BatchGate | None = None
    ) -> Rollouts:
        """Run episodes; seed and number fix an episode's start and its noise."""
        ...

    def labelled(self, rollouts: Rollouts) -> Rollouts:
        """Rollouts with labels in place of costs, for the tuples that a critic is shown before training."""
        ...

    def __enter__(self) -> ConstrainedEnvironment: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TaskEnvironment:
    """A task by name, with its `learning_settings`, and its `failure_cost` taken off the rewards.

    Its vector environment is built at once, for one episode, and again where a rollout has another number of them.
    """

    def __init__(self, task: str, **settings: Any) -> None:
        """Choose the task.

        Args:
          task: Its name.
          **settings: Of its vector environment, in place of its `learning_settings`.

        Raises:
          ValueError: if there is none; names the nearest known one.
        """
        self._task = TASKS[task]
        self._settings = {**self._task.learning_settings, **settings}
        self._rows: VectorEnv[Any, Any, Any] = self._made(1)
        self.observation_size = self._task.observation_size
        space = self._rows.single_action_space
        assert isinstance(space, Box), f"expected a box of actions, got {space}"
        self.action_bound: Array = np.asarray(space.high, dtype=np.float64)
        self.gamma = self._task.gamma
        self.cost_steps = 1 if self._task.cost_limit is None else self._task.horizon

    def __enter__(self) -> TaskEnvironment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def rollout(
        self, policy: Policy, *, episodes: int, seed: int, first_episode: int = 0, gate: BatchGate | None = None
    ) -> Rollouts:
        """See `ConstrainedEnvironment.rollout`."""
        if self._rows.num_envs != episodes:
            self._rows.close()
            self._rows = self._made(episodes)
        ends = self._task.cost_limit is None
        found = rollout(policy, self._rows, seed=seed, first_episode=first_episode, gate=gate, ends_on_failure=ends)
        return dataclasses.replace(
            found,
            reward=found.reward - self._task.failure_cost * found.cost,
            succeeded=found.succeeded if self._task.has_goal else np.full(episodes, np.nan),
        )

    def labelled(self, rollouts: Rollouts) -> Rollouts:
        """See `ConstrainedEnvironment.labelled`; the labels are those of `Task.labels`."""
        labels = self._task.labels(rollouts.observation[:, 1:])
        return (
            rollouts
            if labels is None
            else dataclasses.replace(rollouts, cost=(labels & rollouts.valid).astype(np.float64))
        )

    def _made(self, episodes: int) -> VectorEnv[Any, Any, Any]:
        # One thread: studies run side by side, a process to a core.
        return self._task.vector_environment(episodes, threads=1, autoreset=False, **self._settings)
