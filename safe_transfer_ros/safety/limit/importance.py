# SPDX-License-Identifier: Apache-2.0
"""Unsafety rate of an updated policy from episodes of the one before it, by importance weights.

PSPT adds to the measured rate the chance that an action changes, whether or not the change does harm. Weights look at
what was done: what the update makes likelier counts more. What they can tell, and what not:

- A torque applied is the clamp of a Gaussian proposal (PSPT Eq. 11): a density within the limit, and an atom on each
  side of it. At ONE limit the laws before and after an update have the same atoms, and a likelihood ratio exists.
  Between TWO limits none does, whichever is higher: the atoms of one have no mass under the other. So weights take
  the place of p_u + dp_u2; what the next limit does has to be added (dp_u1).
- The weights of all 200 steps of an episode together are noise. Those of the last `REACTION_STEPS` alone are used.
  ASSUMPTION: the distribution of the states before them is that of the old policy. An effect that takes longer to
  show is not seen.
- ASSUMPTION: the updated policy does not depend on these episodes. In those that it was learned from, what went well
  by luck was made likelier with the rest: the weights, whose mean is 1 by right, average more, and can promise a rate
  below zero (docs/results/pspt.md). The episodes have to be held out of the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy

from safe_transfer_ros.safety.limit.rules import PolicyShift

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

REACTION_STEPS: Final = 10
"""Steps over which unsafety is taken to react to torque: half a second at PSPT's 20 Hz."""

_LOG_MOST = 690.0  # sums of a thousand weights stay finite


def log_likelihood_ratio(proposed: Array, torque_limit: float, shift: PolicyShift) -> Array:
    """Log of how much likelier each torque is that was applied, under the updated policy at the same limit.

    Per joint log N(x; mu', sigma'^2) - log N(x; mu, sigma^2) for a proposal |x| < T_lim, which is applied as it is;
    log P'(x >= T_lim) - log P(x >= T_lim) for one at T_lim or beyond, of which T_lim is applied, and likewise at
    -T_lim (PSPT Eq. 11, 22). Joints are independent given the state.

    Args:
      proposed: Torque proposed at each step, shape (n_steps, n_joints), N·m.
      torque_limit: Limit in force, N·m, > 0.
      shift: The policy at these steps, before and after the update.

    Returns:
      Shape (n_steps,), nats.

    Raises:
      ValueError: if shapes differ, or a value is not finite or not positive where it must be.
    """
    x = np.asarray(proposed, dtype=np.float64)
    before, spread = shift.mean, shift.stddev
    after, spread_after = shift.mean_after, shift.stddev_after
    arrays = (x, before, spread, after, spread_after)
    if len({np.shape(array) for array in arrays}) != 1 or x.ndim != 2:
        raise ValueError(f"expected arrays of one shape (n_steps, n_joints), got {[np.shape(a) for a in arrays]}")
    if not all(np.isfinite(array).all() for array in arrays) or not (np.minimum(spread, spread_after) > 0.0).all():
        raise ValueError("torques and means must be finite, standard deviations finite and > 0")
    if not 0.0 < torque_limit < np.inf:
        raise ValueError(f"torque_limit must be finite and > 0 N·m, got {torque_limit}")

    def log_law(mean: Array, stddev: Array) -> Array:
        density = -0.5 * np.square((x - mean) / stddev) - np.log(stddev)
        atom = scipy.special.log_ndtr((np.sign(x) * mean - torque_limit) / stddev)
        return np.where(np.abs(x) < torque_limit, density, atom)

    return np.asarray((log_law(after, spread_after) - log_law(before, spread)).sum(axis=1))


def weighted_rates(unsafe: Sequence[Flags], log_ratios: Sequence[Array], window: int = REACTION_STEPS) -> Array:
    """Unsafety rate of each episode under the updated policy: 1 - min(1, mean_t W_t [state t + 1 is safe]).

    W_t is the likelihood ratio of the last `window` steps up to t. Under the assumptions above the mean over t of
    W_t [safe] has the share of safe states sought as its expectation; cut off at 1 it has less. So each value lies in
    [0, 1] and has a mean of at least the rate sought: a bound on the mean of such values bounds the rate.

    Args:
      unsafe: Whether the state that each step led to was unsafe, one series per episode, none empty.
      log_ratios: `log_likelihood_ratio` of its steps, one series per episode, as long.
      window: Number of steps, >= 1.

    Returns:
      Shape (n_episodes,), in [0, 1].

    Raises:
      ValueError: if series differ in length, one is empty, or a ratio is not a number.
    """
    if window < 1:
        raise ValueError(f"expected a window of at least one step, got {window}")
    rates = []
    for flags, ratios in zip(unsafe, log_ratios, strict=True):
        if len(flags) != len(ratios) or len(flags) == 0 or np.isnan(ratios).any():
            raise ValueError(f"expected a ratio for each of {len(flags)} > 0 states, got {len(ratios)}, or a NaN")
        weights = np.exp(np.minimum(_last(ratios, window), _LOG_MOST))
        rates.append(1.0 - min(1.0, float(np.mean(np.where(flags, 0.0, weights)))))
    return np.array(rates, dtype=np.float64)


def _last(values: Array, window: int) -> Array:
    """Sum of each value and those before it, of `window` at most; exact where they are infinite or far apart."""
    total = np.array(values, dtype=np.float64)
    for lag in range(1, min(window, len(values))):
        total[lag:] += values[:-lag]
    return total
