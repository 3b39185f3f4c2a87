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
    conformal_upper,
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


def test_the_autocorrelation_time_is_its_definition_over_episodes_of_any_length() -> None:
    rng = np.random.default_rng(11)
    drawn = [
        [chain(rng, 0.4, time, length) for length in lengths]
        for lengths, time in (((7,), 3.0), ((40, 3, 25), 3.0), ((12, 12, 12), 3.0), ((1, 2, 60), 3.0), ((150,), 20.0))
        for _ in range(10)
    ]
    alike = [[np.full(length, bad) for bad in (True, False)] for length in (3, 7, 8)]  # correlated to the end
    for episodes in drawn + alike:
        lengths = [len(episode) for episode in episodes]
        everything = np.concatenate(episodes).astype(float)
        mean, variance = everything.mean(), everything.var() * len(everything)
        if variance == 0.0:
            continue

        def rho(lag, episodes=episodes, mean=mean, variance=variance) -> float:
            pairs = [(e[t] - mean) * (e[t + lag] - mean) for e in episodes for t in range(len(e) - lag)]
            return float(sum(pairs) / variance)

        expected, lag = 1.0, 1
        while lag < max(lengths) - 1 and rho(lag) + rho(lag + 1) > 0.0:
            expected, lag = expected + 2.0 * (rho(lag) + rho(lag + 1)), lag + 2
        expected = min(max(expected, 1.0), max(lengths))
        assert autocorrelation_time(episodes) == pytest.approx(expected, rel=1e-9)


def test_the_effective_number_of_states_is_their_number_by_the_autocorrelation_time() -> None:
    rng = np.random.default_rng(12)
    episodes = [chain(rng, 0.3, 4.0, length) for length in (50, 80)]
    rate, trials = np.concatenate(episodes).mean(), 130.0 / autocorrelation_time(episodes)
    for level in (0.5, 0.95, 0.99):
        assert effective_binomial_upper(episodes, level=level) == binomial_upper(rate * trials, trials, level)
    assert effective_binomial_upper(episodes) == effective_binomial_upper(episodes, level=0.95)
    # All alike: a time is assumed, and there is never less than one trial.
    for states, trials in ((400, 10.0), (80, 2.0), (40, 1.0), (3, 1.0)):
        assert effective_binomial_upper([np.zeros(states, dtype=bool)]) == binomial_upper(0.0, trials)
    assert effective_binomial_upper([np.zeros(400, dtype=bool)], unknown_time=100.0) == binomial_upper(0.0, 4.0)
    assert effective_binomial_upper([np.ones(400, dtype=bool)]) == 1.0


@pytest.mark.parametrize(
    ("successes", "trials", "level"),
    [(0, 0, 0.9), (-0.001, 1, 0.9), (1.001, 1, 0.9), (0, 1, 0.0), (0, 1, 1.0), (np.nan, 1, 0.9), (0, np.nan, 0.9)],
)
def test_a_binomial_bound_of_what_cannot_be_is_refused(successes: float, trials: float, level: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= successes <= trials > 0 and a level"):
        binomial_upper(successes, trials, level)


def test_a_binomial_bound_at_the_edge() -> None:
    assert binomial_upper(0.001, 0.001) == binomial_upper(5, 5) == 1.0
    assert binomial_upper(0.0, 0.5, 0.001) == pytest.approx(1.0 - 0.999**2.0)
    assert binomial_upper(4.9, 5) < 1.0


def slow_betting_upper(values: list[float], level: float) -> float:
    """The bound by its definition, one mean after the other."""
    kept = []
    for mean in (k / 1000.0 for k in range(1, 1000)):
        wealth, most, seen = 1.0, 1.0, []
        for value in values:
            # The bet is set by the mean and variance of what was seen, with one more value of 1/2 and variance 1/4.
            squares = 0.25
            for count, earlier in enumerate(seen):
                running = (0.5 + sum(seen[: count + 1])) / (count + 2)
                squares += (earlier - running) ** 2
            variance = max(squares / (len(seen) + 1), 1e-4)
            bet = np.sqrt(2.0 * np.log(1.0 / (1.0 - level)) / (variance * len(values)))
            wealth *= 1.0 + min(bet, 0.95 / (1.0 - mean)) * (mean - value)
            most = max(most, wealth)
            seen.append(value)
        if most < 1.0 / (1.0 - level):
            kept.append(mean)
    return min(1.0, max(kept) + 0.001) if kept else 0.001


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_the_betting_bound_is_the_gamblers_by_hand(level: float) -> None:
    rng = np.random.default_rng(13)
    for values in (
        [],
        [0.0],
        [1.0],
        [0.2, 0.4, 0.1],
        [0.95] * 50,
        *(rng.beta(0.5, 2.0, size=n).tolist() for n in (5, 12, 25)),
    ):
        expected = slow_betting_upper(values, level)
        assert betting_upper(np.array(values), level) == pytest.approx(expected, abs=1e-9), values
    assert betting_upper(np.zeros(20_000), 0.8) == 0.001 and betting_upper(np.zeros(1_200), 0.8) == 0.002


@pytest.mark.parametrize("bad", [-0.001, 1.001, np.nan, np.inf])
def test_one_value_that_is_no_rate_is_refused_among_many(bad: float) -> None:
    with pytest.raises(ValueError, match=r"betting_upper needs values in \[0, 1\]"):
        betting_upper(np.array([0.0, bad, 1.0]))


def test_no_bound_of_that_confidence_from_five_episodes_can_be_small() -> None:
    """An episode that is unsafe throughout with this chance does not show in one batch of twenty."""
    for episodes in (1, 5, 10, 20, 40):
        assert betting_upper(np.zeros(episodes)) >= 1.0 - 0.05 ** (1.0 / episodes)


def test_the_conformal_bound_is_the_mean_with_one_more_episode_unsafe_throughout() -> None:
    assert conformal_upper(np.zeros(0)) == 1.0 and conformal_upper(np.ones(7)) == 1.0
    assert conformal_upper(np.zeros(5)) == pytest.approx(1.0 / 6.0)
    assert conformal_upper(np.array([0.2, 0.0, 0.4])) == pytest.approx(1.6 / 4.0)


@pytest.mark.parametrize("episodes", [1, 2, 5, 20])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4, 0.9])
@pytest.mark.parametrize("added", [0.0, 0.1256, 0.5])
def test_with_the_conformal_bound_the_expected_damage_is_within_d_safe(episodes, rate, added) -> None:
    """In units of D_safe, summed exactly over how many episodes are unsafe throughout, the worst there are."""
    counts = np.arange(episodes + 1)
    chances = stats.binom.pmf(counts, episodes, rate)
    bounds = np.array([conformal_upper(np.arange(episodes) < count) for count in counts])
    spent = float(chances @ ((rate + added) / (bounds + added)))
    assert spent <= 1.0
    if added == 0.0:
        assert spent == pytest.approx(1.0 - (1.0 - rate) ** (episodes + 1))
        plain = np.maximum(counts / episodes, 1e-3)  # the share itself, as PSPT has it, on a limit that ends somewhere
        assert float(chances @ (rate / plain)) > 1.0


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_no_distribution_of_an_episodes_rate_is_worse_than_all_or_nothing(spread: float) -> None:
    rng = np.random.default_rng(20)
    for rate in (0.05, 0.3):
        batches = rng.beta(rate * spread, (1.0 - rate) * spread, size=(4000, 5))
        spent = np.mean([rate / conformal_upper(batch) for batch in batches])
        assert spent <= 1.0 - (1.0 - rate) ** 6 + 0.02


def test_the_conformal_bound_is_none_of_confidence() -> None:
    rng = np.random.default_rng(21)
    missed = np.mean([conformal_upper((rng.random(5) < 0.3).astype(float)) < 0.3 for _ in range(500)])
    assert missed > 0.1


@pytest.mark.parametrize("bad", [-0.001, 1.001, np.nan])
def test_a_conformal_bound_of_what_is_no_rate_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"conformal_upper needs values in \[0, 1\]"):
        conformal_upper(np.array([0.0, bad, 1.0]))
