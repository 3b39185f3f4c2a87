# SPDX-License-Identifier: Apache-2.0
"""Parts of a torque-limit rule beyond the paper's, each with one small interface.

PSPT's rule is: measured rate + effect of the new limit + effect of the new policy, times the limit, at most
D_safe. Each of the three terms, and the wish for a higher limit itself, can be had in other ways. They are
chosen by name in `GovernorSettings`; what each assumes is in its docstring.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from safe_transfer_ros.safety.limit.confidence import betting_upper, conformal_upper, effective_binomial_upper

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of an iteration beyond the paper's three numbers.

    Attributes:
      unsafe: Whether each state was unsafe, one series per episode.
      returns: Return of each episode, shape (episodes,); empty: not known, see `benefit.Benefit.cap`.
      weighted_rates: Unsafety rate of each held-out episode under the updated policy, see `importance`; None: unknown.
    """

    unsafe: Sequence[Flags]
    returns: Array
    weighted_rates: Array | None = None

    @property
    def rates(self) -> Array:
        """Unsafety rate of each episode, shape (episodes,): weighted where that is known, else as measured."""
        if self.weighted_rates is not None:
            return self.weighted_rates
        return np.array([float(np.mean(episode)) for episode in self.unsafe])


@dataclass(frozen=True, kw_only=True)
class PolicyShift:
    """A Gaussian policy's distribution in every visited state, before and after an update.

    Attributes:
      mean: Mean action per visited state, shape (n_steps, n_actions), N·m (or the task's unit).
      stddev: Standard deviation, same shape and unit, > 0.
      mean_after: Mean of the updated policy in the same states, same shape and unit.
      stddev_after: Its standard deviation, same shape and unit, > 0.
    """

    mean: Array
    stddev: Array
    mean_after: Array
    stddev_after: Array


# p_u ------------------------------------------------------------------------------------------------------------------


class EmpiricalRate:
    """The share of unsafe states (PSPT). Assumes that the batch is large."""

    def upper(self, measured: float, evidence: Evidence | None) -> float:
        """The rate to count with, in [0, 1].

        Args:
          measured: Share of unsafe states of the iteration.
          evidence: Of the iteration; may be missing for the paper's rule alone.
        """
        return measured

    def drifted(self, drift: float) -> None:
        """Set by how much the rate may differ in the coming iteration."""


class EffectiveSampleRate(EmpiricalRate):
    """Clopper-Pearson with an effective number of states; see `effective_binomial_upper` for what it assumes."""

    def upper(self, measured: float, evidence: Evidence | None) -> float:
        """See `EmpiricalRate.upper`."""
        if evidence is None:
            return 1.0
        return max(measured, effective_binomial_upper(evidence.unsafe))


class BettingRate(EmpiricalRate):
    """`betting_upper` over the episodes of this iteration and the one before, the latter's rates raised by its drift.

    Assumes that episodes are independent given the policy and the limit, and that the drift bounds hold.
    """

    def __init__(self, window: int = 2) -> None:
        """Pool the episodes of `window` iterations."""
        self._batches: deque[Array] = deque(maxlen=window)

    def upper(self, measured: float, evidence: Evidence | None) -> float:
        """See `EmpiricalRate.upper`."""
        if evidence is None:
            return 1.0
        self._batches.append(evidence.rates.copy())
        return max(measured, min(betting_upper(np.concatenate(list(self._batches)[-n:])) for n in self._sizes()))

    def drifted(self, drift: float) -> None:
        """See `EmpiricalRate.drifted`."""
        for batch in self._batches:
            np.minimum(batch + drift, 1.0, out=batch)

    def _sizes(self) -> range:
        # This iteration alone (no drift) or all that is kept: the choice of the smaller costs a little coverage.
        return range(1, len(self._batches) + 1)


class ConformalRate(EmpiricalRate):
    """`conformal_upper` over the episodes of the iteration: a bound on the damage expected, not on a batch's rate.

    Assumes that episodes are independent given the policy and the limit.
    """

    def upper(self, measured: float, evidence: Evidence | None) -> float:
        """See `EmpiricalRate.upper`."""
        if evidence is None:
            return 1.0
        return max(measured, conformal_upper(evidence.rates))


RATES = {
    "empirical": EmpiricalRate,
    "effective_sample": EffectiveSampleRate,
    "betting": BettingRate,
    "conformal": ConformalRate,
}


# dp_u2 ----------------------------------------------------------------------------------------------------------------


def policy_change_risk_per_state(shift: PolicyShift) -> float:
    """dp_u2 as the mean over states of the shift of the action's distribution, see `changed_share`.

    Args:
      shift: The distributions.

    Returns:
      In [0, 1].

    Raises:
      ValueError: if shapes differ, or a value is not finite or not positive where it must be.
    """
    return float(np.mean(changed_share(shift)))


def changed_share(shift: PolicyShift) -> Array:
    """Bound in each state on how often the action drawn is another, were the two policies coupled as well as they can.

    TV(s) <= erf(d(s) / (2 sqrt 2)) + sqrt(KL_sigma / 2): the overlap of two Gaussians of equal covariance
    a Mahalanobis distance d apart is exact, the change of the covariance is added by Pinsker's inequality. Never
    above PSPT Eq. 28-31 at the measured KL but for that second term: erf(sqrt(x)) is concave, so few states
    that change much weigh less than in the KL's mean.

    Args:
      shift: The distributions.

    Returns:
      Shape (n_steps,), in [0, 1].

    Raises:
      ValueError: if shapes differ, or a value is not finite or not positive where it must be.
    """
    given = (shift.mean, shift.stddev, shift.mean_after, shift.stddev_after)
    arrays = [np.asarray(array, dtype=np.float64) for array in given]
    before, spread, after, spread_after = arrays
    if len({array.shape for array in arrays}) != 1 or before.ndim != 2 or before.size == 0:
        raise ValueError(f"expected four arrays of one shape (n_steps, n_actions), got {[a.shape for a in arrays]}")
    if not all(np.isfinite(array).all() for array in arrays) or not ((spread > 0.0) & (spread_after > 0.0)).all():
        raise ValueError("means must be finite, standard deviations finite and > 0")
    distance = np.sqrt(np.square((after - before) / spread).sum(axis=1))
    ratio = np.square(spread / spread_after)
    kl_sigma = 0.5 * (ratio - 1.0 - np.log(ratio)).sum(axis=1)
    shifted = scipy.special.erf(distance / (2.0 * math.sqrt(2.0))) + np.sqrt(np.maximum(kl_sigma, 0.0) / 2.0)
    return np.asarray(np.minimum(shifted, 1.0))


# dp_u1 ----------------------------------------------------------------------------------------------------------------


def beyond_limit(mean: Array, stddev: Array, torque_limit: float | Array) -> Array:
    """P(|T_j| > T_lim) of each torque, 1 - F(T) + F(-T) with F the CDF of N(mean, stddev^2) (PSPT Eq. 22).

    Args:
      mean: Any shape, N·m.
      stddev: Same shape, N·m, > 0.
      torque_limit: A scalar, or what can be broadcast to that shape, N·m.
    """
    # Both tails as upper tails: 1 - F(T) would lose all digits where it is small.
    return np.asarray(
        scipy.special.ndtr((mean - torque_limit) / stddev) + scipy.special.ndtr((-torque_limit - mean) / stddev)
    )


def limit_move_risk(mean: Array, stddev: Array, torque_limit: float, next_limit: float) -> float:
    """dp_u1 for a limit that moves by a known, small step: E_s[erf(d(s) / (2 sqrt 2))].

    The paper counts every state in which a joint saturates as changed, though its torque changes by the step
    of the limit only. Here a shift of the applied torque by e_j = |T' - T| counts as a shift of the proposal's
    mean by e_j would: d(s)^2 = sum_j P_j(s) (e_j / sigma_j)^2, with P_j the probability that joint j saturates.

    ASSUMPTION, which the paper does not need: what a shift of a saturated torque does to safety is no more than
    what an equal shift of an unsaturated one does through a policy whose noise blurs it. It fails for a robot on
    which a few per cent of torque decide (static friction that just holds), and was tested only here.

    Args:
      mean: Policy mean torque per visited state, shape (n_steps, n_joints), N·m.
      stddev: Standard deviation, same shape, N·m, > 0.
      torque_limit: T, under which the states were visited, N·m, > 0.
      next_limit: T', N·m, > 0.

    Returns:
      In [0, 1].
    """
    low = min(torque_limit, next_limit)
    outside = beyond_limit(mean, stddev, low)
    step = abs(next_limit - torque_limit)
    distance = step * np.sqrt((np.minimum(outside, 1.0) / np.square(stddev)).sum(axis=1))
    return float(np.mean(scipy.special.erf(distance / (2.0 * math.sqrt(2.0)))))
