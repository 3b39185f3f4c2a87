# SPDX-License-Identifier: Apache-2.0
"""The critic's advantage against sums done by hand, and the gradient it gives."""

from __future__ import annotations

import numpy as np
import torch

from safe_transfer_ros.algorithms.critic_advantage import critic_advantages
from safe_transfer_ros.algorithms.single_thread import single_thread
from safe_transfer_ros.algorithms.trust_region import TrustRegion, TrustRegionSettings
from safe_transfer_ros.policies.gaussian import distribution, initial_parameters, to_tensors
from safe_transfer_ros.policies.weights import Architecture


def risk(observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-(observations[:, 0] + 2.0 * actions[:, 0] - actions[:, 1])))


def test_each_step_is_held_against_the_policy_in_its_own_state() -> None:
    rng = np.random.default_rng(0)
    observations, actions, drawn = (
        rng.standard_normal((5, 3)),
        rng.standard_normal((5, 2)),
        rng.standard_normal((7, 5, 2)),
    )
    got = critic_advantages(risk, observations, actions, drawn)
    for step in range(5):
        alone = np.mean([risk(observations[step : step + 1], drawn[i, step : step + 1])[0] for i in range(7)])
        assert np.isclose(got[step], risk(observations[step : step + 1], actions[step : step + 1])[0] - alone)


def test_its_policy_gradient_is_the_gradient_of_the_expected_risk() -> None:
    """E_pi[grad log pi A_C] = grad E_pi[Q_C]: the latter by pushing the noise through Q with autograd."""
    parameters = initial_parameters(Architecture(observation_size=3, hidden=(8,), action_size=2), 0, mean_gain=0.5)
    observations = np.random.default_rng(1).standard_normal((60_000, 3)).astype(np.float32)
    states, tensors = torch.tensor(observations), to_tensors(parameters, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    policy = distribution(tensors, states)
    drawn = [policy.mean + policy.stddev * torch.randn(policy.mean.shape, generator=generator) for _ in range(6)]
    sum(torch.sigmoid(states[:, 0] + 2.0 * a[:, 0] - a[:, 1]).mean() for a in drawn).div(6).backward()
    expected = np.concatenate([tensors[name].grad.numpy().ravel() for name in Architecture.of(parameters).shapes()])
    taken, *others = (actions.detach().numpy().astype(np.float64) for actions in drawn)
    advantages = critic_advantages(risk, observations, taken, np.stack(others))
    with single_thread():
        settings = TrustRegionSettings(fisher_fraction=1e-4)
        region = TrustRegion(parameters, observations, taken.astype(np.float32), settings, seed=0)
        got = region.gradient(torch.tensor(advantages.astype(np.float32))).numpy()
    assert np.linalg.norm(got - expected) < 0.05 * np.linalg.norm(expected)
