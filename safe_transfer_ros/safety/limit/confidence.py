# SPDX-License-Identifier: Apache-2.0
"""Upper confidence bounds on an unsafety rate from the few, correlated states of an iteration.

PSPT takes the share of unsafe states as if it were the rate itself. Successive states are nearly copies of
each other, so a batch of a thousand says as much as a few dozen independent ones, and a share of zero is no
proof of zero.

No bound from five episodes alone can be small with 95 % confidence: if an episode is wholly unsafe with
probability .45, five safe ones come up in one batch of twenty. `conformal_upper` asks for less, and for what PSPT
bounds: the EXPECTED damage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def autocorrelation_time(episodes: Sequence[Flags]) -> float:
    """Integrated autocorrelation time of a 0/1 series: how many states carry the news of one.

    1 + 2 sum_k rho(k), the sum cut where a pair of successive rho first turns negative (Geyer 1992). The mean
    is taken over all episodes, so that episodes that are wholly safe or unsafe count as correlation.

    Args:
      episodes: One series per episode, not empty.

    Returns:
      At least 1; at most the length of the longest episode. NaN where every value is the same: nothing varies.
    """
    values = [np.asarray(episode, dtype=np.float64) for episode in episodes]
    total = sum(len(episode) for episode in values)
    mean = sum(float(episode.sum()) for episode in values) / total
    centred = [episode - mean for episode in values]
    variance = sum(float(episode @ episode) for episode in centred)
    if variance == 0.0:
        return float("nan")
    longest = max(len(episode) for episode in values)

    def correlation(lag: int) -> float:
        products = sum(
            float(episode[lag:] @ episode[: len(episode) - lag]) for episode in centred if len(episode) > lag
        )
        return products / variance

    time = 1.0
    for lag in range(1, longest - 1, 2):
        pair = correlation(lag) + correlation(lag + 1)
        if pair <= 0.0:
            break
        time += 2.0 * pair
    return float(min(max(time, 1.0), longest))


def binomial_upper(successes: float, trials: float, level: float = 0.95) -> float:
    """One-sided Clopper-Pearson bound: the rate under which so few successes would have chance 1 - level.

    Args:
      successes: Count in [0, trials]; need not be whole, for an effective number of trials.
      trials: > 0.
      level: In (0, 1).

    Returns:
      In (0, 1].

    Raises:
      ValueError: if an argument is out of range.
    """
    if not (trials > 0.0 and 0.0 <= successes <= trials and 0.0 < level < 1.0):
        raise ValueError(
            f"expected 0 <= successes <= trials > 0 and a level in (0, 1), got {successes}, {trials}, {level}"
        )
    if successes >= trials:
        return 1.0
    return float(scipy.special.betaincinv(successes + 1.0, trials - successes, level))


def effective_binomial_upper(episodes: Sequence[Flags], *, level: float = 0.95, unknown_time: float = 40.0) -> float:
    """Upper bound on the rate from correlated states: Clopper-Pearson with total / autocorrelation time trials.

    Approximate: the autocorrelation time is itself estimated from few events, and the bound knows nothing of
    what differs from episode to episode but did not happen.

    Args:
      episodes: Whether each state was unsafe, one series per episode.
      level: Confidence of the bound.
      unknown_time: Autocorrelation time, states, where all are alike (2 s at 20 Hz: half a lap of the cup).
    """
    total = sum(len(episode) for episode in episodes)
    time = autocorrelation_time(episodes)
    time = unknown_time if time != time else time
    rate = sum(int(np.count_nonzero(episode)) for episode in episodes) / total
    trials = max(1.0, total / time)
    return binomial_upper(rate * trials, trials, level)


def betting_upper(rates: Array, level: float = 0.95) -> float:
    """Upper confidence bound on the mean of independent values in [0, 1], by betting (Waudby-Smith & Ramdas 2024).

    A gambler bets against "the mean is m" whenever values are small; the wealth is a martingale if m is true,
    so it passes 1 / (1 - level) with probability at most 1 - level, at whatever time one looks. Nothing is
    assumed of the distribution, nor of what happens within an episode.

    Args:
      rates: One value per episode, in the order in which they came, shape (n,), in [0, 1]. The means need not
        be equal: the bound is then on the largest number that is below all of them.
      level: Confidence.

    Returns:
      The bound, in (0, 1], on a grid of 1/1000, rounded up.

    Raises:
      ValueError: if a value is not in [0, 1].
    """
    values = np.asarray(rates, dtype=np.float64)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError("betting_upper needs values in [0, 1]")
    means = np.arange(1, 1000) / 1000.0
    log_wealth = np.zeros_like(means)
    best = np.zeros_like(means)
    # Predictable: the bet on value t is set by those before it.
    count, total, squares = 0, 0.5, 0.25
    for value in values:
        variance = squares / (count + 1)
        bet = np.sqrt(2.0 * np.log(1.0 / (1.0 - level)) / (max(variance, 1e-4) * max(len(values), 1)))
        log_wealth += np.log1p(np.minimum(bet, 0.95 / (1.0 - means)) * (means - value))
        np.maximum(best, log_wealth, out=best)
        count += 1
        total += value
        squares += (value - total / (count + 1)) ** 2
    kept = means[best < np.log(1.0 / (1.0 - level))]
    return float(min(1.0, kept.max() + 0.001)) if len(kept) else 0.001


def conformal_upper(rates: Array) -> float:
    """Rate to divide D_safe by so that the expected damage is within it: conformal risk control.

    (1 + sum_i rate_i) / (n + 1), as if one more episode had come and had been unsafe throughout (after Angelopoulos
    et al. 2024). With p the true rate, T the limit with d(T) = D_safe / bound, and the expectation over the batch:
    E[p d(T)] <= D_safe. For (n + 1) / (1 + sum) is convex in every rate, so of all distributions with mean p the
    wholly safe or unsafe episodes are the worst, and with k of n unsafe E[p (n + 1) / (1 + k)] = 1 - (1 - p)^(n + 1).
    A constant added to p and to the bound alike keeps it, and so does any lower limit. Iteration by iteration it
    follows for the mean damage of a whole run.

    It is NOT a confidence bound: the rate of a single batch may well lie above it. The limit it allows is at most
    (n + 1) D_safe, with linear damage.

    Args:
      rates: One value per episode, independent, of one mean, shape (n,), in [0, 1]; n may be 0.

    Returns:
      In (0, 1].

    Raises:
      ValueError: if a value is not in [0, 1].
    """
    values = np.asarray(rates, dtype=np.float64)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError("conformal_upper needs values in [0, 1]")
    return float((1.0 + values.sum()) / (len(values) + 1))
