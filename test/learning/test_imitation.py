# SPDX-License-Identifier: Apache-2.0
"""A policy that imitates the rule for getting past the obstacle."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.learning.imitation import ImitationSettings, imitated
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.scripted import past_obstacle
from safe_transfer_ros.tasks.push.tasks import PushObstacle

TASK = PushObstacle()
SHORT = ImitationSettings(rounds=2, episodes=16, updates=800)


def test_the_imitator_does_nearly_what_the_rule_does_in_new_episodes() -> None:
    parameters = imitated(TASK.name, 1, hidden=(32,), settings=SHORT)
    policy, scenes = GaussianPolicy(parameters), PushVectorEnv(TASK, 8, threads=1, autoreset=False)
    observation, _ = scenes.reset(seed=9)
    rules, found = [], []
    for _ in range(TASK.horizon):
        rules.append(past_obstacle(TASK, scenes.simulation.scenes()))
        mean, stddev = policy.distribution(observation)
        found.append(mean)
        observation, *_ = scenes.step(rules[-1])
    scenes.close()
    np.testing.assert_allclose(stddev, SHORT.stddev, rtol=1e-6)
    wrong, spread = np.mean(np.square(np.subtract(found, rules))), np.mean(np.square(rules))
    assert wrong < 0.5 * spread
