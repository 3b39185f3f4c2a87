# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals of a mean over few runs: stratified bootstrap (Agarwal et al. 2021, "rliable")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.randomness import Purpose, generator

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and the interval it lies in with the level asked for; every field of one shape."""

    estimate: Array
    low: Array
    high: Array


def interquartile_mean(values: Array) -> Array:
    """Mean of the middle half along the first axis: as robust as a median, as efficient as a mean.

    Args:
      values: Shape (n, ...).

    Returns:
      Shape (...). The values at the quarter points count by the share of them that is inside.
    """
    ordered = np.sort(values, axis=0)
    count = len(ordered)
    edges = np.arange(count + 1) / count
    weights = np.maximum(0.0, np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25)) * 2.0
    return np.asarray(np.tensordot(weights, ordered, axes=1))


def stratified_interval(
    strata: Sequence[Array], *, statistic: str = "mean", level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of a statistic over runs, resampled within each stratum (task, robot).

    Args:
      strata: One array of shape (runs, ...) per stratum; the trailing shapes are equal. One run tells nothing
        of the spread: the interval is then the value itself.
      statistic: "mean", or "iqm", see `interquartile_mean`.
      level: Of the interval.
      resamples: Number of bootstrap samples.
      seed: Equal arguments give equal intervals.

    Returns:
      Estimate and bounds, of the trailing shape.

    Raises:
      ValueError: if a stratum is empty, or the statistic is unknown.
    """
    if not strata or any(len(stratum) == 0 for stratum in strata):
        raise ValueError("stratified_interval needs at least one run in every stratum")
    if statistic not in ("mean", "iqm"):
        raise ValueError(f"statistic must be mean or iqm, got {statistic!r}")
    rng = generator(Purpose.BOOTSTRAP, seed)

    def of(values: Array) -> Array:
        return np.asarray(values.mean(axis=0)) if statistic == "mean" else interquartile_mean(values)

    drawn = np.stack(
        [of(np.concatenate([s[rng.integers(len(s), size=len(s))] for s in strata])) for _ in range(resamples)]
    )
    low, high = np.quantile(drawn, [0.5 - level / 2.0, 0.5 + level / 2.0], axis=0)
    return Interval(estimate=of(np.concatenate(list(strata))), low=low, high=high)


def ratio_interval(
    over: Sequence[Array], under: Sequence[Array], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of the ratio of two sums over strata (tasks) of means over runs.

    Runs are resampled within each stratum, those above and those below the line each for themselves: they share no
    seed's luck.

    Args:
      over: Shape (runs,) per stratum, numbers >= 0.
      under: The same strata in the same order.
      level: Of the interval.
      resamples: Number of bootstrap samples.
      seed: Equal arguments give equal intervals.

    Returns:
      Estimate and bounds, of shape (); infinite where nothing is below the line, NaN where nothing is on either side.

    Raises:
      ValueError: if a stratum is empty, or there are not as many above as below.
    """
    if len(over) != len(under) or not over or any(len(stratum) == 0 for stratum in (*over, *under)):
        raise ValueError("ratio_interval needs the same strata above and below, with at least one run in each")
    rng = generator(Purpose.BOOTSTRAP, seed)

    def drawn(strata: Sequence[Array]) -> Array:
        return np.sum([s[rng.integers(len(s), size=(resamples, len(s)))].mean(axis=1) for s in strata], axis=0)

    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.quantile(drawn(over) / drawn(under), [0.5 - level / 2.0, 0.5 + level / 2.0])
        means = (np.sum([s.mean() for s in strata]) for strata in (over, under))
        return Interval(estimate=np.divide(*means), low=low, high=high)


def difference_interval(
    first: Array, second: Array, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of the difference of two means over runs that have nothing to do with each other.

    Args:
      first: One number per run, shape (n,).
      second: Those of the other, shape (m,). One run tells nothing of the spread.
      level: Of the interval.
      resamples: Number of bootstrap samples.
      seed: Equal arguments give equal intervals.

    Returns:
      mean(first) - mean(second) and its bounds, of shape ().

    Raises:
      ValueError: if either is empty.
    """
    if not (len(first) and len(second)):
        raise ValueError("difference_interval needs at least one run of either")
    rng = generator(Purpose.BOOTSTRAP, seed)
    one, other = (of[rng.integers(len(of), size=(resamples, len(of)))].mean(axis=1) for of in (first, second))
    low, high = np.quantile(one - other, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return Interval(estimate=np.asarray(first.mean() - second.mean()), low=np.asarray(low), high=np.asarray(high))
