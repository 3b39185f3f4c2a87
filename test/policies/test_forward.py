# SPDX-License-Identifier: Apache-2.0
"""The robot side's forward pass: torch's numbers, the same for one observation and for a batch."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from safe_transfer_ros.policies import gaussian
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import Architecture, WeightsError

CUP_SWIRL = Architecture(observation_size=18, hidden=(64, 64, 64), action_size=7)


@pytest.fixture
def parameters():
    made = gaussian.initial_parameters(CUP_SWIRL, seed=3, mean_gain=2.0)
    rng = np.random.default_rng(1)
    for name in made:
        if name.endswith("bias"):
            made[name] = rng.standard_normal(made[name].shape).astype(np.float32)
    made["log_std"] = np.linspace(-2.0, 1.0, 7, dtype=np.float32)
    return made


@pytest.fixture
def observations() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((101, 18))


def test_the_mean_is_torchs_mean(parameters, observations) -> None:
    doubles = {name: torch.tensor(array, dtype=torch.float64) for name, array in parameters.items()}
    expected = gaussian.distribution(doubles, torch.tensor(observations.astype(np.float32), dtype=torch.float64))
    policy = GaussianPolicy(parameters)
    np.testing.assert_allclose(policy.mean(observations), expected.mean.numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(policy.stddev, expected.stddev[0].numpy(), rtol=1e-15)


def test_one_observation_and_a_batch_give_the_same_bits(parameters, observations) -> None:
    policy = GaussianPolicy(parameters)
    batch = policy.mean(observations)
    np.testing.assert_array_equal(batch, np.stack([policy.mean(row) for row in observations]))
    np.testing.assert_array_equal(batch[5:42], policy.mean(observations[5:42]))
    np.testing.assert_array_equal(batch, policy.mean(observations.reshape(101, 1, 18))[:, 0])


def test_rounding_noise_in_the_observation_does_not_reach_the_torque(parameters, observations) -> None:
    policy = GaussianPolicy(parameters)
    exact = observations.astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(policy.mean(exact), policy.mean(exact * (1.0 + 1e-15)))


def test_a_sample_is_mean_plus_scaled_noise(parameters, observations) -> None:
    policy = GaussianPolicy(parameters)
    noise = np.random.default_rng(4).standard_normal((101, 7))
    mean, stddev = policy.distribution(observations)
    np.testing.assert_array_equal(policy.sample(observations, noise), mean + stddev * noise)
    assert policy.sample(observations[0], noise[0]).shape == (7,)


def test_the_policy_keeps_its_own_copy(parameters, observations) -> None:
    policy = GaussianPolicy(parameters)
    before = policy.mean(observations)
    for array in parameters.values():
        array += 1.0
    np.testing.assert_array_equal(policy.mean(observations), before)
    with pytest.raises(ValueError, match="read-only"):
        policy.stddev[0] = 5.0


@pytest.mark.parametrize("shape", [(), (17,), (3, 19)])
def test_observations_of_the_wrong_size_are_refused(parameters, shape) -> None:
    with pytest.raises(ValueError, match="18"):
        GaussianPolicy(parameters).mean(np.zeros(shape))


def test_bad_parameters_are_refused(parameters) -> None:
    parameters["mean.bias"][0] = np.nan
    with pytest.raises(WeightsError, match="'mean.bias' holds NaN or infinite"):
        GaussianPolicy(parameters)


def test_the_robot_side_imports_no_torch() -> None:
    code = "import sys, safe_transfer_ros.policies.forward; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
