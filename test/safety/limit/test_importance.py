# SPDX-License-Identifier: Apache-2.0
"""Importance weights: against the laws they are the ratio of, brute force, and how often bounds from them hold."""

from __future__ import annotations

import numpy as np
import pytest
from rule_evidence import shift_of
from scipy import integrate, special, stats

from safe_transfer_ros.safety.limit.confidence import betting_upper, conformal_upper
from safe_transfer_ros.safety.limit.importance import REACTION_STEPS, log_likelihood_ratio, weighted_rates

LIMIT = 0.4


def ratio(x: float, before: tuple[float, float], after: tuple[float, float]) -> float:
    columns = [np.array([[value]]) for value in (*before, *after)]
    return float(np.exp(log_likelihood_ratio(np.array([[x]]), LIMIT, shift_of(*columns))[0]))


@pytest.mark.parametrize("after", [(0.1, 0.3), (0.5, 0.3), (-0.3, 0.2), (0.1, 0.4)])
def test_a_mean_under_the_old_law_with_weights_is_the_mean_under_the_new_one(after) -> None:
    """Of functions of the torque APPLIED, so the two atoms of the clamp count as one torque each."""
    before = (0.1, 0.3)

    def mean(law, function, weight=lambda x: 1.0) -> float:
        normal = stats.norm(*law)
        inside, _ = integrate.quad(lambda x: normal.pdf(x) * function(x) * weight(x), -LIMIT, LIMIT)
        above, below = normal.sf(LIMIT), normal.cdf(-LIMIT)
        # All proposals beyond the limit weigh the same, whatever they were.
        assert weight(LIMIT) == weight(LIMIT + 5.0) and weight(-LIMIT) == weight(-LIMIT - 0.1)
        return inside + above * function(LIMIT) * weight(LIMIT) + below * function(-LIMIT) * weight(-LIMIT)

    for function in (lambda x: 1.0, lambda x: x, lambda x: np.exp(3.0 * x), lambda x: float(x == LIMIT)):
        weighted = mean(before, function, lambda x: ratio(x, before, after))
        assert weighted == pytest.approx(mean(after, function), abs=1e-7)


def test_the_joints_of_a_state_are_independent_and_far_tails_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    x, mean, after = rng.normal(size=(3, 50, 7))
    stddev, stddev_after = rng.uniform(0.1, 0.5, size=(2, 50, 7))
    together = log_likelihood_ratio(x, LIMIT, shift_of(mean, stddev, after, stddev_after))
    columns = [
        log_likelihood_ratio(x[:, [j]], LIMIT, shift_of(*(a[:, [j]] for a in (mean, stddev, after, stddev_after))))
        for j in range(7)
    ]
    np.testing.assert_allclose(together, np.sum(columns, axis=0))
    one = np.ones((1, 1))
    tail = log_likelihood_ratio(one, 1.0, shift_of(-9.0 * one, 0.1 * one, -9.1 * one, 0.1 * one))
    assert tail[0] == pytest.approx(special.log_ndtr(-101.0) - special.log_ndtr(-100.0)) and np.isfinite(tail[0])


def test_nothing_changed_is_a_weight_of_one_and_the_share_as_measured() -> None:
    rng = np.random.default_rng(1)
    x, mean = rng.normal(size=(2, 30, 7))
    ratios = log_likelihood_ratio(x, LIMIT, shift_of(mean, np.full_like(mean, 0.2), mean, np.full_like(mean, 0.2)))
    np.testing.assert_array_equal(ratios, np.zeros(30))
    unsafe = [rng.random(n) < 0.3 for n in (20, 10)]
    rates = weighted_rates(unsafe, [ratios[:20], ratios[20:]])
    np.testing.assert_allclose(rates, [np.mean(flags) for flags in unsafe])


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_the_rate_is_its_definition(window: int) -> None:
    rng = np.random.default_rng(2)
    unsafe = [rng.random(n) < 0.4 for n in (1, 5, 40)]
    ratios = [rng.normal(scale=0.1, size=len(flags)) - 0.05 for flags in unsafe]
    expected = []
    for flags, values in zip(unsafe, ratios, strict=True):
        total = 0.0
        for t, flag in enumerate(flags):
            weight = np.prod([np.exp(values[k]) for k in range(max(0, t + 1 - window), t + 1)])
            total += 0.0 if flag else weight
        expected.append(1.0 - min(1.0, total / len(flags)))
    np.testing.assert_allclose(weighted_rates(unsafe, ratios, window), expected)
    if window == 7:
        at_ten = weighted_rates(unsafe, ratios)
        np.testing.assert_array_equal(at_ten, weighted_rates(unsafe, ratios, REACTION_STEPS))
        assert (at_ten != weighted_rates(unsafe, ratios, window)).any() and REACTION_STEPS == 10


def test_safe_states_are_worth_no_more_than_all_and_impossible_ones_nothing() -> None:
    safe, huge = np.zeros(4, dtype=bool), np.full(4, 1e6)
    with np.errstate(over="raise"):
        np.testing.assert_array_equal(weighted_rates([safe, ~safe, safe], [huge, huge, -huge]), [0.0, 1.0, 1.0])
    # One impossible step spoils the states it leads to, and those alone.
    spoiled = np.array([0.0, 0.0, -np.inf, 0.0, 0.0, 0.0])
    assert weighted_rates([np.zeros(6, dtype=bool)], [spoiled], 2)[0] == pytest.approx(2.0 / 6.0)


# A chain of known rate: unsafe after three pushes in a row, the chance of a push rising with the torque applied.


def push(torque: np.ndarray, hard: np.ndarray | bool) -> np.ndarray:
    return special.ndtr((torque - np.where(hard, -0.5, 0.5)) / 0.35)


def known_rate(mean: float, hard: float, steps: int) -> float:
    def share(kind: bool) -> float:
        law = stats.norm(mean, 0.2)
        inside, _ = integrate.quad(lambda x: law.pdf(x) * float(push(x, kind)), -LIMIT, LIMIT)
        at_limit = law.sf(LIMIT) * push(LIMIT, kind) + law.cdf(-LIMIT) * push(-LIMIT, kind)
        return float((steps - 2) / steps * (inside + at_limit) ** 3)

    return hard * share(True) + (1.0 - hard) * share(False)


def episodes(rng, count: int, steps: int, hard: float, before: float, after: float):
    """Unsafe flags, and the log ratios of an update that moves the mean by chance up or down, known at each step."""
    x = before + 0.2 * rng.normal(size=(count, steps))
    pushes = rng.random((count, steps)) < push(np.clip(x, -LIMIT, LIMIT), rng.random((count, 1)) < hard)
    unsafe = pushes.copy()
    unsafe[:, :2] = False
    unsafe[:, 2:] = pushes[:, 2:] & pushes[:, 1:-1] & pushes[:, :-2]
    one = np.ones((steps, 1))
    shift = shift_of(before * one, 0.2 * one, after * one, 0.2 * one)
    return list(unsafe), [log_likelihood_ratio(row[:, None], LIMIT, shift) for row in x]


@pytest.mark.parametrize("after", [0.12, 0.28])
def test_over_thousands_of_episodes_the_rate_of_the_updated_policy_comes_out(after: float) -> None:
    rng = np.random.default_rng(3)
    truth, old = known_rate(after, 1.0, 400), known_rate(0.2, 1.0, 400)
    unsafe, ratios = episodes(rng, 4000, 400, 1.0, 0.2, after)
    told = weighted_rates(unsafe, ratios, 3)
    error = 3.0 * told.std() / np.sqrt(len(told))
    assert error < 0.004 < 0.02 < abs(old - truth), "else it shows nothing"
    assert truth - error < told.mean() < truth + error
    assert np.mean(unsafe) == pytest.approx(old, abs=0.004), "what it is without the weights"


def test_what_is_cut_off_counts_as_unsafe() -> None:
    """Short episodes of rare danger: many shares of weighted safe states are above one, and cut to it."""
    rng = np.random.default_rng(7)
    truth = known_rate(0.26, 0.0, 40)
    told = weighted_rates(*episodes(rng, 4000, 40, 0.0, 0.2, 0.26), 10)
    assert truth < 0.02 and truth + 0.02 < told.mean() < 0.5


def test_a_window_shorter_than_the_memory_misses_what_takes_longer() -> None:
    """Why the window is an assumption: an update for the worse looks better than it is."""
    rng = np.random.default_rng(4)
    unsafe, ratios = episodes(rng, 2000, 400, 1.0, 0.2, 0.28)
    truth = known_rate(0.28, 1.0, 400)
    short, long = (weighted_rates(unsafe, ratios, window).mean() for window in (1, 3))
    assert short < truth - 0.01 < truth - 0.005 < long


@pytest.mark.parametrize(("hard", "after"), [(0.5, 0.2), (0.5, 0.26), (0.3, 0.14)])
def test_the_betting_bound_on_weighted_rates_holds_at_least_as_often_as_it_says(hard: float, after: float) -> None:
    rng = np.random.default_rng(5)
    truth = known_rate(after, hard, 60)
    missed, shares_missed = 0, 0
    for _ in range(250):
        rates = weighted_rates(*episodes(rng, 5, 60, hard, 0.2, after), 3)
        missed += betting_upper(rates) < truth
        shares_missed += rates.mean() < truth
    assert missed <= stats.binom.ppf(0.999, 250, 0.05) and shares_missed > 50


def test_the_expected_damage_is_kept_with_the_conformal_bound_on_weighted_rates() -> None:
    rng = np.random.default_rng(6)
    truth = known_rate(0.24, 0.4, 60)
    spent = [truth / conformal_upper(weighted_rates(*episodes(rng, 5, 60, 0.4, 0.2, 0.24), 3)) for _ in range(400)]
    assert 0.7 < np.mean(spent) < 1.0, "in units of D_safe"


@pytest.mark.parametrize(
    ("proposed", "limit", "part", "value", "says"),
    [
        ((4, 6), 0.4, 0, 0.0, "one shape"),
        ((4,), 0.4, 0, 0.0, "one shape"),
        ((4, 7), 0.0, 0, 0.0, "torque_limit must be"),
        ((4, 7), np.nan, 0, 0.0, "torque_limit must be"),
        ((4, 7), np.inf, 0, 0.0, "torque_limit must be"),
        ((4, 7), 0.4, 0, np.nan, "finite"),
        ((4, 7), 0.4, 1, 0.0, "> 0"),
        ((4, 7), 0.4, 2, np.inf, "finite"),
        ((4, 7), 0.4, 3, -1.0, "> 0"),
    ],
)
def test_what_is_no_torque_and_no_law_is_refused(proposed, limit, part, value, says) -> None:
    parts = [np.zeros((4, 7)), np.ones((4, 7)), np.zeros((4, 7)), np.ones((4, 7))]
    if says in ("finite", "> 0"):
        parts[part][2, 3] = value
    with pytest.raises(ValueError, match=says):
        log_likelihood_ratio(np.zeros(proposed), limit, shift_of(*parts))


def test_series_that_do_not_fit_are_refused() -> None:
    flags = np.zeros(3, dtype=bool)
    for unsafe, ratios, window, says in (
        ([flags], [np.zeros(2)], 1, "a ratio for each of 3"),
        ([flags[:0]], [np.zeros(0)], 1, "a ratio for each of 0"),
        ([flags], [np.array([0.0, np.nan, 0.0])], 1, "or a NaN"),
        ([flags], [np.zeros(3)], 0, "at least one step"),
        ([flags, flags], [np.zeros(3)], 1, "zip"),
    ):
        with pytest.raises(ValueError, match=says):
            weighted_rates(unsafe, ratios, window)


def test_small_numbers_are_numbers_and_arrays_of_other_shapes_are_none() -> None:
    small = np.full((2, 1), 5e-3)
    assert np.isfinite(log_likelihood_ratio(small, 5e-3, shift_of(small, small, small, small))).all()
    flat = np.full(2, 0.1)
    with pytest.raises(ValueError, match="of one shape"):
        log_likelihood_ratio(flat, LIMIT, shift_of(flat, flat, flat, flat))
