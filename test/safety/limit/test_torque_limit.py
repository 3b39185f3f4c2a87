# SPDX-License-Identifier: Apache-2.0
"""PSPT's formulas against numbers worked out another way: integration, Monte Carlo, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import dblquad, quad

from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.limit.torque_limit import (
    clamp,
    divergence_of,
    limit_change_risk,
    next_torque_limit,
    policy_change_risk,
    predicted_unsafety_rate,
)


def density(torque, mean, stddev):
    return math.exp(-0.5 * ((torque - mean) / stddev) ** 2) / (stddev * math.sqrt(2.0 * math.pi))


# Eq. 11


def test_clamp_bounds_every_joint_by_one_limit():
    torque = np.array([[0.5, -2.0], [3.0, -0.1]])
    np.testing.assert_array_equal(clamp(torque, 1.0), [[0.5, -1.0], [1.0, -0.1]])
    np.testing.assert_array_equal(clamp(torque, np.array([0.25, 2.0])), [[0.25, -0.25], [2.0, -0.1]])


@pytest.mark.parametrize(
    "torque, limit",
    [
        ([math.nan], 1.0),
        ([math.inf], 1.0),
        ([0.0, math.nan, 1.0], 1.0),  # one among several good ones
        ([0.0, -math.inf], 1.0),
        ([0.0], -0.001),
        ([0.0], math.nan),
        ([[0.0], [0.0]], [1.0, -1.0]),
        ([[0.0], [0.0]], [math.nan, 1.0]),
    ],
)
def test_clamp_refuses_what_is_no_number(torque, limit):
    with pytest.raises(ValueError, match="clamp needs"):
        clamp(np.array(torque), np.array(limit))


def test_a_limit_of_zero_is_no_torque_and_a_small_one_little():
    np.testing.assert_array_equal(clamp(np.array([2.0, -3.0]), 0.0), [0.0, 0.0])
    np.testing.assert_array_equal(clamp(np.array([2.0, -3.0]), 0.001), [0.001, -0.001])


# Eq. 22-23


@pytest.mark.parametrize(
    "mean, stddev, limit",
    [(0.0, 0.37, 0.1), (0.4, 0.37, 1.0), (-2.5, 0.5, 3.0), (0.0, 1.0, 8.0), (9.0, 0.1, 3.0)],
)
def test_one_joint_is_the_integral_of_its_density_outside(mean, stddev, limit):
    inside, _ = quad(density, -limit, limit, args=(mean, stddev), points=[np.clip(mean, -limit, limit)])
    for joints in ("mean", "any"):
        risk = limit_change_risk(np.array([[mean]]), np.array([[stddev]]), limit, joints)
        assert risk == pytest.approx(1.0 - inside, abs=1e-9)


def test_tails_keep_their_digits():
    # 2 (1 - F(8)) = 1.244e-15, of which 1 - F(8) + F(-8) in floats would keep one digit.
    expected = 2.0 * quad(density, 8.0, 20.0, args=(0.0, 1.0), epsabs=0.0)[0]
    for joints in ("mean", "any"):
        risk = limit_change_risk(np.zeros((1, 1)), np.ones((1, 1)), 8.0, joints)
        assert risk == pytest.approx(expected, rel=1e-6)


def test_any_is_the_volume_outside_the_box_and_mean_the_average_of_the_joints():
    mean, stddev, limit = np.array([[0.3, -0.6]]), np.array([[0.4, 0.7]]), 0.8
    inside, _ = dblquad(
        lambda y, x: density(x, 0.3, 0.4) * density(y, -0.6, 0.7),
        -limit,
        limit,
        lambda x: -limit,
        lambda x: limit,
    )
    assert limit_change_risk(mean, stddev, limit, "any") == pytest.approx(1.0 - inside, abs=1e-7)
    each = [1.0 - quad(density, -limit, limit, args=(m, s))[0] for m, s in zip(mean[0], stddev[0], strict=True)]
    assert limit_change_risk(mean, stddev, limit, "mean") == pytest.approx(np.mean(each), abs=1e-9)
    assert limit_change_risk(mean, stddev, limit) == limit_change_risk(mean, stddev, limit, "mean")


def test_any_counts_the_sampled_actions_that_a_higher_limit_would_change():
    rng = np.random.default_rng(0)
    mean, stddev = rng.normal(0.0, 0.5, (40, 7)), np.full((40, 7), 0.37)
    limits = rng.uniform(0.5, 1.5, 40)
    samples = mean + stddev * rng.standard_normal((4000, 40, 7))
    changed = (clamp(samples, np.broadcast_to(limits, (4000, 40))) != samples).any(axis=-1).mean()
    assert limit_change_risk(mean, stddev, limits, "any") == pytest.approx(changed, abs=0.003)


def test_states_are_averaged_each_under_its_own_limit():
    mean, stddev = np.array([[0.0], [1.0]]), np.array([[1.0], [0.5]])
    one = limit_change_risk(mean[:1], stddev[:1], 0.5)
    two = limit_change_risk(mean[1:], stddev[1:], 2.0)
    assert limit_change_risk(mean, stddev, np.array([0.5, 2.0])) == pytest.approx((one + two) / 2.0)


def test_a_joint_that_is_outside_for_certain_makes_any_one():
    assert limit_change_risk(np.array([[50.0, 0.0]]), np.array([[0.1, 0.1]]), 1.0, "any") == 1.0


GOOD, SHAPES = np.zeros((2, 2)), "expected mean and stddev of one shape"


def but(good, bad):
    """One value among several good ones."""
    values = np.array(good, dtype=float)
    values.flat[1] = bad
    return values


@pytest.mark.parametrize(
    "mean, stddev, limit, text",
    [
        (np.zeros((2, 3)), np.ones((2, 2)), 1.0, SHAPES),
        (np.zeros((2, 3)), np.ones((2, 1)), 1.0, SHAPES),  # would be stretched to fit
        (np.zeros((2, 3)), np.ones((1, 3)), 1.0, SHAPES),
        (np.zeros(3), np.ones(3), 1.0, SHAPES),
        (np.zeros((1, 2, 3)), np.ones((1, 2, 3)), 1.0, SHAPES),
        (np.zeros((0, 3)), np.ones((0, 3)), 1.0, SHAPES),
        (np.zeros((2, 3)), np.ones((2, 3)), np.ones(3), SHAPES),
        (np.zeros((2, 3)), np.ones((2, 3)), np.ones(1), SHAPES),
        (np.zeros((2, 3)), np.ones((2, 3)), np.ones((2, 3)), SHAPES),
        (but(GOOD, math.nan), GOOD + 1.0, 1.0, "every mean must be finite"),
        (but(GOOD, math.inf), GOOD + 1.0, 1.0, "every mean must be finite"),
        (GOOD, but(GOOD + 1.0, 0.0), 1.0, "every stddev must be finite and > 0"),
        (GOOD, but(GOOD + 1.0, -1.0), 1.0, "every stddev must be finite and > 0"),
        (GOOD, but(GOOD + 1.0, math.nan), 1.0, "every stddev must be finite and > 0"),
        (GOOD, but(GOOD + 1.0, math.inf), 1.0, "every stddev must be finite and > 0"),
        (GOOD, GOOD + 1.0, 0.0, "every torque_limit must be finite and > 0"),
        (GOOD, GOOD + 1.0, but(np.ones(2), 0.0), "every torque_limit must be finite and > 0"),
        (GOOD, GOOD + 1.0, but(np.ones(2), -1.0), "every torque_limit must be finite and > 0"),
        (GOOD, GOOD + 1.0, but(np.ones(2), math.nan), "every torque_limit must be finite and > 0"),
        (GOOD, GOOD + 1.0, but(np.ones(2), math.inf), "every torque_limit must be finite and > 0"),
    ],
)
def test_limit_change_risk_refuses_what_makes_no_sense(mean, stddev, limit, text):
    with pytest.raises(ValueError, match=text):
        limit_change_risk(mean, stddev, limit)


def test_small_limits_and_spreads_are_taken():
    assert limit_change_risk(GOOD, GOOD + 0.001, 0.001) == pytest.approx(2.0 * stats.norm.sf(1.0))


def test_limit_change_risk_knows_two_ways_to_join_joints():
    with pytest.raises(ValueError, match="'mean' or 'any', got 'all'"):
        limit_change_risk(np.zeros((1, 1)), np.ones((1, 1)), 1.0, "all")


# Eq. 24, 28-31


@pytest.mark.parametrize("risk", [0.0, 1e-9, 0.1256, 0.7, 0.999999])
def test_a_divergence_and_its_risk_are_there_and_back(risk):
    assert policy_change_risk(divergence_of(risk)) == pytest.approx(risk, rel=1e-9)


def test_a_policy_that_surely_changes_has_a_finite_divergence_and_no_risk_beyond():
    assert math.isfinite(divergence_of(1.0)) and policy_change_risk(divergence_of(1.0)) == pytest.approx(1.0)
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"risk must be in \[0, 1\]"):
            divergence_of(wrong)


def test_policy_change_risk_at_the_papers_delta():
    assert policy_change_risk(0.05) == pytest.approx(0.1256, abs=5e-5)
    assert policy_change_risk(0.05) == pytest.approx(1.0 - 2.0 * stats.norm.cdf(-math.sqrt(0.05 / 2.0)), rel=1e-12)
    assert policy_change_risk(0.0) == 0.0
    assert policy_change_risk(1e6) == 1.0


@pytest.mark.parametrize("dimensions", [1, 3, 7])
@pytest.mark.parametrize("kl", [0.01, 0.05, 1.0])
def test_it_is_the_total_variation_between_gaussians_of_equal_covariance(dimensions, kl):
    # 1/2 E_p |1 - q/p| by Monte Carlo, the KL divergence SUMMED over dimensions.
    rng = np.random.default_rng(dimensions)
    stddev = rng.uniform(0.2, 2.0, dimensions)
    shift = rng.standard_normal(dimensions)
    shift *= math.sqrt(2.0 * kl) / np.linalg.norm(shift / stddev)
    assert np.sum(0.5 * (shift / stddev) ** 2) == pytest.approx(kl)
    samples = stddev * rng.standard_normal((400_000, dimensions))
    log_ratio = np.sum(-0.5 * ((samples - shift) / stddev) ** 2 + 0.5 * (samples / stddev) ** 2, axis=1)
    monte_carlo = 0.5 * np.abs(1.0 - np.exp(log_ratio)).mean()
    assert policy_change_risk(kl) == pytest.approx(monte_carlo, rel=0.01)


def test_rounding_below_zero_is_zero_and_anything_else_is_refused():
    assert policy_change_risk(-1e-12) == policy_change_risk(-1e-9) == 0.0
    for kl in (-1.1e-9, -1e-3, math.nan, math.inf):
        with pytest.raises(ValueError, match="kl must be"):
            policy_change_risk(kl)


# Eq. 32


def test_prediction_adds_up_and_is_capped():
    assert predicted_unsafety_rate(0.1, 0.2, 0.05) == pytest.approx(0.35)
    assert predicted_unsafety_rate(0.9, 0.2, 0.05) == 1.0
    assert predicted_unsafety_rate(0.0, 0.0, 0.0) == 0.0
    for rates in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        assert predicted_unsafety_rate(*rates) == 1.0


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("bad", [math.nan, -0.001, 1.001, math.inf])
def test_prediction_refuses_what_is_no_probability(position, bad):
    rates = [0.1, 0.1, 0.1]
    rates[position] = bad
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        predicted_unsafety_rate(*rates)


# Eq. 16

BOUNDS = {"d_safe": 0.5, "floor": 0.1, "t_max": 3.0}


@pytest.mark.parametrize(
    "limit, rate, following",
    [
        (0.1, 0.0, 0.105),  # nothing unsafe: 5 % more
        (0.1, 0.3, 0.105),  # .5 / .3 = 1.67 would be more than that
        (1.0, 0.4, 1.05),  # .5 / .4 = 1.25
        (1.0, 0.48, 0.5 / 0.48),
        (1.0, 0.5, 1.0),
        (2.0, 0.8, 0.625),  # decreases are immediate
        (0.11, 1.0, 0.1155),  # all unsafe, still within D_safe
        (3.0, 0.0, 3.0),  # the ceiling
    ],
)
def test_next_limit_by_hand(limit, rate, following):
    assert next_torque_limit(limit, rate, **BOUNDS) == pytest.approx(following)


def test_the_floor_holds_where_the_bound_allows_more():
    assert next_torque_limit(0.5, 1.0, **BOUNDS | {"floor": 0.4}) == 0.5
    assert next_torque_limit(2.0, 1.0, **BOUNDS | {"floor": 0.5}) == 0.5


def test_the_floor_never_hides_what_the_bound_asks_for():
    with pytest.raises(ValueError, match="floor 1.8 N·m is above D_safe 1.3"):
        next_torque_limit(1.8, 1.0, d_safe=1.3, floor=1.8, t_max=3.0)
    with pytest.raises(ValueError, match="floor 0.75 N·m is above D_safe 0.5"):  # .75^2 > .5
        next_torque_limit(1.8, 1.0, **BOUNDS | {"floor": 0.75}, damage=DAMAGE_MODELS["quadratic"])


def test_seventy_iterations_from_a_tenth_to_three():
    limit, iterations = 0.1, 0
    while limit < 3.0:
        limit, iterations = next_torque_limit(limit, 0.041, **BOUNDS), iterations + 1
    assert iterations == math.ceil(math.log(30.0) / math.log(1.05)) == 70


def test_another_damage_model_fits_the_same_rule():
    quadratic = DAMAGE_MODELS["quadratic"]
    # .5 (N·m)^2 / .8 = .625 -> sqrt = .79 N·m
    assert next_torque_limit(2.0, 0.8, **BOUNDS, damage=quadratic) == pytest.approx(math.sqrt(0.625))
    for model in DAMAGE_MODELS.values():
        for limit in (0.1, 1.0, 2.5):
            assert model.torque_limit(model.damage(limit)) == pytest.approx(limit)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"limit": math.nan}, "torque_limit nan is not in"),
        ({"limit": 0.099}, "torque_limit 0.099 is not in"),
        ({"limit": 3.001}, "torque_limit 3.001 is not in"),
        ({"rate": math.nan}, "predicted_rate must be in"),
        ({"rate": -0.001}, "predicted_rate must be in"),
        ({"rate": 1.001}, "predicted_rate must be in"),
        ({"d_safe": 0.0}, "d_safe must be finite and > 0"),
        ({"d_safe": math.inf}, "d_safe must be finite and > 0"),
        ({"d_safe": math.nan}, "d_safe must be finite and > 0"),
        ({"floor": 0.0}, "expected 0 < floor <= t_max"),
        ({"floor": 4.0}, "expected 0 < floor <= t_max"),
        ({"floor": math.nan}, "expected 0 < floor <= t_max"),
        ({"floor": 0.501}, "floor 0.501 N·m is above D_safe 0.5"),
        ({"t_max": math.inf}, "expected 0 < floor <= t_max"),
        ({"growth": 0.999}, "growth must be finite and >= 1"),
        ({"growth": math.inf}, "growth must be finite and >= 1"),
        ({"growth": math.nan}, "growth must be finite and >= 1"),
    ],
)
def test_next_limit_refuses_what_makes_no_sense(change, text):
    arguments = {"limit": 1.0, "rate": 0.1, **BOUNDS, "growth": 1.05} | change
    with pytest.raises(ValueError, match=text):
        next_torque_limit(arguments.pop("limit"), arguments.pop("rate"), **arguments)


def test_next_limit_takes_what_is_at_the_edge():
    assert next_torque_limit(0.1, 0.0, **BOUNDS, growth=1.0) == 0.1
    assert next_torque_limit(0.001, 1.0, d_safe=0.001, floor=0.001, t_max=0.001) == 0.001
    assert next_torque_limit(3.0, 1.0, **BOUNDS | {"floor": 0.5}) == 0.5


def test_a_raise_that_the_bound_just_allows_is_taken_whole():
    # 1.05 x 1.0 x p' = D_safe exactly: nothing is taken off.
    assert next_torque_limit(1.0, 0.5, **BOUNDS | {"d_safe": 0.525}) == 1.05
