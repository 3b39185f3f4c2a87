# SPDX-License-Identifier: Apache-2.0
"""The constraint of SAC-Lagrangian: its limit, its critic, lambda's direction, and that it is kept on a bandit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.cost_critic import CostCritic, CostCriticSettings, discounted_limit
from safe_transfer_ros.algorithms.double_q import TransitionBatch
from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.sac.cost_constraint import CostConstraint, CostConstraintSettings


def constraint(**changes: Any) -> CostConstraint:
    settings = CostConstraintSettings(**{"limit": 0.5, "gamma": 0.5, "multiplier_rate": 0.1} | changes)
    about = CostCriticSettings(gamma=settings.gamma, hidden=(16,), learning_rate=1e-2, target_rate=0.1)
    return CostConstraint(CostCritic(1, 1, about, np.random.default_rng([0, 1])), settings)


def columns(rng: np.random.Generator, **given: Any) -> dict[str, np.ndarray]:
    """64 steps of a bandit with one state."""
    action = rng.uniform(-1.0, 1.0, (64, 1)).astype(np.float32)
    return {
        "observation": np.zeros((64, 1), np.float32),
        "chosen": action,
        "reward": action[:, 0],
        "cost": (action[:, 0] > 0.0).astype(np.float32),
        "terminated": np.ones(64, np.bool_),
        "next_observation": np.zeros((64, 1), np.float32),
    } | given


def test_the_limit_is_that_of_a_constant_cost() -> None:
    assert discounted_limit(0.05, 0.95, 500) == pytest.approx(sum(0.05 * 0.95**step for step in range(500)))
    assert discounted_limit(0.3, 0.0, 10) == 0.3
    for wrong in ((0.0, 0.9, 5), (0.1, 1.0, 5), (0.1, 0.9, 0)):
        with pytest.raises(ValueError, match="expected cost_per_step > 0"):
            discounted_limit(*wrong)


@pytest.mark.parametrize(("ends", "expected"), [(True, 1.0), (False, 2.0)])
def test_the_critic_foretells_discounted_costs_and_a_time_limit_ends_none(ends: bool, expected: float) -> None:
    found, rng = constraint(), np.random.default_rng([0, 2])
    for _ in range(400):
        given = columns(rng, cost=np.ones(64, np.float32), terminated=np.full(64, ends))
        batch = TransitionBatch.of(given, torch.ones(1))
        found.critic.learn(batch, torch.from_numpy(given["cost"]), torch.zeros(64, 1))
    found.multiplier = 1.0
    assert found.penalty(torch.zeros(1, 1), torch.zeros(1, 1)).item() == pytest.approx(expected, abs=0.1)


def test_the_multiplier_grows_with_what_is_over_the_limit_and_stops_at_zero() -> None:
    for limit, grows in ((1e-3, True), (50.0, False)):
        found = constraint(limit=limit)
        found.multiplier = 0.5
        action = torch.full((1, 1), 0.3, requires_grad=True)
        with torch.no_grad():
            value = found.critic.values(torch.zeros(1, 1), action).item()
        found.penalty(torch.zeros(1, 1), action)
        assert found.multiplier == pytest.approx(max(0.0, 0.5 + 0.1 * (value - limit)))
        assert (found.multiplier > 0.5) == (value > limit) and (found.multiplier == 0.0) != grows


def test_a_bandit_is_brought_under_the_accepted_cost_and_the_multiplier_falls_again() -> None:
    """Reward grows with the action, actions above 0 cost 1: SAC alone is at a cost of 1, .2 is accepted."""

    def cost(agent: Sac) -> float:
        noise = np.random.default_rng([0, 4]).standard_normal((2000, 1))
        return float((agent.act(np.zeros((2000, 1)), noise) > 0.0).mean())

    settings = SacSettings(hidden=(32, 32), learning_rate=3e-3, initial_temperature=0.1)
    held = CostConstraintSettings(limit=0.2, gamma=0.9, multiplier_rate=0.01)
    costs, multipliers = {}, []
    for name, given in (("free", None), ("held", held)):
        agent, rng = Sac(1, np.ones(1), settings, seed=0, constraint=given), np.random.default_rng([0, 3])
        for _ in range(600):
            watched = agent.update(columns(rng), rng)
            assert ("multiplier" in watched) == (given is not None)
            multipliers.append(watched.get("multiplier", 0.0))
        costs[name] = cost(agent)
    assert costs["free"] > 0.8 and costs["held"] < 0.2
    assert max(multipliers) > 1.0 and multipliers[-1] < 0.9 * max(multipliers)


@pytest.mark.parametrize("wrong", [{"limit": 0.0}, {"gamma": 1.0}, {"multiplier_rate": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected limit > 0, gamma in"):
        CostConstraintSettings(**{"limit": 1.0} | wrong)
