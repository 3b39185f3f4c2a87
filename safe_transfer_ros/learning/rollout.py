# SPDX-License-Identifier: Apache-2.0
"""The one rollout loop: a policy, an environment, and a gate between them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.tasks.vector import BatchGate, Policy, VectorTorqueEnv

Array = NDArray[np.float64]


def rollout(
    policy: Policy,
    environment: VectorEnv[Any, Any, Any],
    *,
    seed: int,
    first_episode: int = 0,
    gate: BatchGate | None = None,
    ends_on_failure: bool = True,
) -> Rollouts:
    """Run an episode in every row of a vector environment, to its end.

    A task of joint torques is rolled out by its own loop, which gives the same numbers in less time.

    Args:
      policy: Gives the distribution that actions are drawn from.
      environment: With numbered episodes that are not followed by others, "cost", "success" and "torque_limit" in info
        (see `tasks.vector_environment.NumberedVectorEnv`).
      seed: Seed of the run.
      first_episode: Number of the first row's episode; with the seed it fixes starts and noise.
      gate: Chooses another action where it rejects the one drawn; what it chose is what is on record.
      ends_on_failure: Whether a failure ends an episode also where the environment goes on.

    Raises:
      ValueError: if the environment replaces episodes that end.
    """
    if environment.metadata.get("autoreset_mode") != AutoresetMode.DISABLED:
        raise ValueError("expected an environment whose episodes end: make it with autoreset=False")
    if isinstance(environment, VectorTorqueEnv):
        limits = environment.torque_limits(seed, first_episode)
        whole = environment.rollout(policy, torque_limits=limits, seed=seed, first_episode=first_episode, gate=gate)
        return whole.ended_by_failures() if ends_on_failure else whole
    return _step_by_step(policy, environment, seed, first_episode, gate, ends_on_failure=ends_on_failure)


def _step_by_step(
    policy: Policy,
    environment: VectorEnv[Any, Any, Any],
    seed: int,
    first_episode: int,
    gate: BatchGate | None,
    *,
    ends_on_failure: bool = True,
) -> Rollouts:
    episodes = environment.num_envs
    streams = [generator(Purpose.ACTION_NOISE, seed, first_episode + row) for row in range(episodes)]
    running = np.ones(episodes, dtype=np.bool_)
    lengths, succeeded = np.zeros(episodes, dtype=np.int64), np.zeros(episodes)
    observation, info = environment.reset(seed=seed, options={"first_episode": first_episode})
    seen, steps = [np.array(observation)], []
    while running.any():
        mean, stddev = policy.distribution(observation)
        stddev = np.broadcast_to(stddev, mean.shape)
        taken = mean + stddev * np.stack([stream.standard_normal(mean.shape[1]) for stream in streams])
        gated = np.zeros(episodes, dtype=np.bool_)
        if gate is not None:
            # Only those still running: a critic's answer about the others costs time and means nothing.
            asked = (observation, mean, stddev, taken, info["torque_limit"])
            taken[running], reasons = gate.judge_batch(*(values[running] for values in asked))
            gated[running] = reasons != 0
        observation, reward, terminated, truncated, info = environment.step(taken)
        failed = running & (info["cost"] > 0.0)
        ended = running & (terminated | (failed & ends_on_failure))
        rows = running[:, None]
        steps.append(
            {
                "chosen": taken * rows,
                "applied": info["applied"] * rows,
                "reward": np.where(running, reward, 0.0),
                "cost": failed.astype(np.float64),
                "terminated": ended,
                "gated": gated,
            }
        )
        succeeded[running] = info["success"][running]
        lengths += running
        seen.append(np.where(rows, observation, 0.0))
        running = running & ~(ended | truncated)
    columns = {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    return Rollouts(observation=np.stack(seen, axis=1), lengths=lengths, succeeded=succeeded, **cast(Any, columns))
