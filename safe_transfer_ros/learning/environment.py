# SPDX-License-Identifier: Apache-2.0
"""Environments as the learners see them: whole batches of episodes that end with a failure."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.learning.rollouts import ConstrainedRollouts
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import BatchGate, Policy, VectorTorqueEnv

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
        batch = self._environment.rollout(
            policy,
            torque_limits=np.full(episodes, self._limit),
            seed=seed,
            first_episode=first_episode,
            gate=gate,
        )
        unsafe = ~(batch.unsafety[:, 1:] <= self._task.unsafety_limit)
        steps = unsafe.shape[1]
        lengths = np.where(unsafe.any(axis=1), unsafe.argmax(axis=1) + 1, steps)
        failed = unsafe & (np.arange(steps) == lengths[:, None] - 1)
        return ConstrainedRollouts(
            observations=batch.observation,
            actions=batch.chosen,
            rewards=batch.reward,
            terminated=failed,
            lengths=lengths.astype(np.int64),
            applied=batch.applied,
            costs=failed.astype(np.float64),
            succeeded=np.full(episodes, np.nan),
            gated=batch.gated & (np.arange(steps) < lengths[:, None]),
        )


class PushTaskEnvironment:
    """A pushing task; a failure ends the episode, and so does success where the task says so.

    Each row of the simulation is one episode; one that has ended stands by until all have.
    """

    def __init__(self, task: str, *, reward: str | None = None, failure_cost: float = 0.0) -> None:
        """Choose the task; the scenes are built with the first rollout.

        Args:
          task: Name of the task.
          reward: "dense" or "sparse"; the task's own if not given.
          failure_cost: Taken off the reward of a step that fails.
        """
        self._task, self._failure_cost = make(task, PushTask, reward=reward), failure_cost
        self._scenes: PushVectorEnv | None = None
        self.observation_size = self._task.observation_size
        self.action_bound: Array = np.ones(self._task.action_size)
        self.gamma = self._task.gamma

    def __enter__(self) -> PushTaskEnvironment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def rollout(
        self, policy: Policy, *, episodes: int, seed: int, first_episode: int = 0, gate: BatchGate | None = None
    ) -> ConstrainedRollouts:
        """See `ConstrainedEnvironment.rollout`."""
        if self._scenes is None or self._scenes.num_envs != episodes:
            self._close()
            self._scenes = PushVectorEnv(self._task, episodes, threads=1, autoreset=False)
        horizon, bound = self._task.horizon, self.action_bound
        streams = [generator(Purpose.ACTION_NOISE, seed, first_episode + row) for row in range(episodes)]
        observations = np.zeros((episodes, horizon + 1, self.observation_size))
        actions = np.zeros((episodes, horizon, len(bound)))
        rewards, costs = np.zeros((2, episodes, horizon))
        terminated, gated = np.zeros((2, episodes, horizon), dtype=np.bool_)
        lengths, succeeded = np.zeros(episodes, dtype=np.int64), np.zeros(episodes)
        running, unlimited = np.ones(episodes, dtype=np.bool_), np.full(episodes, np.inf)
        observation, _ = self._scenes.reset(seed=seed, options={"first_episode": first_episode})
        for step in range(horizon):
            observations[running, step] = observation[running]
            mean, stddev = policy.distribution(observation)
            stddev = np.broadcast_to(stddev, mean.shape)
            taken = mean + stddev * np.stack([stream.standard_normal(len(bound)) for stream in streams])
            if gate is not None:
                # Only those still running: a critic's answer about the others costs time and means nothing.
                taken[running], reasons = gate.judge_batch(
                    *(values[running] for values in (observation, mean, stddev, taken, unlimited))
                )
                gated[running, step] = reasons != 0
            observation, reward, ended, truncated, info = self._scenes.step(taken)
            failed = running & info["failure"]
            ended = running & (ended | failed)
            actions[running, step] = taken[running]
            rewards[running, step] = (reward - self._failure_cost * failed)[running]
            costs[:, step], terminated[:, step] = failed, ended
            succeeded[running] = info["success"][running]
            lengths += running
            observations[running, step + 1] = observation[running]
            running &= ~(ended | truncated)
            if not running.any():
                break
        longest = int(lengths.max())
        return ConstrainedRollouts(
            observations=observations[:, : longest + 1],
            actions=actions[:, :longest],
            rewards=rewards[:, :longest],
            terminated=terminated[:, :longest],
            lengths=lengths,
            applied=np.clip(actions, -bound, bound)[:, :longest],
            costs=costs[:, :longest],
            succeeded=succeeded,
            gated=gated[:, :longest],
        )

    def _close(self) -> None:
        if self._scenes is not None:
            self._scenes.close()
            self._scenes = None


ENVIRONMENTS: dict[str, Callable[[], ConstrainedEnvironment]] = {
    "pr2_cup_swirl": lambda: TorqueTaskEnvironment("pr2_cup_swirl"),
    "panda_push_topple": lambda: PushTaskEnvironment("panda_push_topple"),
    "panda_push_boundary": lambda: PushTaskEnvironment("panda_push_boundary"),
    # Sparse, every step away from the goal costs 1: an episode that a failure cuts short would be the better one.
    "panda_push_obstacle": lambda: PushTaskEnvironment("panda_push_obstacle", reward="dense", failure_cost=5.0),
}


def environment(task: str) -> ConstrainedEnvironment:
    """Make the environment of a task; see `check_task`."""
    check_task(task)
    return ENVIRONMENTS[task]()


def check_task(task: str) -> None:
    """Check that there is an environment for a task.

    Raises:
      ValueError: if there is none; names the nearest known one.
    """
    if task not in ENVIRONMENTS:
        raise ValueError(f"unknown task '{task}': {nearest(task, ENVIRONMENTS)}")
