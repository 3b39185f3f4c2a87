# SPDX-License-Identifier: Apache-2.0
"""Episodes as padded arrays, and simulated batches as episodes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from safe_transfer_ros.learning.rollouts import from_episodes, to_episodes
from safe_transfer_ros.learning.transitions import transitions
from safe_transfer_ros.policies import gaussian
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Architecture
from safe_transfer_ros.record.episode import Episode
from safe_transfer_ros.safety.reasons import Reason, Verdict
from safe_transfer_ros.tasks.rollouts import Rollouts, SimulatedRollouts
from safe_transfer_ros.tasks.task import make
from safe_transfer_ros.tasks.torque_task import TorqueTask
from safe_transfer_ros.tasks.vector import VectorTorqueEnv


@pytest.fixture(scope="module")
def task() -> TorqueTask:
    return make("pr2_cup_swirl")


@pytest.fixture(scope="module")
def batch(task: TorqueTask) -> SimulatedRollouts:
    policy = gaussian.initial_parameters(Architecture(observation_size=18, hidden=(8,), action_size=7), seed=0)
    with VectorTorqueEnv(task, threads=1) as environment:
        return environment.rollout(GaussianPolicy(policy), torque_limits=[0.3, 0.3, 3.0], seed=5, first_episode=10)


@pytest.fixture(scope="module")
def episodes(batch: SimulatedRollouts) -> list[Episode]:
    return to_episodes(batch, iteration=2, policy_version=7, period_ns=50_000_000, start_ns=1000)


def cut(episode: Episode, steps: int, *, terminated: bool = False) -> Episode:
    """The episode's first steps."""
    longer = {"stamp_ns", "position", "velocity", "observation"}
    arrays = {
        field.name: getattr(episode, field.name)[: steps + (field.name in longer)]
        for field in dataclasses.fields(episode)
        if isinstance(getattr(episode, field.name), np.ndarray)
    }
    return dataclasses.replace(episode, terminated=terminated, **arrays)


def test_a_simulated_batch_and_its_record_are_the_same_rollouts(batch, episodes, task) -> None:
    direct, recorded = batch, from_episodes(episodes, task)
    np.testing.assert_array_equal(recorded.observation, direct.observation)
    np.testing.assert_array_equal(recorded.chosen, direct.chosen)
    np.testing.assert_allclose(recorded.reward, direct.reward, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(recorded.cost, direct.cost)
    np.testing.assert_array_equal(recorded.lengths, [200, 200, 200])
    assert recorded.steps == direct.steps == 600 and not recorded.terminated.any() and recorded.valid.all()


def test_the_record_says_what_the_filter_would_have(batch, episodes) -> None:
    assert [episode.index for episode in episodes] == [10, 11, 12]
    assert {(episode.iteration, episode.policy_version) for episode in episodes} == {(2, 7)}
    stamps = np.concatenate([episode.stamp_ns for episode in episodes])
    assert stamps[0] == 1000 and (np.diff(stamps) == 50_000_000).all()
    bounded = episodes[0].verdict == Verdict.BOUNDED
    np.testing.assert_array_equal(bounded, np.abs(batch.proposed[0]).max(axis=1) > 0.3)
    np.testing.assert_array_equal(bounded, episodes[0].reasons != 0)
    assert bounded.any() and not bounded.all()


def test_the_order_episodes_come_in_does_not_matter(episodes, task) -> None:
    straight, shuffled = from_episodes(episodes, task), from_episodes(episodes[::-1], task)
    np.testing.assert_array_equal(straight.chosen, shuffled.chosen)


def test_shorter_episodes_are_padded_and_their_end_is_kept(episodes, task) -> None:
    short = [cut(episodes[0], 120, terminated=True), cut(episodes[1], 30), episodes[2]]
    rollouts = from_episodes(short, task)
    np.testing.assert_array_equal(rollouts.lengths, [120, 30, 200])
    assert rollouts.steps == 350 == rollouts.valid.sum()
    assert np.argwhere(rollouts.terminated).tolist() == [[0, 119]]
    np.testing.assert_array_equal(rollouts.observation[1, 30], episodes[1].observation[30])
    assert not rollouts.reward[1, 30:].any() and not rollouts.observation[1, 31:].any()
    expected = task.reward(episodes[1].position[1:31], episodes[1].velocity[1:31], episodes[1].proposed[:30])
    np.testing.assert_array_equal(rollouts.reward[1, :30], expected)


def test_nothing_to_learn_from_is_refused(episodes, task) -> None:
    with pytest.raises(ValueError, match="at least one episode"):
        from_episodes([], task)
    with pytest.raises(ValueError, match="a number of its own"):
        from_episodes([episodes[0], episodes[0]], task)
    with pytest.raises(ValueError, match="with \\[0, 200\\] steps"):
        from_episodes([cut(episodes[0], 0), episodes[1]], task)


def test_what_lies_beyond_a_failure_is_cut_off(episodes, task) -> None:
    first = dataclasses.replace(cut(episodes[0], 50), reasons=np.full(50, int(Reason.CRITIC_RISK), dtype=np.uint32))
    second = cut(episodes[1], 30, terminated=True)
    unsafety = [task.outcome_of(episode).unsafety for episode in (first, second)]
    # Unsafe beyond what the first reached by its step 20, and the second never did.
    limit = max(unsafety[1].max(), unsafety[0][:20].max())
    if not (unsafety[0] > limit).any():
        first, second, unsafety = second, first, unsafety[::-1]
        limit = unsafety[0][:10].max()
    failing = type("Failing", (type(task),), {"unsafety_limit": float(limit)})()
    rollouts = from_episodes([first, second], failing, action_bound=np.full(7, 0.1), ends_on_failure=True)
    rows = sorted([first, second], key=lambda episode: episode.index)
    for row, episode in enumerate(rows):
        unsafe = task.outcome_of(episode).unsafety > limit
        length = unsafe.argmax() + 1 if unsafe.any() else episode.steps
        assert rollouts.lengths[row] == length
        assert rollouts.cost[row].sum() == unsafe.any() and rollouts.cost[row, length - 1] == unsafe.any()
        assert rollouts.terminated[row, length - 1] == (unsafe.any() or episode.terminated)
    assert rollouts.failures >= 1 and np.abs(rollouts.applied).max() == 0.1
    assert rollouts.gated.any()


def test_a_goal_reached_behind_a_failure_is_none() -> None:
    flat = np.zeros((2, 3, 1))
    rollouts = Rollouts(
        observation=np.zeros((2, 4, 1)),
        chosen=flat,
        applied=flat,
        reward=np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]),
        cost=np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        terminated=np.array([[False, False, True], [False, True, False]]),
        lengths=np.array([3, 2]),  # the second failure lies in the padding
        succeeded=np.ones(2),
        gated=np.ones((2, 3), dtype=bool),
    ).ended_by_failures()
    assert rollouts.lengths.tolist() == [2, 2] and rollouts.succeeded.tolist() == [0.0, 1.0]
    assert rollouts.terminated.tolist() == [[False, True, False]] * 2 and rollouts.failures == 1
    assert rollouts.cost.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]] and rollouts.returns.tolist() == [3.0, 3.0]
    assert rollouts.gated.sum() == 4


def test_transitions_of_a_simulated_arm_tell_its_law_and_limits_as_recorded_ones_do(batch) -> None:
    unsafe = batch.unsafety[:, 1:] > np.quantile(batch.unsafety, 0.9)
    cut = dataclasses.replace(batch, cost=unsafe.astype(float)).ended_by_failures()
    assert cut.first_episode == batch.first_episode and cut.lengths.min() < 200
    columns = transitions(cut, iteration=4)
    assert (columns["iteration"] == 4).all()
    row = 0
    for episode, length in enumerate(cut.lengths.tolist()):
        for step in range(length):
            assert (columns["episode"][row], columns["step"][row]) == (batch.first_episode + episode, step)
            for name in ("mean", "stddev", "proposed", "applied", "torque_limit", "observation", "reward"):
                expected = getattr(batch, name)[episode, step].astype(np.float32)
                np.testing.assert_array_equal(columns[name][row], expected, err_msg=name)
            assert columns["unsafety"][row] == np.float32(batch.unsafety[episode, step + 1])
            assert columns["next_torque_limit"][row] == columns["torque_limit"][row]
            for name in ("mean", "stddev"):
                expected = np.full(7, np.nan) if step == length - 1 else getattr(batch, name)[episode, step + 1]
                np.testing.assert_array_equal(columns[f"next_{name}"][row], np.float32(expected), err_msg=name)
            row += 1
    assert row == cut.steps == len(columns["bound"])
    assert np.isnan(columns["bound"]).all() and np.isnan(columns["next_bound"]).all()
    assert not columns["distribution"].any() and not columns["next_distribution"].any()
