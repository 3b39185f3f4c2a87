# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals: against scipy's, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from safe_transfer_ros.reporting.bootstrap import (
    difference_interval,
    interquartile_mean,
    ratio_interval,
    stratified_interval,
)


@pytest.mark.parametrize("count", (4, 8, 20))
def test_the_interquartile_mean_is_the_trimmed_one_where_quarters_are_whole(count: int) -> None:
    values = np.random.default_rng(count).standard_normal((count, 3))
    np.testing.assert_allclose(interquartile_mean(values), stats.trim_mean(values, 0.25, axis=0))


def test_the_interquartile_mean_counts_parts_of_values() -> None:
    # The middle half of five values: the third whole, three quarters of its neighbours.
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, -7.0])) == pytest.approx((0.75 * 1 + 2 + 0.75 * 3) / 2.5)


def test_the_interval_is_scipys_for_one_stratum() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    ours = stratified_interval([values], resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert ours.estimate == pytest.approx(values.mean())
    assert (float(ours.low), float(ours.high)) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_each_stratum_keeps_its_share() -> None:
    """Two robots far apart: their distance is no uncertainty of the mean over both."""
    low, high = np.full(5, 0.0), np.full(5, 100.0)
    interval = stratified_interval([low, high])
    assert (float(interval.low), float(interval.estimate), float(interval.high)) == (50.0, 50.0, 50.0)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(300):
        interval = stratified_interval([rng.normal(size=(15, 1))], resamples=400, seed=trial)
        held += bool(interval.low[0] <= 0.0 <= interval.high[0])
    assert 0.87 <= held / 300 <= 0.98  # percentile intervals of 15 values are a little narrow


def test_one_run_has_no_spread_and_none_is_refused() -> None:
    interval = stratified_interval([np.array([[1.0, 2.0]])])
    np.testing.assert_array_equal(interval.low, interval.high)
    with pytest.raises(ValueError, match="at least one run"):
        stratified_interval([np.empty((0, 3))])
    with pytest.raises(ValueError, match="median"):
        stratified_interval([np.ones(3)], statistic="median")


def test_a_ratio_of_sums_over_strata_has_the_interval_of_the_delta_method() -> None:
    rng = np.random.default_rng(3)
    over, under = ([rng.gamma(20.0, scale, 400) for scale in scales] for scales in ((2.0, 1.0), (4.0, 3.0)))
    found = ratio_interval(over, under, resamples=4000)
    top, bottom = (sum(part.mean() for part in of) for of in (over, under))
    assert float(found.estimate) == pytest.approx(top / bottom) == pytest.approx(3.0 / 7.0, abs=0.02)
    variance = [sum(part.var() / len(part) for part in of) for of in (over, under)]
    error = top / bottom * np.sqrt(variance[0] / top**2 + variance[1] / bottom**2)
    assert float(found.high - found.low) == pytest.approx(2.0 * 1.96 * error, rel=0.1)
    assert float(found.low) < top / bottom < float(found.high)
    assert ratio_interval(over, under) == ratio_interval(over, under)


def test_a_ratio_of_single_runs_is_itself_and_one_to_nothing_is_infinite() -> None:
    one = ratio_interval([np.array([3.0])], [np.array([4.0])])
    assert (float(one.low), float(one.estimate), float(one.high)) == (0.75, 0.75, 0.75)
    assert float(ratio_interval([np.array([3.0])], [np.array([0.0])]).estimate) == np.inf
    with pytest.raises(ValueError, match="the same strata above and below"):
        ratio_interval([np.array([1.0])], [])
    with pytest.raises(ValueError, match="at least one run"):
        ratio_interval([np.array([1.0])], [np.array([])])


def test_the_interval_of_a_difference_is_scipys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.exponential(size=30) + 2.0, rng.normal(size=20)
    ours = difference_interval(first, second, resamples=20_000)

    def difference(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        return one.mean(axis=axis) - other.mean(axis=axis)

    theirs = stats.bootstrap((first, second), difference, method="percentile", n_resamples=20_000, rng=1)
    assert ours.estimate == pytest.approx(first.mean() - second.mean())
    wanted = theirs.confidence_interval
    assert (float(ours.low), float(ours.high)) == pytest.approx((wanted.low, wanted.high), abs=0.03)


def test_a_difference_needs_a_run_of_either() -> None:
    with pytest.raises(ValueError, match="at least one run of either"):
        difference_interval(np.ones(2), np.empty(0))
