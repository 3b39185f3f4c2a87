# SPDX-License-Identifier: Apache-2.0
"""Cloning: a linear rule is found, what the loss is of, and that it goes on where it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.behaviour_cloning import BehaviourCloning
from safe_transfer_ros.policies.networks.actors import DeterministicActor

RULE = np.array([[0.5, -0.3], [0.2, 0.1], [0.0, 0.7]], dtype=np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, 39])


def test_a_linear_rule_is_found_to_the_last_digits() -> None:
    """Least squares has one solution, whatever the noise of the start."""
    seen = rng().standard_normal((200, 3)).astype(np.float32)
    network = torch.nn.Linear(3, 2)
    cloning = BehaviourCloning(network, network.parameters(), learning_rate=1e-2)
    first = cloning.fit(seen, seen @ RULE + 0.25, updates=1, batch=64, rng=rng(1))
    last = cloning.fit(seen, seen @ RULE + 0.25, updates=800, batch=64, rng=rng(2))
    assert last < 1e-6 < first
    np.testing.assert_allclose(network.weight.detach().numpy(), RULE.T, atol=1e-3)
    np.testing.assert_allclose(network.bias.detach().numpy(), 0.25, atol=1e-3)


def test_an_actor_is_cloned_within_its_bound() -> None:
    seen = rng().uniform(-1.0, 1.0, (500, 3)).astype(np.float32)
    wanted = np.tanh(seen @ RULE)
    actor = DeterministicActor(3, np.ones(2), (32,), rng(3))
    cloning = BehaviourCloning(actor, actor.parameters(), learning_rate=5e-3)
    assert cloning.fit(seen, wanted, updates=400, batch=64, rng=rng(4)) < 1e-3
    assert np.abs(actor.policy().act(seen, np.zeros((500, 0))).action - wanted).max() < 0.15


def test_what_does_not_fit_together_is_refused() -> None:
    network = torch.nn.Linear(3, 2)
    cloning = BehaviourCloning(network, network.parameters())
    seen = np.zeros((4, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="as many actions as observations, got 3 and 4"):
        cloning.fit(seen, np.zeros((3, 2), dtype=np.float32), updates=1, batch=2, rng=rng())
    with pytest.raises(ValueError, match="got 0 and 0"):
        cloning.fit(seen[:0], seen[:0], updates=1, batch=2, rng=rng())
    assert np.isnan(cloning.fit(seen, seen[:, :2], updates=0, batch=2, rng=rng()))
