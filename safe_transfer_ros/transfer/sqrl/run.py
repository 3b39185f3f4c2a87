# SPDX-License-Identifier: Apache-2.0
"""Run of SQRL: the off-policy loop, and after each epoch what the safety critic learns from.

An epoch's steps are n_off of Algorithm 1. In pre-training k whole episodes of the masked policy follow them, into
D_safe alone: the replay buffer of SAC does not get them. Steps, episodes and failures of both are counted. In
fine-tuning the critic stays as it is, or learns on from the epoch's own steps, which the masked policy has taken.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.randomness import FirstEpisode, Purpose, generator
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.off_policy.method import OffPolicyMethod
from safe_transfer_ros.transfer.off_policy.run import OffPolicyRun
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.method import settings_of
from safe_transfer_ros.transfer.sqrl.safety_critic import COLUMNS
from safe_transfer_ros.transfer.training import FINE_TUNING, EpochRecord, TrainingPlan

Array = NDArray[np.float64]


class SqrlRun(OffPolicyRun):
    """A `SqrlAgent` in a task's environment; a `transfer.training.TrainingRun`."""

    def __init__(self, method: OffPolicyMethod, plan: TrainingPlan) -> None:
        """Start; see `OffPolicyRun`.

        Raises:
          ValueError: if fine-tuning has no file to begin with.
        """
        if plan.phase == FINE_TUNING and not plan.start:
            raise ValueError(f"{method.label} is fine-tuned from the file of its pre-training: name it with --from")
        super().__init__(method, plan)
        assert isinstance(self._loop.agent, SqrlAgent)
        self._agent: SqrlAgent = self._loop.agent
        self._settings, self._seed = settings_of(plan), plan.seed
        self._collects = plan.phase != FINE_TUNING
        self._side_by_side = TASKS[plan.task].vector_environment(
            self._settings.episodes, threads=1, autoreset=False, **plan.environment_settings()
        )
        self._beside = {"episodes": 0, "steps": 0, "failures": 0}

    def epoch(self) -> EpochRecord:
        """See `TrainingRun.epoch`."""
        before, done = self._loop.buffer.added, self._episodes
        found = super().epoch()
        began, own = time.monotonic(), self._episodes - done
        gated = self._agent.counted()
        share = found.failures_per_episode
        if self._collects:
            columns = self._collect(found.epoch)
            count, fell = self._settings.episodes, int((columns["cost"] > 0.0).sum())
            for name, more in (("episodes", count), ("steps", len(columns["cost"])), ("failures", fell)):
                self._beside[name] += more
            share = (np.nan_to_num(share) * own + fell) / (own + count)
            self._agent.learn_safety(columns)
            gated = self._agent.counted()  # of the masked policy's own episodes
        elif self._settings.online:
            self._agent.learn_safety(self._loop.buffer.since(before))
        self._wall_time_s += time.monotonic() - began
        return dataclasses.replace(
            found,
            episodes=self._episodes + self._beside["episodes"],
            steps=found.steps + self._beside["steps"],
            failures_per_episode=float(share),
            cumulative_failures=self._failures + self._beside["failures"],
            gated=gated,
            epsilon=self._settings.epsilon,
            wall_time_s=self._wall_time_s,
        )

    def _collect(self, epoch: int) -> Columns:
        first = FirstEpisode.SAFETY_CRITIC + epoch * self._settings.episodes
        return whole_episodes(
            self._side_by_side,
            self._agent.on_policy,
            noise_size=self._agent.noise_size,
            seed=self._seed,
            first_episode=first,
            rng=generator(Purpose.GATE_OF_EPOCH, self._seed, epoch),
        )

    def state(self) -> dict[str, Any]:
        """See `TrainingRun.state`."""
        return super().state() | {"beside": dict(self._beside)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `TrainingRun.restore`."""
        super().restore(state)
        self._beside = {name: int(number) for name, number in state["beside"].items()}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._side_by_side.close()
        super().__exit__(kind, error, trace)


def whole_episodes(
    environment: VectorEnv[Any, Any, Any],
    act: Callable[[Array, Array], Array],
    *,
    noise_size: int,
    seed: int,
    first_episode: int,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """Transitions of one whole episode in each row, step after step; a failure ends an episode.

    Args:
      environment: With numbered episodes that stand still at their end.
      act: Actions (b, n) for observations (b, k) and standard normal noise (b, noise_size).
      noise_size: Numbers of noise per action.
      seed: Of the run.
      first_episode: Number of the first row's.
      rng: Draws the noise.

    Returns:
      The columns `safety_critic.COLUMNS`.
    """
    observation, info = environment.reset(seed=seed, options={"first_episode": first_episode})
    running = np.ones(environment.num_envs, dtype=np.bool_)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}
    while running.any():
        seen = np.array(observation)
        action = act(seen, rng.standard_normal((len(seen), noise_size)))
        observation, _, terminated, truncated, info = environment.step(action)
        failed = info["cost"] > 0.0
        row = {
            "chain": info["episode_number"].astype(np.int32),
            "observation": seen,
            "chosen": action,
            "cost": info["cost"],
            "terminated": terminated | failed,
            "next_observation": np.array(observation),
        }
        for name in COLUMNS:
            parts[name].append(row[name][running])
        running &= ~(terminated | truncated | failed)
    return {name: np.concatenate(rows) for name, rows in parts.items()}
