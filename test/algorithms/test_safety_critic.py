# SPDX-License-Identifier: Apache-2.0
"""The critic against chains whose failure probabilities are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.safety_critic import (
    CriticLearner,
    CriticSettings,
    bellman_target,
    failure_probability,
    initial_critic,
)

N, UP, GAMMA = 7, 0.45, 0.9  # gambler's ruin on 1..N-1: 0 is ruin, N is won; up with probability UP


def one_hot(states, actions=None, n_actions=1):
    inputs = np.zeros((len(states), (N + 1) * n_actions), dtype=np.float32)
    inputs[np.arange(len(states)), states * n_actions + (0 if actions is None else actions)] = 1.0
    return inputs


def exact_ruin(gamma):
    """Discounted probability of ruin from each state, by the linear equations of the chain."""
    matrix, right = np.eye(N + 1), np.zeros(N + 1)
    for s in range(1, N):
        for following, p in ((s + 1, UP), (s - 1, 1 - UP)):
            if following == 0:
                right[s] += p  # c' = 1
            elif following < N:
                matrix[s, following] -= gamma * p
    return np.linalg.solve(matrix, right)


def gambler_batch(rng, size):
    s = rng.integers(1, N, size)
    after = s + np.where(rng.random(size) < UP, 1, -1)
    return dict(
        inputs=one_hot(s),
        cost=(after == 0).astype(np.float32),
        terminated=((after == 0) | (after == N)).astype(np.float32),
        next_inputs=one_hot(after),
    )


def learned(learner, inputs):
    tensors = {name: torch.from_numpy(array) for name, array in learner.parameters().items()}
    return failure_probability(tensors, torch.from_numpy(inputs)).numpy()


@pytest.mark.parametrize("members", [1, 3])
def test_gamblers_ruin_is_learned_to_its_exact_probabilities(members):
    settings = CriticSettings(gamma=GAMMA, members=members, hidden=(16,), learning_rate=1e-2, target_rate=0.05)
    learner = CriticLearner(initial_critic(N + 1, settings, 0), settings)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        learner.update(**gambler_batch(rng, 128))
    exact = exact_ruin(GAMMA)[1:N]
    assert exact.min() < 0.2 < 0.5 < exact.max()  # the chain asks something
    np.testing.assert_allclose(learned(learner, one_hot(np.arange(1, N))), np.tile(exact, (members, 1)), atol=0.04)


def test_without_discount_the_closed_form_of_the_ruin_is_the_same_chain():
    ratio = (1 - UP) / UP
    closed = [1 - (1 - ratio**s) / (1 - ratio**N) for s in range(1, N)]
    np.testing.assert_allclose(exact_ruin(1.0)[1:N], closed, rtol=1e-9)


def test_target_ignores_what_follows_a_failure_or_an_end():
    cost, ended, following = (torch.tensor(v) for v in ([0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0], [0.5] * 4))
    np.testing.assert_allclose(bellman_target(cost, ended, following, 0.8), [0.4, 1.0, 0.0, 1.0], rtol=1e-6)


def bandit(alpha, seed=0, updates=1500):
    """One-step chains of two torques: torque 0 fails with .3 and is all the data; the policy would try both."""
    settings = CriticSettings(gamma=0.0, alpha=alpha, hidden=(16,), learning_rate=1e-2)
    learner = CriticLearner(initial_critic(2 * (N + 1), settings, seed), settings)
    rng = np.random.default_rng(seed)
    for _ in range(updates):
        s = rng.integers(0, N + 1, 128)
        tried = rng.integers(0, 2, 128)
        learner.update(
            inputs=one_hot(s, 0, 2),
            cost=(rng.random(128) < 0.3).astype(np.float32),
            terminated=np.ones(128, dtype=np.float32),
            next_inputs=one_hot(s, 0, 2),
            policy_inputs=one_hot(s, tried, 2),
        )
    s = np.arange(N + 1)
    return learned(learner, one_hot(s, 0, 2))[0], learned(learner, one_hot(s, 1, 2))[0]


def test_conservative_critic_over_estimates_unseen_torques_and_seen_ones_by_no_more_than_it_should():
    seen, unseen = bandit(alpha=0.2)
    assert unseen.min() > 0.9, "a torque never tried must look dangerous"
    # Half of what the policy tries is the seen torque: Q - .3 + alpha / 2 Q (1 - Q) = 0, so Q = .28, not above .3.
    np.testing.assert_allclose(seen.mean(), 0.28, atol=0.04)
    plain_seen, plain_unseen = bandit(alpha=0.0)
    np.testing.assert_allclose(plain_seen, 0.3, atol=0.05)
    assert plain_unseen.max() < 0.6, "without the term nothing pushes an unseen torque up"


def test_an_over_estimate_feeds_on_itself_unless_a_twin_gives_the_target():
    """No failure was ever seen; the policy would try a second torque, of which nothing is known, half of the time."""
    foretold = {}
    for own in (True, False):
        settings = CriticSettings(
            gamma=GAMMA, alpha=0.2, hidden=(16,), learning_rate=1e-2, target_rate=0.05, own_target=own
        )
        learner = CriticLearner(initial_critic(2 * (N + 1), settings, 0), settings)
        rng = np.random.default_rng(0)
        for _ in range(1500):
            s, after = rng.integers(0, N + 1, 128), rng.integers(0, N + 1, 128)
            learner.update(
                inputs=one_hot(s, 0, 2),
                cost=np.zeros(128, dtype=np.float32),
                terminated=np.zeros(128, dtype=np.float32),
                next_inputs=one_hot(after, rng.integers(0, 2, 128), 2),
                policy_inputs=one_hot(s, rng.integers(0, 2, 128), 2),
            )
        states = np.arange(N + 1)
        foretold[own] = [learned(learner, one_hot(states, torque, 2))[0] for torque in (0, 1)]
    assert min(unseen.min() for _, unseen in foretold.values()) > 0.9, "both must be careful of what nobody tried"
    assert foretold[True][0].min() > 0.4 and foretold[False][0].max() < 0.05


def test_conservative_term_leaves_a_critic_alone_whose_data_is_the_policys_own():
    settings = CriticSettings(gamma=0.0, alpha=0.5, hidden=(16,), learning_rate=1e-2)
    learner = CriticLearner(initial_critic(2 * (N + 1), settings, 0), settings)
    rng = np.random.default_rng(0)
    for _ in range(1500):
        s, a, tried = rng.integers(0, N + 1, 128), rng.integers(0, 2, 128), rng.integers(0, 2, 128)
        learner.update(
            inputs=one_hot(s, a, 2),
            cost=(rng.random(128) < np.where(a == 1, 0.6, 0.2)).astype(np.float32),
            terminated=np.ones(128, dtype=np.float32),
            next_inputs=one_hot(s, a, 2),
            policy_inputs=one_hot(s, tried, 2),
        )
    s = np.arange(N + 1)
    np.testing.assert_allclose(learned(learner, one_hot(s, 0, 2))[0], 0.2, atol=0.12)
    np.testing.assert_allclose(learned(learner, one_hot(s, 1, 2))[0], 0.6, atol=0.12)


def test_a_critic_that_has_seen_no_failure_learns_when_they_come():
    settings = CriticSettings(gamma=0.0, hidden=(16,), learning_rate=3e-3)
    learner = CriticLearner(initial_critic(N + 1, settings, 0, first_risk=1e-4), settings)
    rng = np.random.default_rng(0)
    for _ in range(400):
        s = rng.integers(0, N + 1, 64)
        failed, ended = (s > 4).astype(np.float32), np.ones(64, dtype=np.float32)
        learner.update(inputs=one_hot(s), cost=failed, terminated=ended, next_inputs=one_hot(s))
    risk = learned(learner, one_hot(np.arange(N + 1)))[0]
    assert risk[5:].min() > 0.9 and risk[:5].max() < 0.1


@pytest.mark.parametrize("changes", [{"members": 2}, {"alpha": 0.1, "own_target": False}])
def test_training_goes_on_exactly_from_a_saved_state(changes):
    settings = CriticSettings(gamma=GAMMA, hidden=(16,), **changes)
    rng = np.random.default_rng(3)
    batches = [
        batch | {"policy_inputs": batch["inputs"][::-1].copy()} for batch in (gambler_batch(rng, 32) for _ in range(20))
    ]
    whole, first = (CriticLearner(initial_critic(N + 1, settings, 0), settings) for _ in range(2))
    for batch in batches:
        whole.update(**batch)
    for batch in batches[:11]:
        first.update(**batch)
    later = CriticLearner(initial_critic(N + 1, settings, 9), settings)
    later.restore(first.state())
    for batch in batches[11:]:
        later.update(**batch)
    assert later.updates == 20
    for name, array in whole.parameters().items():
        np.testing.assert_array_equal(array, later.parameters()[name])


def test_a_state_with_parameters_by_name_is_resumed():
    """States were kept like that before, weights (members, out, in), the way a file has them."""
    settings = CriticSettings(gamma=GAMMA, members=2, hidden=(16, 16), learning_rate=1e-2, target_rate=0.05)
    start = initial_critic(N + 1, settings, 0)
    online = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
    target = {name: tensor.detach().clone() for name, tensor in online.items()}
    optimiser = torch.optim.Adam(list(online.values()), lr=1e-2)
    rng = np.random.default_rng(4)

    def values(of, inputs):
        for at in range(3):
            inputs = inputs @ of[f"layer.{at}.weight"].transpose(1, 2) + of[f"layer.{at}.bias"][:, None]
            inputs = torch.relu(inputs) if at < 2 else inputs
        return torch.sigmoid(inputs[..., 0])

    def step(batch):
        given = {name: torch.from_numpy(array) for name, array in batch.items()}
        y = bellman_target(given["cost"], given["terminated"], values(target, given["next_inputs"]), GAMMA).detach()
        losses = torch.nn.functional.binary_cross_entropy(values(online, given["inputs"]), y, reduction="none")
        optimiser.zero_grad()
        losses.mean(dim=1).sum().backward()
        optimiser.step()
        for name, tensor in target.items():
            tensor.lerp_(online[name].detach(), 0.05)

    for _ in range(5):
        step(gambler_batch(rng, 64))
    learner = CriticLearner(initial_critic(N + 1, settings, 9), settings)
    by_name = {"online": {name: tensor.detach().clone() for name, tensor in online.items()}, "target": target}
    learner.restore({"updates": 5, **by_name, "optimiser": optimiser.state_dict(), "twin": None})
    for _ in range(5):
        batch = gambler_batch(rng, 64)
        step(batch)
        learner.update(**batch)
    assert learner.updates == 10
    moved = 0.0
    for name, array in learner.parameters().items():
        np.testing.assert_allclose(array, online[name].detach().numpy(), rtol=1e-3, atol=2e-4)
        moved = max(moved, np.abs(array - start[name]).max())
    assert moved > 0.03


def test_the_conservative_term_asks_for_the_policys_torques():
    settings = CriticSettings(alpha=0.5, hidden=(8,))
    learner = CriticLearner(initial_critic(N + 1, settings, 0), settings)
    with pytest.raises(ValueError, match="policy_inputs"):
        learner.update(**gambler_batch(np.random.default_rng(0), 8))
