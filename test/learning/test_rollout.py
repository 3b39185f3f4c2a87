# SPDX-License-Identifier: Apache-2.0
"""The one rollout loop: the same numbers step by step as by the torque tasks' own, and nothing beyond an end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from safe_transfer_ros.learning import rollout as loop
from safe_transfer_ros.learning.rollout import rollout
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.push.environment import PushVectorEnv
from safe_transfer_ros.tasks.push.tasks import PushBoundary
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.vector import VectorTorqueEnv

TASK = make("pr2_cup_swirl")


class Swing:
    """A policy whose numbers do not depend on how many rows it is given at once."""

    def distribution(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(5 * observation[..., :7]) - 0.3 * observation[..., 7:14], np.linspace(0.2, 0.5, 7)


class Calmer:
    """Halves what is large, whoever else is asked about."""

    def judge_batch(self, observation, mean, stddev, sample, torque_limit):
        self.limits = torque_limit
        large = np.abs(sample).max(axis=1) > 0.9
        chosen = np.where(large[:, None], 0.5 * sample, sample)
        return chosen, np.where(large, int(Reason.CRITIC_RISK), 0).astype(np.uint32)


def test_a_failure_ends_an_episode_unless_it_is_not_to() -> None:
    settings = {"num_envs": 3, "torque_limit": 2.0, "threads": 1, "autoreset": False}
    with VectorTorqueEnv(TASK, **settings) as environment:
        ended = rollout(Swing(), environment, seed=3)
        fused = rollout(Swing(), environment, seed=3, ends_on_failure=False)
        stepped = loop._step_by_step(Swing(), environment, 3, 0, None, ends_on_failure=False)
    assert ended.lengths.min() < TASK.horizon and ended.cost.sum(axis=1).max() == 1.0
    for going in (fused, stepped):
        assert (going.lengths == TASK.horizon).all() and not going.terminated.any()
        assert going.cost.sum(axis=1).max() > 1.0
        first = int(ended.lengths[0])
        np.testing.assert_array_equal(going.cost[0, :first], ended.cost[0, :first])
    np.testing.assert_array_equal(fused.cost, stepped.cost)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("limit", [2.0, None])
def test_step_by_step_gives_the_numbers_of_the_fused_loop(limit: float | None, gated: bool) -> None:
    settings = {"num_envs": 4, "torque_limit": limit, "threads": 1, "autoreset": False, "ends_on_failure": True}
    gate = Calmer() if gated else None
    with VectorTorqueEnv(TASK, **settings) as environment:
        fused = rollout(Swing(), environment, seed=3, first_episode=7, gate=gate)
        stepped = loop._step_by_step(Swing(), environment, 3, 7, gate)
    assert 0 < fused.failures and fused.lengths.min() < fused.lengths.max(), "choose another seed"
    assert not gated or 0 < fused.gated.sum() < fused.steps
    longest = int(fused.lengths.max())
    for field in dataclasses.fields(stepped):
        whole, walked = getattr(fused, field.name), getattr(stepped, field.name)
        if field.name == "succeeded":
            continue  # such a task has no goal: one says so, the other that it was not reached
        if whole.ndim == 1:
            np.testing.assert_array_equal(whole, walked)
            continue
        states = longest + (field.name == "observation")
        inside = np.arange(states) < fused.lengths[:, None] + (field.name == "observation")
        if field.name == "reward":  # summed in another order: the last digit may differ
            np.testing.assert_allclose(whole[:, :states][inside], walked[inside], rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(whole[:, :states][inside], walked[inside], err_msg=field.name)
        assert not walked[~inside].any()


def test_an_environment_that_goes_on_by_itself_is_refused() -> None:
    with VectorTorqueEnv(TASK, threads=1) as environment, pytest.raises(ValueError, match="autoreset=False"):
        rollout(Swing(), environment, seed=0)


def test_the_gate_hears_of_running_rows_alone_and_that_motions_have_no_torque_limit() -> None:
    class Aside:
        def distribution(self, observation):
            mean = np.zeros((len(observation), 2))
            mean[:, 0] = 0.6
            mean[:, 1] = np.clip(8.0 * (observation[:, 7] - observation[:, 1]), -1.0, 1.0)
            return mean, np.full(2, 0.05)

    class Counting(Calmer):
        asked = 0

        def judge_batch(self, observation, *rest):
            self.asked += len(observation)
            return super().judge_batch(observation, *rest)

    gate = Counting()
    environment = PushVectorEnv(PushBoundary(), 3, threads=1, autoreset=False)
    found = rollout(Aside(), environment, seed=1, first_episode=3, gate=gate)
    environment.close()
    assert gate.asked == found.steps < 3 * found.lengths.max() and np.isinf(gate.limits).all()
