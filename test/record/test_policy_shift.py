# SPDX-License-Identifier: Apache-2.0
"""The update in every visited state, from what the monitor hears."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.gaussian import initial_parameters
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.weights import Architecture, WeightsError, to_bytes
from safe_transfer_ros.record.policy_shift import policy_shift, updated_policy
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger

SIZES = Architecture(observation_size=3, hidden=(4,), action_size=2)


def message(data: bytes, sha256: str | None = None) -> SimpleNamespace:
    """What a PolicyWeights message holds of a policy."""
    return SimpleNamespace(data=list(data), sha256=sha256 or hashlib.sha256(data).hexdigest())


def test_the_shift_has_both_policies_in_every_state_that_was_decided_on() -> None:
    before, after = (initial_parameters(SIZES, seed, log_std=log_std) for seed, log_std in ((0, -1.0), (1, -1.2)))
    old, new = GaussianPolicy(before), updated_policy(message(to_bytes(after)))
    ledger, seen = UnsafetyLedger(1.0, observations=True), np.random.default_rng(0).normal(size=(5, 3))
    for step, observation in enumerate(seen):
        ledger.add_step(0, 0, step, False, *old.distribution(observation), 0.5, step, observation=observation)
    shift = policy_shift(ledger.close(0), new)
    for step, observation in enumerate(seen):
        np.testing.assert_array_equal(shift.mean[step], old.mean(observation))
        np.testing.assert_array_equal(shift.stddev[step], np.exp(before["log_std"].astype(float)))
        np.testing.assert_array_equal(shift.mean_after[step], GaussianPolicy(after).mean(observation))
        np.testing.assert_array_equal(shift.stddev_after[step], np.exp(after["log_std"].astype(float)))


def test_without_observations_there_is_no_shift() -> None:
    ledger = UnsafetyLedger(1.0)
    ledger.add_step(0, 0, 0, False, np.zeros(2), np.ones(2), 0.5, observation=np.zeros(3))
    with pytest.raises(ValueError, match="expected observations of 3 values"):
        policy_shift(ledger.close(0), GaussianPolicy(initial_parameters(SIZES, 0)))


def test_weights_that_are_not_what_was_sent_or_not_gaussian_are_refused() -> None:
    with pytest.raises(WeightsError, match="kl 'per_state' compares Gaussian policies: .*sha256"):
        updated_policy(message(to_bytes(initial_parameters(SIZES, 0)), sha256="0" * 64))
    matrix, bias = np.zeros((2, 3), dtype=np.float32), np.zeros(2, dtype=np.float32)
    layer = {"hidden.0.weight": np.zeros((3, 3), dtype=np.float32), "hidden.0.bias": np.zeros(3, dtype=np.float32)}
    heads = {
        "mean.weight": matrix,
        "mean.bias": bias,
        "log_std.weight": matrix,
        "log_std.bias": bias,
        "bound": bias + 1,
    }
    squashed = policy_to_bytes(layer | heads, {"kind": "squashed"})
    with pytest.raises(WeightsError, match="expected a Gaussian policy, .* this is a 'squashed' one"):
        updated_policy(message(squashed))
