# SPDX-License-Identifier: Apache-2.0
"""Initial parameters and tensors."""

import numpy as np
import pytest
import torch

from safe_transfer_ros.policies import gaussian
from safe_transfer_ros.policies.weights import Architecture

CUP_SWIRL = Architecture(observation_size=18, hidden=(64, 64, 64), action_size=7)


def test_initial_parameters_are_scaled_by_fan_in_small_at_the_end_and_zero_in_the_biases() -> None:
    made = gaussian.initial_parameters(CUP_SWIRL, seed=0)
    for name, fan_in in (("hidden.0.weight", 18), ("hidden.1.weight", 64), ("hidden.2.weight", 64)):
        assert made[name].std() == pytest.approx(fan_in**-0.5, rel=0.1)
    assert made["mean.weight"].std() == pytest.approx(0.01 / 8.0, rel=0.1)
    assert not made["hidden.2.bias"].any() and not made["mean.bias"].any()
    np.testing.assert_array_equal(made["log_std"], np.full(7, -1.0, np.float32))


def test_the_seed_decides() -> None:
    first, again, other = (gaussian.initial_parameters(CUP_SWIRL, seed=seed) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["hidden.0.weight"], other["hidden.0.weight"])


def test_tensors_are_copies_and_come_back_equal() -> None:
    made = gaussian.initial_parameters(CUP_SWIRL, seed=0)
    tensors = gaussian.to_tensors(made, requires_grad=True)
    back = gaussian.from_tensors(tensors)
    for name, array in made.items():
        assert tensors[name].requires_grad
        np.testing.assert_array_equal(back[name], array)
    with torch.no_grad():
        tensors["log_std"] += 1.0
    assert made["log_std"][0] == -1.0 and back["log_std"][0] == -1.0


def test_the_distribution_sums_over_joints_and_has_gradients() -> None:
    tensors = gaussian.to_tensors(gaussian.initial_parameters(CUP_SWIRL, seed=0), requires_grad=True)
    made = gaussian.distribution(tensors, torch.zeros(11, 18))
    log_probability = made.log_prob(torch.zeros(11, 7))
    assert log_probability.shape == (11,)
    log_probability.sum().backward()
    assert tensors["log_std"].grad is not None and tensors["hidden.0.weight"].grad is not None
