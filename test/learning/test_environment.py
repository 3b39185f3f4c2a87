# SPDX-License-Identifier: Apache-2.0
"""The tasks as learners see them: where episodes end, what counts as failed, what the gate's choice leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.learning.environment import TaskEnvironment
from safe_transfer_ros.safety.reasons import Reason
from safe_transfer_ros.tasks.ant_avenue.environment import AntEnv
from safe_transfer_ros.tasks.ant_avenue.task import AntAvenue
from safe_transfer_ros.tasks.push.environment import PushEnv
from safe_transfer_ros.tasks.push.task import PushTask
from safe_transfer_ros.tasks.rollouts import Rollouts
from safe_transfer_ros.tasks.task import available, make

EPISODES, FIRST = 3, 3


class Shove:
    """Behind the block and straight on: to a goal that lies ahead, else over the boundary; within seconds."""

    def distribution(self, observation):
        mean = np.zeros((len(observation), 2))
        mean[:, 0] = 0.6
        mean[:, 1] = np.clip(8.0 * (observation[:, 7] - observation[:, 1]), -1.0, 1.0)
        return mean, np.full(2, 0.05)


class Halt:
    """Chooses to stand still in every third step."""

    def __init__(self):
        self.asked = 0

    def judge_batch(self, observation, mean, stddev, sample, torque_limit):
        self.asked += 1
        if self.asked % 3:
            return sample, np.zeros(len(sample), dtype=np.uint32)
        return np.zeros_like(sample), np.full(len(sample), int(Reason.CRITIC_RISK), dtype=np.uint32)


@pytest.fixture(scope="module")
def shoved():
    with TaskEnvironment("panda_push_boundary") as where:
        yield where.rollout(Shove(), episodes=EPISODES, seed=1, first_episode=FIRST)


def test_an_episode_is_the_single_environments(shoved) -> None:
    """Replayed action by action in the Gymnasium environment, to its last step."""
    single = PushEnv(make("panda_push_boundary", PushTask))
    for row in range(EPISODES):
        observation, _ = single.reset(seed=1, options={"episode": FIRST + row})
        for step in range(shoved.lengths[row]):
            np.testing.assert_allclose(shoved.observation[row, step], observation, atol=1e-9)
            observation, reward, terminated, _, info = single.step(shoved.chosen[row, step])
            assert shoved.reward[row, step] == pytest.approx(reward, abs=1e-9)
            assert shoved.terminated[row, step] == terminated
            assert shoved.cost[row, step] == info["failure"]
        assert shoved.succeeded[row] == info["success"]
        np.testing.assert_allclose(shoved.observation[row, shoved.lengths[row]], observation, atol=1e-9)
    single.close()


def test_failures_and_successes_end_episodes_and_nothing_comes_after(shoved) -> None:
    ended = [bool(shoved.terminated[row, shoved.lengths[row] - 1]) for row in range(EPISODES)]
    assert all(ended) and shoved.steps == shoved.lengths.sum()
    assert shoved.failures + shoved.succeeded.sum() == EPISODES and 0 < shoved.failures < EPISODES
    beyond = ~shoved.valid
    for values in (shoved.reward, shoved.cost, shoved.terminated, shoved.gated):
        assert not values[beyond].any()


def test_the_gates_actions_are_those_on_record_and_applied() -> None:
    with TaskEnvironment("panda_push_boundary") as where:
        rolled = where.rollout(Shove(), episodes=2, seed=1, gate=Halt())
    third = np.arange(rolled.reward.shape[1]) % 3 == 2
    np.testing.assert_array_equal(rolled.gated, rolled.valid & third)
    assert (rolled.chosen[rolled.gated] == 0.0).all() and (rolled.chosen[rolled.valid & ~third, 0] > 0.3).all()
    assert np.abs(rolled.applied).max() <= 1.0


def test_past_the_obstacle_a_failure_costs_more_than_the_steps_it_saves() -> None:
    class Straight:
        """Behind the cube and straight on, through the obstacle."""

        def distribution(self, observation):
            mean = np.zeros((len(observation), 3))
            mean[:, 0] = 0.3
            mean[:, 1] = np.clip(8.0 * 0.1 * (observation[:, 7] - observation[:, 1]), -0.3, 0.3)
            return mean, np.full(3, 0.01)

    dense = make("panda_push_obstacle", PushTask, reward="dense")
    with TaskEnvironment("panda_push_obstacle") as where:
        rolled = where.rollout(Straight(), episodes=3, seed=0)
    assert rolled.failures > 0 and (rolled.lengths[rolled.cost.any(axis=1)] < dense.horizon).all()
    for row, steps in enumerate(rolled.lengths):
        before, after = (dense.scene_of(rolled.observation[row, part]) for part in (slice(steps), slice(1, steps + 1)))
        expected = dense.reward(before, after) - 5.0 * rolled.cost[row, :steps]
        np.testing.assert_allclose(rolled.reward[row, :steps], expected, atol=1e-9)


def test_torque_tasks_end_with_their_first_unsafe_state() -> None:
    class Fling:
        def distribution(self, observation):
            return np.full((len(observation), 7), 1.0), np.full(7, 0.5)

    class Nothing:
        def judge_batch(self, observation, mean, stddev, sample, torque_limit):
            return 0.0 * sample, np.ones(len(sample), dtype=np.uint32)

    with TaskEnvironment("pr2_cup_swirl") as where:
        wild = where.rollout(Fling(), episodes=3, seed=0)
        calm = where.rollout(Fling(), episodes=3, seed=0, gate=Nothing())
    assert wild.failures == 3 and (wild.lengths < 200).all()
    assert (wild.cost.argmax(axis=1) == wild.lengths - 1).all() and wild.terminated.sum() == 3
    assert calm.failures == 0 and (calm.lengths == 200).all() and not calm.terminated.any()
    assert calm.gated.all() and (calm.chosen == 0.0).all()


def test_where_costs_add_up_an_episode_goes_on_to_its_fall_or_its_horizon() -> None:
    class Jitter:
        """Torques at random, on which an ant jumps about and falls in the end."""

        def distribution(self, observation):
            return np.zeros((len(observation), 8)), np.full(8, 0.45)

    with TaskEnvironment("ant_avenue") as where:
        assert where.cost_steps == 500
        rolled = where.rollout(Jitter(), episodes=4, seed=0)
    single = AntEnv(AntAvenue())
    for row, steps in enumerate(rolled.lengths):
        single.reset(seed=0, options={"episode": row})
        for step in range(steps):
            observation, reward, terminated, truncated, info = single.step(rolled.chosen[row, step])
            assert (rolled.reward[row, step], rolled.cost[row, step]) == (reward, info["cost"])
            assert rolled.terminated[row, step] == terminated
        assert terminated or truncated
        np.testing.assert_array_equal(rolled.observation[row, steps], observation)
    single.close()
    assert rolled.cost.sum(axis=1).max() > 1.0 and rolled.lengths.min() < rolled.lengths.max()
    with TaskEnvironment("panda_push_boundary") as where:
        assert where.cost_steps == 1


def test_every_task_is_known_and_a_wrong_name_finds_the_nearest() -> None:
    for name in available():
        with TaskEnvironment(name) as where:
            assert where.observation_size > 0 and (where.action_bound > 0.0).all()
    with pytest.raises(ValueError, match="unknown task 'panda_push_tople'.*panda_push_topple"):
        TaskEnvironment("panda_push_tople")


def test_tuples_for_a_critic_are_labelled_by_the_trap_and_not_by_death() -> None:
    with TaskEnvironment("car_traps") as where:
        rows = where._made(2)
        rows.reset(seed=0)
        around = rows.surroundings
        around.traps[0, 0] = rows.simulation.states().position[0]  # this one stands in a trap
        observation, _, _, _, info = rows.step(np.zeros((2, 2)))
        np.testing.assert_array_equal(info["in_trap"], [True, False])
        rolled = Rollouts(
            observation=np.stack([observation, observation], axis=1),
            chosen=np.zeros((2, 1, 2)),
            applied=np.zeros((2, 1, 2)),
            reward=np.zeros((2, 1)),
            cost=np.zeros((2, 1)),
            terminated=np.zeros((2, 1), dtype=bool),
            lengths=np.ones(2, dtype=np.int64),
            succeeded=np.zeros(2),
            gated=np.zeros((2, 1), dtype=bool),
        )
        np.testing.assert_array_equal(where.labelled(rolled).cost, [[1.0], [0.0]])
        rows.close()
    with TaskEnvironment("panda_push_boundary") as push:
        assert push.labelled(rolled) is rolled, "what fails is what is a failure"
