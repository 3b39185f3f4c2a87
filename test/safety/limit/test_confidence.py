# SPDX-License-Identifier: Apache-2.0
"""Upper bounds on a rate: against known answers, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from safe_transfer_ros.safety.limit.confidence import (
    autocorrelation_time,
    betting_upper,
    binomial_upper,
    effective_binomial_upper,
)


def chain(rng: np.random.Generator, rate: float, time: float, length: int = 200) -> np.ndarray:
    """Stationary 0/1 series with correlation exp(-lag / time)."""
    stay = np.exp(-1.0 / time)
    fresh, keep = rng.random(length) < rate, rng.random(length) < stay
    series = np.empty(length, dtype=np.bool_)
    series[0] = fresh[0]
    for step in range(1, length):
        series[step] = series[step - 1] if keep[step] else fresh[step]
    return series


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (9, 10), (2, 500)])
def test_the_binomial_bound_is_clopper_and_pearsons(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials, alternative="less").proportion_ci(0.95, method="exact").high
    assert binomial_upper(successes, trials) == pytest.approx(expected)
    assert stats.binom.cdf(successes, trials, binomial_upper(successes, trials)) == pytest.approx(0.05)


def test_the_autocorrelation_time_is_that_of_a_known_chain() -> None:
    rng = np.random.default_rng(0)
    for time in (1.0, 5.0, 20.0):
        series = [chain(rng, 0.3, time, 200_000)]
        expected = 1.0 + 2.0 / (np.exp(1.0 / time) - 1.0)
        assert autocorrelation_time(series) == pytest.approx(expected, rel=0.2)
    independent = [rng.random(5000) < 0.3]
    assert autocorrelation_time(independent) == pytest.approx(1.0, abs=0.15)


def test_episodes_that_are_all_one_or_the_other_count_as_one_state_each() -> None:
    episodes = [np.full(200, bad) for bad in (True, False, True, False, False)]
    assert autocorrelation_time(episodes) > 100.0
    assert np.isnan(autocorrelation_time([np.zeros(200, dtype=bool)] * 5))


def test_nothing_unsafe_in_few_states_is_no_proof() -> None:
    safe = [np.zeros(200, dtype=bool)] * 5
    assert effective_binomial_upper(safe) == pytest.approx(1.0 - 0.05 ** (1.0 / 25.0))
    assert betting_upper(np.zeros(5)) > 0.3 and betting_upper(np.zeros(200)) < 0.03
    assert betting_upper(np.ones(5)) == 1.0


def test_more_episodes_bring_the_betting_bound_closer() -> None:
    rng = np.random.default_rng(1)
    bounds = [np.mean([betting_upper(rng.beta(0.2, 1.8, size=n)) for _ in range(30)]) for n in (5, 20, 100)]
    assert bounds[0] > bounds[1] > bounds[2] > 0.1


@pytest.mark.parametrize("rate", (0.03, 0.2, 0.6))
@pytest.mark.parametrize("spread", (0.1, 3.0))
def test_the_betting_bound_holds_at_least_as_often_as_it_says(rate: float, spread: float) -> None:
    """Whatever the distribution: episodes nearly all-or-nothing, or nearly alike. And whenever one looks."""
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(250):
        rates = rng.beta(rate * spread, (1.0 - rate) * spread, size=10)
        missed += min(betting_upper(rates[:n]) for n in (5, 10)) < rate
    assert missed <= stats.binom.ppf(0.999, 250, 0.05)


def test_means_that_differ_are_bounded_by_their_largest_lower_bound() -> None:
    """Pooled iterations: what is below every episode's own mean is below the bound."""
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(250):
        means = np.linspace(0.2, 0.5, 10)
        missed += betting_upper((rng.random(10) < means).astype(float)) < means.min()
    assert missed <= stats.binom.ppf(0.999, 250, 0.05)


@pytest.mark.parametrize("time", (1.0, 10.0, 40.0))
def test_the_effective_sample_bound_holds_nearly_as_often_as_it_says(time: float) -> None:
    """It is approximate: up to three times as many misses as it promises, where the share of states misses half."""
    rng = np.random.default_rng(4)
    missed, shares_missed = 0, 0
    for _ in range(200):
        episodes = [chain(rng, 0.1, time) for _ in range(5)]
        missed += effective_binomial_upper(episodes) < 0.1
        shares_missed += float(np.mean(episodes)) < 0.1
    assert missed <= 0.2 * 200 < shares_missed


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_the_betting_bound_is_a_rate_and_not_below_what_was_seen(rates: list[float]) -> None:
    bound = betting_upper(np.array(rates))
    assert 0.0 < bound <= 1.0 and bound >= np.mean(rates) - 0.01


@pytest.mark.parametrize("rates", ([1.2], [-0.1], [np.nan]))
def test_what_is_no_rate_is_refused(rates: list[float]) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        betting_upper(np.array(rates))


def test_impossible_counts_are_refused() -> None:
    for successes, trials in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="successes"):
            binomial_upper(successes, trials)
