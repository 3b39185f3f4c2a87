# SPDX-License-Identifier: Apache-2.0
"""The torque-limit rules beyond the paper's: each ingredient by numbers had another way, and what they may not do."""

from __future__ import annotations

import numpy as np
import pytest
from rule_evidence import evidence, shift_of
from scipy import integrate, stats

from safe_transfer_ros.safety.limit.rules import (
    BettingRate,
    EffectiveSampleRate,
    Evidence,
    limit_move_risk,
    policy_change_risk_per_state,
)
from safe_transfer_ros.safety.limit.torque_limit import limit_change_risk, policy_change_risk

# dp_u2 ----------------------------------------------------------------------------------------------------------------


def test_a_shift_of_one_joint_is_the_integral_of_the_densities_difference() -> None:
    before, after = stats.norm(0.0, 0.5), stats.norm(0.3, 0.5)
    integral, _ = integrate.quad(lambda x: 0.5 * abs(before.pdf(x) - after.pdf(x)), -6.0, 6.0, limit=200)
    one = np.array([[0.0]])
    risk = policy_change_risk_per_state(shift_of(one, one + 0.5, one + 0.3, one + 0.5))
    assert risk == pytest.approx(integral, abs=1e-6)


def test_a_change_of_the_noise_is_bounded_from_above() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        shift, first, second = rng.normal(), rng.uniform(0.2, 1.0), rng.uniform(0.2, 1.0)
        before, after = stats.norm(0.0, first), stats.norm(shift, second)
        integral, _ = integrate.quad(lambda x, b=before, a=after: 0.5 * abs(b.pdf(x) - a.pdf(x)), -9, 9, limit=400)
        column = np.array([[0.0]])
        risk = policy_change_risk_per_state(shift_of(column, column + first, column + shift, column + second))
        assert risk >= integral - 1e-7


def test_per_state_is_never_above_the_formula_of_the_mean_divergence() -> None:
    rng = np.random.default_rng(1)
    mean, stddev = rng.normal(size=(200, 7)), np.full((200, 7), 0.4)
    after = mean + rng.normal(size=mean.shape) * rng.exponential(0.05, size=(200, 1))
    kl = float(np.mean(0.5 * np.square((after - mean) / stddev).sum(axis=1)))
    assert policy_change_risk_per_state(shift_of(mean, stddev, after, stddev)) < policy_change_risk(kl)


def test_per_state_is_the_mean_of_each_states_shift_plus_that_of_the_noise_and_at_most_one() -> None:
    mean, stddev = np.zeros((3, 2)), np.full((3, 2), 0.5)
    after = np.array([[0.0, 0.0], [0.3, -0.4], [50.0, 0.0]])
    shifts = [0.0, 2.0 * stats.norm.cdf(np.hypot(0.6, 0.8) / 2.0) - 1.0, 1.0]
    assert policy_change_risk_per_state(shift_of(mean, stddev, after, stddev)) == pytest.approx(np.mean(shifts))
    # KL(N(0, s^2) || N(0, s'^2)) = log(s'/s) + s^2 / 2 s'^2 - 1/2, summed over joints; Pinsker: sqrt(KL / 2).
    wider = np.array([[0.6, 0.5]] * 3)
    kl = np.log(0.6 / 0.5) + 0.5**2 / (2.0 * 0.6**2) - 0.5
    assert policy_change_risk_per_state(shift_of(mean, stddev, mean, wider)) == pytest.approx(np.sqrt(kl / 2.0))
    expected = [min(1.0, shift + np.sqrt(kl / 2.0)) for shift in shifts]
    assert policy_change_risk_per_state(shift_of(mean, stddev, after, wider)) == pytest.approx(np.mean(expected))


def test_rounding_below_zero_is_no_change_of_the_noise() -> None:
    for change in 1e-9 * np.arange(1.0, 200.0):
        one = np.zeros((1, 3))
        assert 0.0 <= policy_change_risk_per_state(shift_of(one, one + 0.3, one, one + 0.3 * (1.0 + change))) < 1e-6


def test_per_state_takes_small_spreads() -> None:
    one = np.zeros((1, 1))
    assert policy_change_risk_per_state(shift_of(one, one + 0.001, one, one + 0.001)) == 0.0


ONE = np.ones((2, 2))
BAD = np.array([[1.0, np.nan], [1.0, 1.0]])
ZERO = np.array([[1.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ((ONE, ONE, ONE, np.ones((2, 1))), "expected four arrays of one shape"),
        ((ONE, ONE, np.ones((1, 2)), ONE), "expected four arrays of one shape"),
        ((np.ones(2),) * 4, "expected four arrays of one shape"),
        ((np.ones((0, 2)),) * 4, "expected four arrays of one shape"),
        *(((*(ONE,) * at, BAD, *(ONE,) * (3 - at)), "must be finite") for at in range(4)),
        ((ONE, ZERO, ONE, ONE), "standard deviations finite and > 0"),
        ((ONE, ONE, ONE, ZERO), "standard deviations finite and > 0"),
        ((ONE, -ONE, ONE, ONE), "standard deviations finite and > 0"),
    ],
)
def test_per_state_refuses_what_makes_no_sense(arrays, text) -> None:
    with pytest.raises(ValueError, match=text):
        policy_change_risk_per_state(shift_of(*arrays))


# dp_u1 ----------------------------------------------------------------------------------------------------------------


def test_a_small_move_of_the_limit_is_a_small_risk_and_none_is_none() -> None:
    rng = np.random.default_rng(2)
    mean, stddev = rng.normal(size=(100, 7)), np.full((100, 7), 0.3)
    whole = limit_change_risk(mean, stddev, 0.5, "any")
    risks = [limit_move_risk(mean, stddev, 0.5, limit) for limit in (0.5, 0.505, 0.525)]
    assert risks[0] == 0.0 < risks[1] < risks[2] < whole
    assert limit_move_risk(mean, stddev, 0.5, 0.4) > risks[2]
    assert limit_move_risk(0.0 * mean, stddev, 5.0, 5.25) < 1e-12, "a policy that never saturates feels nothing"


def test_the_risk_of_one_saturated_joint_is_that_of_an_equal_shift_of_its_mean() -> None:
    mean, stddev = np.full((3, 1), 50.0), np.full((3, 1), 0.4)
    shifted = policy_change_risk_per_state(shift_of(mean, stddev, mean + 0.05, stddev))
    assert limit_move_risk(mean, stddev, 1.0, 1.05) == pytest.approx(shifted)


def test_joints_that_saturate_add_up_by_how_likely_each_does() -> None:
    mean, stddev = np.array([[0.4, -0.9], [3.0, 0.0]]), np.array([[0.2, 0.5], [0.1, 0.3]])
    for now, then in ((0.6, 0.63), (0.63, 0.6)):
        expected = []
        for m, s in zip(mean, stddev, strict=True):
            likely = [stats.norm.sf(0.6, a, b) + stats.norm.cdf(-0.6, a, b) for a, b in zip(m, s, strict=True)]
            distance = np.sqrt(sum(p * (0.03 / b) ** 2 for p, b in zip(likely, s, strict=True)))
            expected.append(2.0 * stats.norm.cdf(distance / 2.0) - 1.0)
        assert limit_move_risk(mean, stddev, now, then) == pytest.approx(np.mean(expected))


# p_u ------------------------------------------------------------------------------------------------------------------


def test_estimates_are_at_least_what_was_measured() -> None:
    rng = np.random.default_rng(3)
    for kind in (EffectiveSampleRate, BettingRate):
        for rate in (0.0, 0.1, 0.9):
            estimator = kind()
            shown = evidence(rng, rate=rate)
            measured = float(np.mean(np.concatenate(list(shown.unsafe))))
            assert measured < estimator.upper(measured, shown) <= 1.0
        assert estimator.upper(0.0, None) == 1.0, "no evidence: nothing was shown to be safe"


def test_pooled_iterations_help_only_as_far_as_they_may_have_drifted() -> None:
    def second_bound(drift: float) -> float:
        rates = BettingRate()
        shown = evidence(np.random.default_rng(4), states=300)
        rates.upper(0.0, shown)
        rates.drifted(drift)
        return rates.upper(0.0, shown)

    alone = BettingRate().upper(0.0, evidence(np.random.default_rng(4), states=300))
    assert second_bound(0.0) < second_bound(0.1) <= alone
    assert second_bound(1.0) == alone


def test_a_rate_that_drifts_leaves_the_evidence_as_it_was():
    known = Evidence(unsafe=[np.zeros(3, dtype=bool)], returns=np.zeros(1), weighted_rates=np.array([0.2]))
    rates = BettingRate()
    rates.upper(0.0, known)
    rates.drifted(0.3)
    assert known.rates.tolist() == [0.2]


def test_two_iterations_are_pooled() -> None:
    assert BettingRate()._batches.maxlen == 2
