# SPDX-License-Identifier: Apache-2.0
"""The critic's fixed point on chains with a closed form, and how far it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.transfer.sqrl.safety_critic import OnPolicyCritic
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings, horizon_seen

GAMMA = 0.7
SMALL = SqrlSettings(gamma=GAMMA, hidden=(32,), learning_rate=1e-2, target_rate=0.05, updates=500, batch=64)


def one_hot(state: int) -> np.ndarray:
    return np.eye(5)[state]


def chain(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """0 -> 1 -> 2 -> failure; 3 fails with probability 1/2, else stays; 4 reaches its goal and ends."""
    rows = []
    for number in range(count):
        falls = rng.random() < 0.5
        rows += [(number, 0, 0.0, False, 1), (number, 1, 0.0, False, 2), (number, 2, 1.0, True, 2)]
        rows += [(count + number, 3, float(falls), falls, 3), (2 * count + number, 4, 0.0, True, 4)]
    chains, states, costs, ends, following = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "chain": chains.astype(np.int32),
        "observation": np.stack([one_hot(state) for state in states]),
        "chosen": np.zeros((len(states), 1)),
        "cost": costs,
        "terminated": ends,
        "next_observation": np.stack([one_hot(state) for state in following]),
    }


def test_the_fixed_point_is_that_of_the_closed_form() -> None:
    critic = OnPolicyCritic(5, np.ones(1), SMALL, seed=0)
    columns = chain(400, np.random.default_rng(0))
    error = critic.learn(columns, lambda observation, noise: 0.0 * noise)
    assert critic.failures == int(columns["cost"].sum()) > 400 and error > 0.0
    with torch.no_grad():
        found = critic.probability(torch.eye(5), torch.zeros(5, 1)).numpy()
    share = columns["cost"][3::5].mean()
    again = share / (1.0 - (1.0 - share) * GAMMA)  # Q = p + (1 - p) gamma Q
    np.testing.assert_allclose(found, [GAMMA**2, GAMMA, 1.0, again, 0.0], atol=0.06)


def test_targets_are_of_the_policy_without_the_mask() -> None:
    """What the policy would do next decides Q: 1 where it always fails next, 0 where it never does."""
    for next_action, expected in ((1.0, GAMMA), (-1.0, 0.0)):
        critic = OnPolicyCritic(1, np.array([2.0]), SMALL, seed=0)
        rng = np.random.default_rng(0)
        chosen = rng.choice([-2.0, 2.0], (300, 1))
        ends = {
            "chain": np.arange(600, dtype=np.int32),
            "observation": np.repeat([[1.0], [0.0]], 300, axis=0),
            "chosen": np.concatenate([chosen, chosen]),
            "cost": np.concatenate([chosen[:, 0] > 0.0, np.zeros(300)]),
            "terminated": np.concatenate([np.ones(300, dtype=bool), np.zeros(300, dtype=bool)]),
            "next_observation": np.ones((600, 1)),
        }
        critic.learn(ends, lambda observation, noise, a=next_action: np.full_like(noise, a))
        with torch.no_grad():
            found = critic.probability(torch.zeros(2, 1), torch.tensor([[1.0], [-1.0]])).numpy()
        np.testing.assert_allclose(found, expected, atol=0.1)


def test_a_torque_is_judged_and_learned_from_as_it_acts() -> None:
    """The limit is the first observed number, in units of 2 N·m; the bound is 4 N·m."""
    critic = OnPolicyCritic(1, np.array([4.0]), SMALL, seed=0, limit_input=(0, 2.0))
    observation, action = torch.full((3, 1), 0.5), torch.tensor([[0.9], [0.1], [-0.9]], requires_grad=True)
    risks = critic.probability(observation, action)
    free = OnPolicyCritic(1, np.array([4.0]), SMALL, seed=0)
    torch.testing.assert_close(risks, free.probability(observation, torch.tensor([[0.25], [0.1], [-0.25]])))
    risks.sum().backward()
    assert action.grad is not None and (action.grad[:, 0] != 0.0).tolist() == [False, True, False]
    taken = []
    usual = critic._learner.update

    def watched(**batch: np.ndarray) -> dict[str, float]:
        taken.append(batch)
        return usual(**batch)

    critic._learner.update = watched  # type: ignore[method-assign]
    rows = {name: np.zeros(8, dtype) for name, dtype in (("chain", np.int32), ("cost", float), ("terminated", bool))}
    ones = np.ones((8, 1))
    critic.learn(
        {**rows, "observation": 0.5 * ones, "chosen": 3.0 * ones, "next_observation": 0.3 * ones},
        lambda seen, noise: np.full_like(noise, -0.8),
    )
    for batch in taken[:3]:
        np.testing.assert_allclose(batch["inputs"], np.tile([0.5, 0.25], (64, 1)), rtol=1e-6)
        np.testing.assert_allclose(batch["next_inputs"], np.tile([0.3, -0.15], (64, 1)), rtol=1e-6)


def test_d_safe_keeps_the_newest_alone() -> None:
    small = SqrlSettings(hidden=(4,), updates=1, capacity=50)
    critic = OnPolicyCritic(5, np.ones(1), small, seed=0)
    for first in (0, 1000):
        columns = chain(20, np.random.default_rng(0))
        columns["chain"] = columns["chain"] + first
        critic.learn(columns, lambda observation, noise: noise)
    assert len(critic.transitions) == 50 and critic.transitions["chain"].min() >= 1000


def test_a_critic_of_other_sizes_is_refused() -> None:
    wide, small = (OnPolicyCritic(2, np.ones(1), SqrlSettings(hidden=hidden), seed=0) for hidden in ((8,), (4,)))
    with pytest.raises(WeightsError, match=r"expected a safety critic of hidden layers \(4,\)"):
        small.start_from(wide.parameters())


@pytest.mark.parametrize(("epsilon", "gamma", "steps"), [(0.1, 0.7, 7), (0.1, 0.65, 6), (0.4, 0.4, 1), (0.1, 0.0, 1)])
def test_how_far_a_certain_failure_is_refused(epsilon: float, gamma: float, steps: int) -> None:
    assert horizon_seen(epsilon, gamma) == steps
    assert gamma ** (steps - 1) > epsilon >= gamma**steps


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"epsilon in \(0, 1\)"):
        SqrlSettings(epsilon=1.0)
    with pytest.raises(ValueError, match="of at least 1"):
        SqrlSettings(episodes=0)
