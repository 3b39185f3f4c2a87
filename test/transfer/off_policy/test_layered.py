# SPDX-License-Identifier: Apache-2.0
"""The safety layer on an agent: what is risky is corrected, what is not is left as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from safe_transfer_ros.algorithms.cost_critic import CostCriticSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.transfer.dual_agent.baseline import GivenBaseline, LearnedBaseline
from safe_transfer_ros.transfer.off_policy.layered import LayeredAgent, SafetyLayerSettings

BOUND = np.array([2.0])
CRITIC = CostCriticSettings(gamma=0.5, hidden=(32,), learning_rate=1e-2, target_rate=0.1)


def made(wanted: float, **changes: Any) -> LayeredAgent:
    given = {"limit": 0.5, "critic": CRITIC} | changes
    baseline = GivenBaseline(lambda seen: np.full((len(seen), 1), wanted), BOUND)
    return LayeredAgent(1, BOUND, baseline, SafetyLayerSettings(**given), seed=0)


def taught(agent: LayeredAgent) -> LayeredAgent:
    """Episodes of one step, whose cost is how far the action is from the lower bound, of 4."""
    rng = np.random.default_rng([0, 2])
    for _ in range(500):
        action = rng.uniform(-2.0, 2.0, (64, 1)).astype(np.float32)
        agent.update(
            {
                "observation": np.zeros((64, 1), np.float32),
                "chosen": action,
                "reward": np.zeros(64, np.float32),
                "cost": (action[:, 0] + 2.0) / 4.0,
                "terminated": np.ones(64, np.bool_),
                "next_observation": np.zeros((64, 1), np.float32),
            },
            rng,
        )
    return agent


def test_an_action_over_the_limit_is_corrected_to_it_and_one_below_is_left() -> None:
    seen, nothing = np.zeros((3, 1)), np.zeros((3, 1))
    np.testing.assert_allclose(taught(made(1.6)).act(seen, nothing), 0.0, atol=0.1)
    np.testing.assert_allclose(taught(made(-1.0)).act(seen, nothing), -1.0, atol=1e-6)


def test_noise_is_added_before_the_layer() -> None:
    agent = taught(made(-1.0, exploration=0.5))
    found = agent.act(np.zeros((2, 1)), np.array([[0.1], [3.0]]))
    np.testing.assert_allclose(found[:, 0], [-1.0 + 0.5 * 2.0 * 0.1, 0.0], atol=0.1)


def test_the_policy_is_the_agent_without_its_noise() -> None:
    agent = taught(made(1.6))
    policy = agent.policy()
    many = policy.act(np.zeros((4, 1)), np.zeros((4, 0))).action
    np.testing.assert_allclose(many, agent.act(np.zeros((4, 1)), np.zeros((4, 1))), atol=1e-6)
    assert policy.act(np.zeros(1), np.zeros(0)).action.shape == (1,)
    assert agent.policy_file({}) is None, "no file holds a function that nobody can name"


def test_its_file_holds_the_baseline_and_the_layer() -> None:
    agent = LayeredAgent(
        1,
        BOUND,
        LearnedBaseline(Td3(1, BOUND, Td3Settings(hidden=(8,)), seed=3)),
        SafetyLayerSettings(limit=0.05),
        seed=0,
    )
    content = agent.policy_file({"task": "one"})
    assert content is not None
    policy, about = policy_from_bytes(content)
    assert (policy.kind, about["task"], about["limit"], about["cost_gamma"]) == ("layered", "one", "0.05", "0.99")
    seen = np.random.default_rng([0, 3]).standard_normal((6, 1))
    found = policy.act(seen, np.zeros((6, 0))).action
    np.testing.assert_allclose(found, agent.act(seen, np.zeros((6, 1))), atol=1e-5)
    np.testing.assert_array_equal(found, agent.policy().act(seen, np.zeros((6, 0))).action)


def test_settings_are_checked() -> None:
    for wrong in ({"limit": 0.0}, {"exploration": -0.1}):
        with pytest.raises(ValueError, match="expected limit > 0 and exploration"):
            SafetyLayerSettings(**{"limit": 1.0} | wrong)
