# SPDX-License-Identifier: Apache-2.0
"""GAE against the double sum it abbreviates."""

import numpy as np
import pytest

from safe_transfer_ros.algorithms.gae import generalized_advantages

GAMMA, LAM = 0.93, 0.9


def brute_force(rewards: list[float], values: list[float], terminated: bool) -> list[float]:
    """One episode, the definition: exponentially weighted n-step advantages."""
    steps = len(rewards)
    tail = 0.0 if terminated else values[steps]
    n_step = [
        [
            sum(GAMMA**k * rewards[t + k] for k in range(n))
            + GAMMA**n * (values[t + n] if t + n < steps else tail)
            - values[t]
            for n in range(1, steps - t + 1)
        ]
        for t in range(steps)
    ]
    # (1 - lam) sum lam^(n-1) A_n; all weight beyond the end rests on the last one.
    return [
        sum((1 - LAM) * LAM ** (n - 1) * a for n, a in enumerate(row[:-1], start=1)) + LAM ** (len(row) - 1) * row[-1]
        for row in n_step
    ]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 9)), rng.standard_normal((4, 10))


def test_truncation_bootstraps_and_termination_does_not(data) -> None:
    rewards, values = data
    terminated = np.zeros((4, 9), bool)
    terminated[1, 8] = terminated[3, 8] = True
    got = generalized_advantages(rewards, values, terminated, GAMMA, LAM)
    for episode in range(4):
        expected = brute_force(rewards[episode].tolist(), values[episode].tolist(), terminated[episode, 8])
        np.testing.assert_allclose(got[episode], expected, rtol=1e-12)


def test_shorter_episodes_end_at_their_own_state_and_are_zero_beyond(data) -> None:
    rewards, values = data
    lengths = [9, 4, 1, 6]
    terminated = np.zeros((4, 9), bool)
    terminated[1, 3] = True
    got = generalized_advantages(rewards, values, terminated, GAMMA, LAM, lengths)
    for episode, length in enumerate(lengths):
        expected = brute_force(rewards[episode, :length].tolist(), values[episode, : length + 1].tolist(), episode == 1)
        np.testing.assert_allclose(got[episode, :length], expected, rtol=1e-12)
        assert not got[episode, length:].any()


def test_lambda_one_is_return_minus_value_and_lambda_zero_one_step(data) -> None:
    rewards, values = data
    none = np.zeros((4, 9), bool)
    discounts = GAMMA ** np.arange(9)
    monte_carlo = (rewards * discounts).sum(axis=1) + GAMMA**9 * values[:, 9] - values[:, 0]
    np.testing.assert_allclose(generalized_advantages(rewards, values, none, GAMMA, 1.0)[:, 0], monte_carlo)
    one_step = rewards + GAMMA * values[:, 1:] - values[:, :-1]
    np.testing.assert_allclose(generalized_advantages(rewards, values, none, GAMMA, 0.0), one_step)


def test_an_episode_that_goes_on_after_its_termination_is_refused(data) -> None:
    rewards, values = data
    terminated = np.zeros((4, 9), bool)
    terminated[2, 4] = True
    with pytest.raises(ValueError, match="continues after its termination"):
        generalized_advantages(rewards, values, terminated, GAMMA, LAM)
    generalized_advantages(rewards, values, terminated, GAMMA, LAM, [9, 9, 5, 9])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((4, 9))}, "steps \\+ 1"),
        ({"gamma": 1.1}, "gamma"),
        ({"lam": -0.1}, "lambda"),
        ({"lengths": [9, 9, 0, 9]}, "lengths within 1..9"),
        ({"lengths": [9, 9, 9]}, "expected 4 episode lengths"),
        ({"lengths": [9, 9, 9, 10]}, "lengths within 1..9"),
    ],
)
def test_inputs_that_disagree_are_refused(data, change, message) -> None:
    rewards, values = data
    arguments = {
        "rewards": rewards,
        "values": values,
        "terminated": np.zeros((4, 9), bool),
        "gamma": GAMMA,
        "lam": LAM,
    } | change
    with pytest.raises(ValueError, match=message):
        generalized_advantages(**arguments)
