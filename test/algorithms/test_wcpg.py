# SPDX-License-Identifier: Apache-2.0
"""WCPG: CVaR by numerical integration, the variance's Bellman equation, and a policy that shuns what is uncertain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from safe_transfer_ros.algorithms.wcpg import Wcpg, WcpgSettings, cvar, variance_target


@pytest.mark.parametrize("level", [0.1, 0.3])
def test_cvar_is_the_mean_of_the_worst_share(level: float) -> None:
    law = stats.norm(2.0, 3.0)
    expected = law.ppf(np.linspace(0.0, level, 200_001)[1:-1]).mean()
    found = cvar(torch.tensor([2.0]), torch.tensor([9.0]), torch.tensor([level])).item()
    assert found == pytest.approx(expected, abs=2e-3)


def test_the_variance_is_that_of_what_follows_and_of_the_reward() -> None:
    """E over a reward of 0 or 2 and returns of mean 3 and variance 4 after it, at a discount of .5."""
    reward, mean, variance = torch.tensor([0.0, 2.0]), torch.tensor([3.0, 3.0]), torch.tensor([4.0, 4.0])
    value = torch.tensor([1.0 + 1.5, 1.0 + 1.5])
    found = variance_target(reward, torch.tensor([0.5, 0.5]), mean, variance, value)
    assert found.mean().item() == pytest.approx(1.0 + 0.25 * 4.0)


def test_it_shuns_what_pays_more_on_the_average_and_is_uncertain() -> None:
    settings = WcpgSettings(hidden=(32,), actor_rate=3e-3, critic_rate=3e-3)
    agent, rng = Wcpg(1, np.array([2.0]), settings, seed=0), np.random.default_rng(0)
    for _ in range(600):
        chosen = rng.uniform(-2.0, 2.0, (64, 1))
        noise = rng.standard_normal(64) * 4.0 * (chosen[:, 0] > 0.0)
        agent.update(
            {
                "observation": np.ones((64, 1)),
                "chosen": chosen,
                "reward": 0.5 * chosen[:, 0] + noise,
                "terminated": np.ones(64, dtype=bool),
                "next_observation": np.ones((64, 1)),
            },
            rng,
        )
    seen = np.ones((1, 1))
    careful = agent.policy().act(seen, np.zeros((1, 0))).action
    assert -2.0 < careful < 0.2, "the best mean is at 2"
    # The file acts as the actor does at the lowest alpha, and begins another agent so at every alpha.
    np.testing.assert_allclose(agent.act(seen, np.array([[-40.0, 0.0]])), careful, atol=1e-5)
    other = Wcpg(1, np.array([2.0]), settings, seed=1)
    other.start_from(agent._careful())
    np.testing.assert_allclose(other.act(seen, np.array([[3.0, 0.0]])), careful, atol=1e-5)


def test_levels_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"levels in \(0, 1\)"):
        WcpgSettings(levels=(0.0, 0.3))
