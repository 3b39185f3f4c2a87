# SPDX-License-Identifier: Apache-2.0
"""The one evaluation: right numbers, and always the same episodes, none that anybody learns from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_cmdp import FAILS, SmallCmdp, exact

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.learning.evaluation import Evaluation, evaluate
from safe_transfer_ros.randomness import FirstEpisode
from safe_transfer_ros.tasks.rollouts import Rollouts


class Bold:
    def distribution(self, observation):
        return np.full((len(observation), 1), 1.0), np.full(1, 1e-3)


def test_numbers_of_made_up_rollouts() -> None:
    found = Evaluation.of(
        Rollouts(
            observation=np.zeros((3, 3, 1)),
            chosen=np.zeros((3, 2, 1)),
            applied=np.zeros((3, 2, 1)),
            reward=np.array([[1.0, 2.0], [3.0, 99.0], [0.0, 0.0]]),
            cost=np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]),
            terminated=np.zeros((3, 2), dtype=bool),
            lengths=np.array([2, 1, 2]),
            succeeded=np.array([0.0, 1.0, 1.0]),
            gated=np.zeros((3, 2), dtype=bool),
        )
    )
    assert found == Evaluation(
        episodes=3,
        mean_return=2.0,
        return_error=pytest.approx(1.0),
        mean_cost=pytest.approx(2 / 3),
        failures_per_episode=pytest.approx(1 / 3),
        success_rate=pytest.approx(2 / 3),
    )


def test_it_is_that_of_the_process_whose_answer_is_known() -> None:
    found = evaluate(Bold(), SmallCmdp(), episodes=4000, seed=0)
    total, failed = exact(np.ones(len(FAILS)))
    assert abs(found.mean_return - total) < 4 * found.return_error
    assert abs(found.failures_per_episode - failed) < 0.03 and found.mean_cost == found.failures_per_episode
    assert math.isnan(found.success_rate)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        evaluate(Bold(), SmallCmdp(), episodes=0, seed=0)


def test_its_episodes_are_those_of_evaluation() -> None:
    class Still:
        def distribution(self, observation):
            return np.zeros((len(observation), 7)), np.full(7, 0.2)

    with TaskEnvironment("pr2_cup_swirl") as where:
        found = evaluate(Still(), where, episodes=2, seed=5)
        again = where.rollout(Still(), episodes=2, seed=5, first_episode=FirstEpisode.EVALUATION)
    assert found.mean_return == again.returns.mean() and math.isnan(found.success_rate)
