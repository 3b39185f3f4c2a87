# SPDX-License-Identifier: Apache-2.0
"""The torque-limit rules beyond the paper's: each ingredient by numbers had another way, and what they may not do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from safe_transfer_ros.safety.limit.rules import (
    Benefit,
    BettingRate,
    EffectiveSampleRate,
    Evidence,
    limit_move_risk,
    policy_change_risk_per_state,
)
from safe_transfer_ros.safety.limit.torque_limit import (
    GovernorSettings,
    TorqueLimitGovernor,
    limit_change_risk,
    policy_change_risk,
)


def evidence(rng: np.random.Generator, *, rate: float = 0.0, returns: float = 1.0, states: int = 60) -> Evidence:
    mean = rng.normal(size=(states, 7))
    stddev = np.full((states, 7), 0.3)
    return Evidence(
        unsafe=[rng.random(states // 3) < rate for _ in range(3)],
        mean=mean,
        stddev=stddev,
        mean_after=mean + 0.02 * rng.normal(size=mean.shape),
        stddev_after=stddev,
        returns=returns + 0.01 * rng.normal(size=3),
    )


def step(governor: TorqueLimitGovernor, shown: Evidence, **given: float):
    measured = float(np.mean(np.concatenate(list(shown.unsafe))))
    return governor.update(
        iteration=governor.iteration,
        unsafety_rate=given.get("rate", measured),
        mean=shown.mean,
        stddev=shown.stddev,
        visited_torque_limit=governor.torque_limit,
        kl=0.01,
        kl_bound=0.05,
        evidence=shown,
    )


# dp_u2 ----------------------------------------------------------------------------------------------------------------


def test_a_shift_of_one_joint_is_the_integral_of_the_densities_difference() -> None:
    before, after = stats.norm(0.0, 0.5), stats.norm(0.3, 0.5)
    integral, _ = integrate.quad(lambda x: 0.5 * abs(before.pdf(x) - after.pdf(x)), -6.0, 6.0, limit=200)
    one = np.array([[0.0]])
    risk = policy_change_risk_per_state(one, one + 0.5, one + 0.3, one + 0.5)
    assert risk == pytest.approx(integral, abs=1e-6)


def test_a_change_of_the_noise_is_bounded_from_above() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        shift, first, second = rng.normal(), rng.uniform(0.2, 1.0), rng.uniform(0.2, 1.0)
        before, after = stats.norm(0.0, first), stats.norm(shift, second)
        integral, _ = integrate.quad(lambda x, b=before, a=after: 0.5 * abs(b.pdf(x) - a.pdf(x)), -9, 9, limit=400)
        column = np.array([[0.0]])
        risk = policy_change_risk_per_state(column, column + first, column + shift, column + second)
        assert risk >= integral - 1e-7


def test_per_state_is_never_above_the_formula_of_the_mean_divergence() -> None:
    rng = np.random.default_rng(1)
    mean, stddev = rng.normal(size=(200, 7)), np.full((200, 7), 0.4)
    after = mean + rng.normal(size=mean.shape) * rng.exponential(0.05, size=(200, 1))
    kl = float(np.mean(0.5 * np.square((after - mean) / stddev).sum(axis=1)))
    assert policy_change_risk_per_state(mean, stddev, after, stddev) < policy_change_risk(kl)


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
    shifted = policy_change_risk_per_state(mean, stddev, mean + 0.05, stddev)
    assert limit_move_risk(mean, stddev, 1.0, 1.05) == pytest.approx(shifted)


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


# Benefit --------------------------------------------------------------------------------------------------------------


def walk(returns, iterations: int) -> list[float]:
    """Limits of a run whose return is a function of the limit, raised 5 % wherever the benefit lets it."""
    rng = np.random.default_rng(5)
    benefit, limit, limits = Benefit(), 0.1, []
    for _ in range(iterations):
        limits.append(limit)
        cap = benefit.cap(limit, returns(limit) + rng.normal(size=5))
        limit = min(1.05 * limit, cap)
    return limits


def test_the_limit_rises_while_returns_do() -> None:
    np.testing.assert_allclose(walk(lambda limit: 100.0 * np.log(limit), 60), 0.1 * 1.05 ** np.arange(60))


def test_the_limit_steps_back_to_where_returns_were_best_and_stays_near() -> None:
    limits = np.array(walk(lambda limit: -200.0 * np.log(limit / 0.3) ** 2, 300))
    assert limits.max() < 0.6
    assert 0.2 < np.median(limits[50:]) < 0.42
    assert (np.diff(limits) < -0.05).any() and np.mean(np.diff(limits[50:]) == 0.0) > 0.5


# The governor ---------------------------------------------------------------------------------------------------------

RULES = [
    dict(joints=joints, kl=kl, rate=rate, benefit=benefit)
    for joints in ("mean", "moved")
    for kl in ("bound", "per_state")
    for rate in ("empirical", "effective_sample", "betting")
    for benefit in (False, True)
]


@settings(max_examples=40)
@given(
    st.sampled_from(RULES),
    st.integers(0, 2**32),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(-100.0, 100.0)), min_size=1, max_size=8),
)
def test_whatever_the_rule_the_limit_obeys_what_it_predicted(rule, seed, history) -> None:
    rng = np.random.default_rng(seed)
    governor = TorqueLimitGovernor(GovernorSettings(**rule))
    for rate, returns in history:
        before = governor.torque_limit
        done = step(governor, evidence(rng, rate=rate, returns=returns))
        after = governor.torque_limit
        assert 0.1 <= after <= 3.0 and after <= 1.05 * before * (1 + 1e-12)
        assert done.predicted_unsafety_rate * after <= 0.5 * (1 + 1e-12)
        assert done.predicted_unsafety_rate >= done.unsafety_rate


def test_benefit_only_ever_lowers_the_limit() -> None:
    rng = np.random.default_rng(6)
    plain, choosy = (TorqueLimitGovernor(GovernorSettings(joints="moved", benefit=b)) for b in (False, True))
    for iteration in range(40):
        shown = evidence(rng, returns=-10.0 * iteration)
        step(plain, shown)
        step(choosy, shown)
        assert choosy.torque_limit <= plain.torque_limit
    assert choosy.torque_limit < 0.5 * plain.torque_limit


@pytest.mark.parametrize("rule", (dict(rate="betting"), dict(kl="per_state"), dict(benefit=True)))
def test_a_rule_without_its_evidence_is_refused_and_the_limit_stays(rule) -> None:
    governor = TorqueLimitGovernor(GovernorSettings(**rule))
    arrays = np.zeros((2, 7)), np.ones((2, 7))
    with pytest.raises(ValueError, match="evidence"):
        governor.update(
            iteration=0, unsafety_rate=0.0, mean=arrays[0], stddev=arrays[1], visited_torque_limit=0.1, kl=0, kl_bound=0
        )
    assert (governor.iteration, governor.torque_limit) == (0, 0.1)
