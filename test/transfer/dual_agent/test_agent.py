# SPDX-License-Identifier: Apache-2.0
"""The dual agent: who acts, what its critics foretell, which way lambda goes, and that it corrects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from safe_transfer_ros.transfer.dual_agent.agent import DualAgent, DualAgentSettings
from safe_transfer_ros.transfer.dual_agent.baseline import GivenBaseline

BOUND = np.array([2.0])


def made(controller: Any = lambda seen: np.full((len(seen), 1), 1.6), **changes: Any) -> DualAgent:
    given = {"horizon": 1, "hidden": (32, 32), "target_rate": 0.05} | changes
    return DualAgent(1, BOUND, GivenBaseline(controller, BOUND), DualAgentSettings(**given), seed=0)


def columns(rng: np.random.Generator, **given: Any) -> dict[str, np.ndarray]:
    """Steps of a bandit, 64 of them: one state, any action, the end."""
    count = 64
    return {
        "observation": np.zeros((count, 1), np.float32),
        "chosen": rng.uniform(-2.0, 2.0, (count, 1)).astype(np.float32),
        "reward": np.zeros(count, np.float32),
        "cost": np.zeros(count, np.float32),
        "terminated": np.ones(count, np.bool_),
        "next_observation": np.zeros((count, 1), np.float32),
    } | given


def safety(agent: DualAgent, action: float) -> float:
    """Q_I of an action, as a fraction of the bound, by the lesser twin."""
    with torch.no_grad():
        return agent._critic.network(torch.zeros(1, 1), torch.full((1, 1), action)).amin().item()


def safe_action(agent: DualAgent) -> float:
    return float(agent.policy().act(np.zeros((1, 1)), np.zeros((1, 0))).action[0, 0])


def test_the_ants_safety_is_that_of_the_paper() -> None:
    settings = DualAgentSettings(horizon=500)
    left = [sum(0.9**ahead for ahead in range(500 - step)) for step in range(500)]
    assert settings.required_safety() == pytest.approx(0.95 * np.mean(left)) == pytest.approx(9.329, abs=5e-4)


@pytest.mark.parametrize(("share", "by_baseline"), [(0.0, [0, 0, 0]), (0.5, [1, 0, 1]), (1.0, [1, 1, 1])])
def test_the_coin_decides_who_acts_and_both_act_with_noise(share: float, by_baseline: list[int]) -> None:
    agent = made(baseline_share=share, exploration=0.1)
    noise = np.array([[-1.0, 0.5], [0.1, -1.0], [-0.1, 0.0]])
    seen = np.random.default_rng([0, 3]).standard_normal((3, 1))
    own = agent.policy().act(seen, np.zeros((3, 0))).action[:, 0]
    expected = np.where(by_baseline, 1.6, own) + 0.1 * 2.0 * noise[:, 1]
    np.testing.assert_allclose(agent.act(seen, noise)[:, 0], expected, atol=1e-6)
    assert np.abs(own - 1.6).min() > 0.3
    assert agent.act(seen, np.array([[-1.0, 99.0]] * 3)).max() == 2.0


def test_a_baseline_that_does_not_act_is_not_asked() -> None:
    def never(seen: np.ndarray) -> np.ndarray:
        raise AssertionError

    made(never, baseline_share=0.5).act(np.zeros((2, 1)), np.array([[1.0, 0.0], [2.0, 0.0]]))


def test_the_critics_foretell_safe_steps_and_a_time_limit_ends_none() -> None:
    agent, rng = made(delay=1), np.random.default_rng([0, 4])
    for _ in range(400):
        drawn = columns(rng)
        agent.update(drawn | {"cost": (drawn["chosen"][:, 0] > 0.0).astype(np.float32)}, rng)
    assert safety(agent, -0.5) == pytest.approx(1.0, abs=0.1) and safety(agent, 0.5) == pytest.approx(0.0, abs=0.1)
    agent = made(delay=1, gamma=0.5)
    for _ in range(400):
        agent.update(columns(rng, terminated=np.zeros(64, np.bool_), truncated=np.ones(64, np.bool_)), rng)
    assert safety(agent, 0.3) == pytest.approx(1.0 / (1.0 - 0.5), abs=0.1)


def test_the_multiplier_grows_while_too_little_is_safe_and_falls_to_zero_again() -> None:
    agent, rng = made(delay=2, multiplier_rate=0.05), np.random.default_rng([0, 5])
    grown = []
    for _ in range(300):
        before = agent.multiplier
        watched = agent.update(columns(rng, cost=np.ones(64, np.float32)), rng)
        if agent.updates % 2:
            assert agent.multiplier == before and "multiplier" not in watched
            continue
        # Gamma of a single step is 1 - delta.
        assert agent.multiplier == pytest.approx(max(0.0, before + 0.05 * (0.95 - watched["safety"])))
        grown.append(agent.multiplier)
    assert grown == sorted(grown) and grown[-1] > 5.0
    agent.multiplier = 0.002
    for _ in range(400):
        agent.update(columns(rng), rng)
    assert safety(agent, 0.0) > 0.95 and agent.multiplier == 0.0


def test_where_all_is_safe_the_baseline_is_imitated() -> None:
    agent, rng = made(lambda seen: np.sin(seen)), np.random.default_rng([0, 6])
    for _ in range(600):
        agent.update(columns(rng, observation=rng.uniform(-1.0, 1.0, (64, 1)).astype(np.float32)), rng)
    asked = np.linspace(-1.0, 1.0, 9)[:, None]
    np.testing.assert_allclose(agent.policy().act(asked, np.zeros((9, 0))).action, np.sin(asked), atol=0.1)


def test_an_unsafe_baseline_is_corrected_no_further_than_needed() -> None:
    """Actions beyond .6 are unsafe, the baseline takes 1.6: the safe agent ends at the boundary, not far from it."""
    agent, rng = made(multiplier_rate=0.02), np.random.default_rng([0, 7])
    for _ in range(2500):
        drawn = columns(rng)
        agent.update(drawn | {"cost": (drawn["chosen"][:, 0] > 0.6).astype(np.float32)}, rng)
    assert 0.2 < safe_action(agent) < 0.62
    assert agent.multiplier > 0.1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"horizon": 0}, "horizon >= 1"),
        ({"tolerance": 1.5}, r"tolerance in \[0, 1\]"),
        ({"gamma": 1.0}, r"gamma in \[0, 1\)"),
        ({"baseline_share": 1.1}, r"baseline_share in \[0, 1\]"),
        ({"delay": 0}, "a delay of at least 1"),
        ({"multiplier_rate": 0.0}, "multiplier_rate above 0"),
    ],
)
def test_settings_are_checked(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DualAgentSettings(**{"horizon": 5} | wrong)
