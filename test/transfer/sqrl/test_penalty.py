# SPDX-License-Identifier: Apache-2.0
"""Eq. 4 on chains whose answer is known: nu grows where the constraint is violated, and moves the policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.transfer.sqrl.penalty import DualAscent, Ramp

EPSILON = 0.25


def half(observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Probability of falling from the chain's first state: (a + 1) / 2."""
    return 0.5 * (action[:, 0] + 1.0)


def test_nu_grows_by_the_violation_and_falls_to_zero_no_further() -> None:
    ascent = DualAscent(half, epsilon=EPSILON, rate=0.1)
    state, risky, safe = torch.zeros(4, 1), torch.ones(4, 1), -torch.ones(4, 1)
    assert ascent(state, risky).item() == 0.0 and ascent.multiplier == pytest.approx(0.1 * 0.75)
    assert ascent(state, risky).item() == pytest.approx(0.075 * 0.75), "nu (Q_safe - epsilon)"
    assert ascent.multiplier == pytest.approx(0.15)
    for _ in range(20):
        ascent(state, safe)
    assert ascent.multiplier == 0.0
    ascent.restore({"multiplier": 3.0})
    action = torch.zeros(4, 1, requires_grad=True)
    ascent(state, action).backward()
    assert action.grad is not None and action.grad.sum().item() == pytest.approx(3.0 * 0.5), "it reaches the policy"


def test_the_ramp_ends_at_its_weight() -> None:
    ramp = Ramp(half, weight=10.0, updates=4)
    state, action = torch.zeros(2, 1), torch.ones(2, 1)
    assert [ramp(state, action).item() for _ in range(6)] == [0.0, 2.5, 5.0, 7.5, 10.0, 10.0]


def learned(penalty: DualAscent | None) -> float:
    """Mean risk of a policy in two states, paid a in the first, which ends the episode."""
    settings = SacSettings(hidden=(32,), learning_rate=1e-2, initial_temperature=0.1, target_entropy=-1.0, gamma=0.5)
    agent = Sac(1, np.ones(1), settings, seed=0, penalty=penalty)
    rng = np.random.default_rng(0)
    for _ in range(400):
        chosen = rng.uniform(-1.0, 1.0, (64, 1))
        agent.update(
            {
                "observation": np.zeros((64, 1)),
                "chosen": chosen,
                "reward": chosen[:, 0],
                "terminated": np.ones(64, dtype=bool),
                "next_observation": np.ones((64, 1)),
            },
            rng,
        )
    actions = agent.act(np.zeros((2000, 1)), rng.standard_normal((2000, 1)))
    return float(half(torch.zeros(2000, 1), torch.from_numpy(actions)).mean())


def test_nu_moves_the_policy_to_the_risk_that_is_accepted() -> None:
    """Paid for a, the policy would go to a = 1 and fail; the best that is allowed has E[Q_safe] = epsilon."""
    assert learned(None) > 0.8
    ascent = DualAscent(half, epsilon=EPSILON, rate=0.1)
    assert learned(ascent) == pytest.approx(EPSILON, abs=0.1)
    assert ascent.multiplier > 0.5
