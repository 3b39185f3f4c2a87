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


def test_it_is_calibrated_by_what_followed_and_goes_on_exactly() -> None:
    one = critic()
    one.add(rolled(0))
    one.learn(Bold(), 20)
    raw = one.risk(np.eye(5)[:4], BOLD[:, None])
    one.calibrate(rolled(40))
    assert one.scaling.offset != 0.0 and one.scaling.slope > 0.0
    scaled = one.risk(np.eye(5)[:4], BOLD[:, None])
    np.testing.assert_allclose(scaled, one.scaling(raw), rtol=1e-5)
    seen = rolled(40)
    valid = seen.valid
    foretold = one.scaling(raw)[np.argmax(seen.observation[:, :-1][valid], axis=1)]
    outcome = np.concatenate(
        [0.9 ** np.arange(n - 1, -1, -1) * c[n - 1] for n, c in zip(seen.lengths, seen.cost, strict=True)]
    )
    before = raw[np.argmax(seen.observation[:, :-1][valid], axis=1)]
    assert abs(foretold.mean() - outcome.mean()) < abs(before.mean() - outcome.mean())
    other = critic()
    other.restore(one.state(), [one.buffer.since(0)])
    for part in (one, other):
        part.calibrate(rolled(80))
        part.add(rolled(80))
        part.learn(Bold(), 5)
    assert one.scaling == other.scaling
    np.testing.assert_array_equal(one.risk(np.eye(5)[:4], BOLD[:, None]), other.risk(np.eye(5)[:4], BOLD[:, None]))
    for first in range(120, 400, 40):
        one.calibrate(rolled(first))
    assert len(one.state()["judged"]) == 5, "what is long past calibrates nothing"


def test_labelled_tuples_are_half_failures_where_there_are_enough() -> None:
    online = critic()
    failures = online.add(rolled(0), at_most=12)
    assert failures == 6 and online.buffer.added == 12 and online.buffer["cost"].sum() == 6
