# SPDX-License-Identifier: Apache-2.0
"""The linear value function: its equation, truncation, and values an episode had no part in."""

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.linear_baseline import features, fitted_values

GAMMA = 0.9


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, 31, 3)), rng.standard_normal((6, 30)), np.zeros((6, 30), bool)


def test_features_are_the_papers() -> None:
    observations = np.array([[[2.0, -30.0], [0.5, 1.0]]])
    np.testing.assert_allclose(
        features(observations),
        [[[2.0, -10.0, 4.0, 100.0, 0.0, 0.0, 0.0, 1.0], [0.5, 1.0, 0.25, 1.0, 0.01, 0.0001, 0.000001, 1.0]]],
    )


def test_the_coefficients_solve_least_squares_on_their_own_bootstrapped_targets(data) -> None:
    """Iterating "fit to the targets, recompute the targets" ends where the one solve does."""
    observations, rewards, terminated = data
    terminated[2, -1] = True
    values = fitted_values(observations, rewards, terminated, GAMMA, ridge=1e-2, leave_one_out=False)
    made = features(observations)
    flat = made[:, :-1].reshape(-1, made.shape[-1])
    iterated = np.zeros(values.shape)
    for _ in range(200):
        target = np.zeros_like(rewards)
        following = np.where(terminated[:, -1], 0.0, iterated[:, -1])
        for step in reversed(range(30)):
            following = rewards[:, step] + GAMMA * following
            target[:, step] = following
        gram = flat.T @ flat + 1e-2 * 180 * np.eye(flat.shape[1])
        iterated = made @ np.linalg.solve(gram, flat.T @ target.ravel())
    np.testing.assert_allclose(values, iterated, rtol=1e-8, atol=1e-10)


def test_a_constant_reward_is_worth_its_infinite_sum_when_truncated(data) -> None:
    observations, _, terminated = data
    values = fitted_values(observations, np.ones((6, 30)), terminated, GAMMA, ridge=1e-9)
    np.testing.assert_allclose(values, 1.0 / (1.0 - GAMMA), rtol=1e-3)


def test_a_termination_is_worth_nothing_afterwards(data) -> None:
    observations, _, terminated = data
    terminated[:, -1] = True
    values = fitted_values(observations, np.ones((6, 30)), terminated, GAMMA, ridge=1e-9)
    assert values[:, 29].mean() < 3.0 < 6.0 < values[:, 0].mean()


def test_an_episodes_own_rewards_do_not_enter_its_values(data) -> None:
    observations, rewards, terminated = data
    before = fitted_values(observations, rewards, terminated, GAMMA)
    rewards[3] += 100.0
    after = fitted_values(observations, rewards, terminated, GAMMA)
    np.testing.assert_allclose(after[3], before[3], rtol=1e-9)
    assert np.abs(after[0] - before[0]).max() > 1.0
    together = fitted_values(observations, rewards, terminated, GAMMA, leave_one_out=False)
    assert np.abs(together[3] - before[3]).max() > 1.0


def test_leaving_one_out_is_fitting_without_it(data) -> None:
    observations, rewards, terminated = data
    lengths = [30, 12, 30, 7, 30, 30]
    terminated[1, 11] = True
    values = fitted_values(observations, rewards, terminated, GAMMA, lengths=lengths)
    others = [0, 1, 3, 4, 5]
    # The sixth row is a stranger that is only predicted: its own fit leaves out nothing but itself.
    rest = fitted_values(
        observations[[*others, 2]],
        rewards[[*others, 2]],
        terminated[[*others, 2]],
        GAMMA,
        lengths=[30, 12, 7, 30, 30, 30],
    )
    np.testing.assert_allclose(values[2], rest[5], rtol=1e-9)


def test_padding_beyond_an_episodes_end_changes_nothing(data) -> None:
    observations, rewards, terminated = data
    lengths = [30, 12, 30, 7, 30, 30]
    before = fitted_values(observations, rewards, terminated, GAMMA, lengths=lengths)
    for row, length in enumerate(lengths):
        observations[row, length + 1 :] = 7.0
        rewards[row, length:] = -50.0
    after = fitted_values(observations, rewards, terminated, GAMMA, lengths=lengths)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(after[row, : length + 1], before[row, : length + 1], rtol=1e-9)


def test_a_single_episode_has_no_others_and_values_of_zero(data) -> None:
    observations, rewards, terminated = data
    assert not fitted_values(observations[:1], rewards[:1], terminated[:1], GAMMA).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros((6, 31))}, r"steps \+ 1"),
        ({"terminated": np.zeros((6, 29), bool)}, "terminated"),
        ({"gamma": 1.0}, "gamma 1 needs episodes that all terminate"),
        ({"gamma": 1.1}, "gamma within"),
        ({"ridge": 0.0}, "ridge"),
        ({"lengths": [31] * 6}, "lengths within"),
    ],
)
def test_inputs_that_disagree_are_refused(data, change, message) -> None:
    observations, rewards, terminated = data
    arguments = {
        "observations": observations,
        "rewards": rewards,
        "terminated": terminated,
        "gamma": GAMMA,
    } | change
    with pytest.raises(ValueError, match=message):
        fitted_values(**arguments)


def test_the_thread_count_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    observations, rewards = rng.standard_normal((20, 101, 18)), rng.standard_normal((20, 100))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(fitted_values(observations, rewards, np.zeros((20, 100), bool), GAMMA))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*results)
