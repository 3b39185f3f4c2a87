# SPDX-License-Identifier: Apache-2.0
"""Masked policies: which candidate is taken, and that what is taken is the truncated distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from safe_transfer_ros.policies.masked import MaskedPolicy, first_safe, just_below
from safe_transfer_ros.policies.policy import TANH_GAUSSIAN
from safe_transfer_ros.policies.tensors import Tensors, WeightsError

MEAN, STDDEV, BOUND, EPSILON = 0.3, 0.8, 2.0, 0.4


def tensors() -> Tensors:
    """One observation that nothing depends on, one action; Q_safe = sigmoid(4 a / bound)."""
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    found = {
        "policy.hidden.0.weight": zero,
        "policy.hidden.0.bias": np.zeros(1),
        "policy.mean.weight": zero,
        "policy.mean.bias": np.array([MEAN]),
        "policy.log_std.weight": zero,
        "policy.log_std.bias": np.array([np.log(STDDEV)]),
        "policy.bound": np.array([BOUND]),
        "critic.layer.0.weight": np.array([[[0.0, 1.0], [0.0, -1.0]]]),
        "critic.layer.0.bias": np.zeros((1, 2)),
        "critic.layer.1.weight": 4.0 * np.array([[[1.0, -1.0]]]),
        "critic.layer.1.bias": 0.0 * one,
    }
    return {name: np.asarray(array, dtype=np.float32) for name, array in found.items()}


def test_the_first_safe_one_the_riskiest_safe_one_or_the_least_risky() -> None:
    risks = np.array([[0.9, 0.2, 0.3], [0.1, 0.4, 0.5], [0.9, 0.7, 0.8]])
    assert first_safe(risks, 0.4).tolist() == [1, 0, 1]
    assert just_below(risks, 0.4).tolist() == [2, 1, 1]


def test_what_is_taken_is_the_truncated_distribution() -> None:
    policy = MaskedPolicy(tensors(), {"epsilon": str(EPSILON), "candidates": "40"})
    noise = np.random.default_rng(0).standard_normal((4000, policy.noise_size))
    act = policy.act(np.zeros((4000, 1)), noise)
    assert act.distribution == TANH_GAUSSIAN and act.mean == pytest.approx(MEAN) and act.stddev == pytest.approx(STDDEV)
    fraction = act.action[:, 0] / BOUND
    largest = np.log(EPSILON / (1.0 - EPSILON)) / 4.0
    assert fraction.max() <= largest + 1e-6
    cut = stats.truncnorm(-np.inf, (np.arctanh(largest) - MEAN) / STDDEV, loc=MEAN, scale=STDDEV)
    assert stats.kstest(np.arctanh(fraction), cut.cdf).pvalue > 0.01
    # Not the policy's own, nor that of the least risky candidate.
    assert stats.kstest(np.arctanh(fraction), stats.norm(MEAN, STDDEV).cdf).pvalue < 1e-6
    one = [policy.act(np.zeros(1), row).action for row in noise[:5]]
    np.testing.assert_allclose(one, act.action[:5])


def test_where_none_is_safe_the_least_risky_is_taken() -> None:
    policy = MaskedPolicy(tensors(), {"epsilon": "1e-6", "candidates": "5"})
    noise = np.random.default_rng(0).standard_normal((20, 5))
    fraction = policy.act(np.zeros((20, 1)), noise).action[:, 0] / BOUND
    np.testing.assert_allclose(fraction, np.tanh(MEAN + STDDEV * noise.min(axis=1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"candidates": "5"}, "expected epsilon of a masked policy as a finite number, got None"),
        ({"epsilon": "0", "candidates": "5"}, r"epsilon in \(0, 1\)"),
        ({"epsilon": "1", "candidates": "5"}, r"epsilon in \(0, 1\)"),
        ({"epsilon": "nan", "candidates": "5"}, "finite number, got 'nan'"),
        ({"epsilon": "0.1", "candidates": "0"}, "whole number of candidates"),
        ({"epsilon": "0.1", "candidates": "2.5"}, "whole number of candidates"),
        ({"epsilon": "0.1"}, "expected candidates of a masked policy"),
        ({"epsilon": "0.1", "candidates": "5", "limit_index": "0"}, "expected limit_unit of a masked policy"),
        (
            {"epsilon": "0.1", "candidates": "5", "limit_index": "1", "limit_unit": "3"},
            "a place among 1 observed numbers",
        ),
        ({"epsilon": "0.1", "candidates": "5", "limit_index": "-1", "limit_unit": "3"}, "a place among 1 observed"),
        ({"epsilon": "0.1", "candidates": "5", "limit_index": "0", "limit_unit": "0"}, "limit_unit above 0"),
    ],
)
def test_a_mask_that_would_let_everything_pass_or_cannot_be_is_refused(metadata: dict[str, str], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        MaskedPolicy(tensors(), metadata)


def test_a_critic_of_another_policy_is_refused() -> None:
    about = {"epsilon": "0.1", "candidates": "5"}
    with pytest.raises(WeightsError, match="behind 'critic.'"):
        MaskedPolicy({name: array for name, array in tensors().items() if name.startswith("policy.")}, about)
    wide = tensors() | {"critic.layer.0.weight": np.zeros((1, 2, 3), dtype=np.float32)}
    with pytest.raises(WeightsError, match=r"'layer.0.weight' of shape \(1, 2, 2\), got \(1, 2, 3\)"):
        MaskedPolicy(wide, about)
    two = {"critic.layer.1.weight": np.zeros((1, 2, 2)), "critic.layer.1.bias": np.zeros((1, 2))}
    with pytest.raises(WeightsError, match="expected one output of the safety critic, got 2"):
        MaskedPolicy(tensors() | {name: array.astype(np.float32) for name, array in two.items()}, about)


def test_a_torque_is_judged_as_the_limit_that_is_observed_lets_it_act() -> None:
    about = {"epsilon": "0.4", "candidates": "5", "limit_index": "0", "limit_unit": "3.0"}
    policy, plain = MaskedPolicy(tensors(), about), MaskedPolicy(tensors(), {"epsilon": "0.4", "candidates": "5"})
    seen, torque = np.array([[0.1], [0.1], [5.0], [-1.0]]), np.array([[1.9], [-0.2], [1.9], [1.9]])
    cut = np.array([[0.3], [-0.2], [1.9], [0.0]])
    np.testing.assert_allclose(policy.risk(seen, torque), plain.risk(seen, cut))
    assert (plain.risk(seen, torque) != policy.risk(seen, torque)).tolist() == [True, False, False, True]
