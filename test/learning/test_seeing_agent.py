# SPDX-License-Identifier: Apache-2.0
"""From a hallway into the replay, the update and a policy file: what acts on the robot side is what has learned."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.algorithms.cost_critic import discounted_limit
from safe_transfer_ros.algorithms.sac.recurrent import RecurrentSac, RecurrentSacSettings
from safe_transfer_ros.learning.sequence_replay import LEVELS, SequenceReplay
from safe_transfer_ros.policies.loading import policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.networks.visual import VisualActor, VisualEncoder
from safe_transfer_ros.tasks.hallway.environment import HallwayVectorEnv
from safe_transfer_ros.tasks.hallway.task import DEPTH_LEVELS, IMAGE_SIDE, PIXELS, HallwayPointWalls


def test_a_seeing_agent_collects_learns_and_leaves_a_policy_that_acts_as_it_does() -> None:
    assert LEVELS == DEPTH_LEVELS
    task, rows, units = HallwayPointWalls(), 2, 16
    task.horizon = 9  # type: ignore[misc]
    env, rng = HallwayVectorEnv(task, rows, threads=1), np.random.default_rng(0)
    settings = RecurrentSacSettings(
        hidden=(16,), cost_limit=discounted_limit(0.01, task.gamma, task.horizon), learning_rate=1e-2
    )
    encoder = VisualEncoder(task.observation_size, IMAGE_SIDE, 16, units, rng)
    agent = RecurrentSac(encoder, env.action_bound, settings, seed=0)
    rest = task.observation_size - PIXELS
    replay = SequenceReplay(64, pixels=PIXELS, rest=rest, actions=task.action_size, units=units)
    observation, _ = env.reset(seed=0)
    memory, seen = np.zeros((rows, units)), []
    for _ in range(20):
        action, after = agent.act(observation, memory, rng.standard_normal((rows, agent.noise_size)))
        seen.append((observation, memory))
        following, reward, terminated, truncated, info = env.step(action)
        episode = info["episode_number"]  # of the step, also where the observation is the next one's
        replay.add(episode, observation, memory, action, (reward, info["cost"], terminated))
        ended = terminated | truncated
        if ended.any():
            replay.close(episode[ended], info["final_obs"][ended])
        observation, memory = following, np.where(ended[:, None], 0.0, after)
    drawn = replay.sample(5, 6, rng)
    whole = np.concatenate([given for given, _ in seen]).astype(np.float32)
    for sequence in drawn["observation"][:, :-1].reshape(-1, task.observation_size):
        assert np.abs(whole - sequence).max(axis=1).min() < 1e-6, "something that was never seen"
    found = [agent.update(replay.sample(5, 6, rng), rng) for _ in range(3)]
    assert all(np.isfinite(list(told.values())).all() for told in found)
    actor = VisualActor(agent.encoder, agent.head)  # type: ignore[arg-type]
    tensors, metadata = actor.file()
    policy, _ = policy_from_bytes(policy_to_bytes(tensors, {**metadata, "kind": actor.kind}))
    memory = np.zeros((rows, units))
    for given, _ in seen[:9]:
        noise = rng.standard_normal((rows, agent.noise_size))
        action, memory = agent.act(given, memory, noise)
        np.testing.assert_allclose(policy.act(given, noise).action, action, atol=1e-5)
    env.close()
