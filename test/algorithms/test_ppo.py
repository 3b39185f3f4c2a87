# SPDX-License-Identifier: Apache-2.0
"""PPO's surrogate by hand, and its update: better, bounded, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from safe_transfer_ros.algorithms.gaussian_network import kl_divergence, probability_ratios
from safe_transfer_ros.algorithms.ppo import PpoSettings, clipped_surrogate, ppo_update
from safe_transfer_ros.algorithms.trpo import TrpoBatch
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.weights import Architecture

PARAMETERS = initial_parameters(Architecture(observation_size=2, hidden=(8,), action_size=1), 3, log_std=-0.5)


def batch(count: int = 512) -> TrpoBatch:
    """Actions are the better the larger they are."""
    rng = np.random.default_rng([0, 8])
    seen = rng.standard_normal((count, 2)).astype(np.float32)
    taken = GaussianPolicy(PARAMETERS).sample(seen, rng.standard_normal((count, 1)))
    return TrpoBatch(observations=seen, actions=taken, advantages=taken[:, 0] - taken[:, 0].mean())


def test_beyond_the_clip_a_ratio_earns_no_more_and_loses_all() -> None:
    ratio = torch.tensor([0.5, 1.1, 1.5, 0.5, 1.5], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0])
    found = clipped_surrogate(ratio, advantage, 0.2)
    assert found.item() == pytest.approx((0.5 + 1.1 + 1.2 - 0.8 - 1.5) / 5)
    found.backward()
    np.testing.assert_allclose(ratio.grad * 5, [1.0, 1.0, 0.0, 0.0, -1.0], atol=1e-6)


def test_an_update_makes_better_actions_likelier_and_says_how_far_it_went() -> None:
    given = batch()
    found = ppo_update(PARAMETERS, given, PpoSettings(max_kl=0.5, minibatch=64), 0)
    ratios = probability_ratios(PARAMETERS, found.parameters, given.observations, given.actions)
    assert (ratios * given.advantages).mean() > given.advantages.mean() + 0.02
    assert found.kl == kl_divergence(PARAMETERS, found.parameters, given.observations) > 0.0
    assert found.passes == 10


def test_no_pass_is_begun_beyond_the_divergence() -> None:
    found = ppo_update(PARAMETERS, batch(), PpoSettings(max_kl=1e-4, learning_rate=1e-2), 0)
    assert found.passes == 1 and found.kl > 1e-4


def test_an_update_is_a_function_of_its_arguments() -> None:
    settings, before = PpoSettings(minibatch=64), {name: array.copy() for name, array in PARAMETERS.items()}
    one, other, third = (ppo_update(PARAMETERS, batch(), settings, seed).parameters for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
        np.testing.assert_array_equal(PARAMETERS[name], before[name])
    assert any((one[name] != third[name]).any() for name in one)


@pytest.mark.parametrize("wrong", [{"clip": 0.0}, {"passes": 0}, {"minibatch": 0}, {"max_kl": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"expected .*{next(iter(wrong))}"):
        PpoSettings(**wrong)
