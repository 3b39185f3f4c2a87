# SPDX-License-Identifier: Apache-2.0
"""The critic that learns online: what it keeps, and that it goes on exactly."""

from __future__ import annotations

import numpy as np
from small_cmdp import BOLD, SmallCmdp

from safe_transfer_ros.algorithms.safety_critic import CriticSettings
from safe_transfer_ros.critics.online import OnlineCritic


class Bold:
    def distribution(self, observation):
        return np.full((len(observation), 1), 1.0), np.full(1, 0.2)


def critic(capacity: int = 1000) -> OnlineCritic:
    settings = CriticSettings(gamma=0.9, alpha=0.1, hidden=(8,), learning_rate=1e-2)
    return OnlineCritic(
        SmallCmdp.observation_size,
        np.array([2.0]),
        settings,
        batch=32,
        pessimism=0.0,
        first_risk=0.1,
        seed=3,
        capacity=capacity,
    )


def rolled(first_episode: int):
    return SmallCmdp().rollout(Bold(), episodes=40, seed=1, first_episode=first_episode)


def test_it_goes_on_exactly_whatever_it_had_seen_before() -> None:
    first, second = critic(), critic()
    first.add(rolled(0))
    first.learn(Bold(), 20)
    state, seen = first.state(), first.buffer.since(0)
    second.add(rolled(500), at_most=10)  # as a new learner is shown labelled tuples, before it is restored
    observation, action, risks = np.eye(5)[:4], BOLD[:, None], []
    # The state is of its moment, whoever goes on from it and however often.
    for one in (first, second, second):
        if one is second:
            one.restore(state, [seen])
        one.add(rolled(40))
        one.learn(Bold(), 20)
        risks.append(one.risk(observation, action))
    np.testing.assert_array_equal(risks[1], risks[0])
    np.testing.assert_array_equal(risks[2], risks[0])
    assert first.buffer.added == second.buffer.added == rolled(0).steps + rolled(40).steps


def test_it_keeps_the_newest_of_what_its_capacity_holds() -> None:
    small = critic(capacity=50)
    for first in (0, 40, 80):
        small.add(rolled(first))
    assert len(small.buffer) == 50
    valid = rolled(80).valid
    np.testing.assert_array_equal(small.buffer["applied"], rolled(80).applied[valid][-50:].astype(np.float32))


def test_labelled_tuples_are_half_failures_where_there_are_enough() -> None:
    online = critic()
    failures = online.add(rolled(0), at_most=12)
    assert failures == 6 and online.buffer.added == 12 and online.buffer["cost"].sum() == 6
