# SPDX-License-Identifier: Apache-2.0
"""PSPT's formulas for the torque limit, as pure functions; governor.py applies them.

Everything here refuses what is not a number: a limit computed from a NaN would be no limit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy  # scipy.special loads at its first use: most processes need no more of this file than `clamp`

from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS, DamageModel
from safe_transfer_ros.safety.limit.rules import (
    beyond_limit,
)

Array = npt.NDArray[np.float64]


def clamp(torque: Array, torque_limit: float | Array) -> Array:
    """T' = max(min(T, T_lim), -T_lim) (PSPT Eq. 11). Any bounded quantity, a velocity say, fits as well.

    Args:
      torque: Shape (..., n_joints), N·m, finite.
      torque_limit: One limit for all joints, N·m, >= 0: a scalar, or shape (...) with one per vector.

    Returns:
      Clamped torque, same shape, N·m.

    Raises:
      ValueError: if a value is not finite, or a limit negative.
    """
    limit = np.asarray(torque_limit, dtype=np.float64)[..., None]
    if not np.isfinite(torque).all() or not (limit >= 0.0).all():
        raise ValueError("clamp needs finite torques and limits >= 0 N·m; a NaN is refused, not clamped")
    return np.asarray(np.maximum(np.minimum(torque, limit), -limit))


def limit_change_risk(mean: Array, stddev: Array, torque_limit: float | Array, joints: str = "mean") -> float:
    """dp_u1: probability that changing the limit changes the applied torque (PSPT Eq. 22-23).

    For one joint 1 - F(T) + F(-T), with F the CDF of N(mean, stddev^2); used for lower limits as for higher
    ones.

    Args:
      mean: Policy mean torque per visited state, shape (n_steps, n_joints), N·m.
      stddev: Standard deviation, same shape, N·m, > 0.
      torque_limit: Limit the states were visited under, N·m, > 0: a scalar, or shape (n_steps,).
      joints: "any": the action changes if ANY joint lies outside, 1 - prod_j P(|T_j| < T), the exact union.
        "mean": P(outside) averaged over joints, the paper's scalar reading; smaller than the union.

    Returns:
      Mean over states, in [0, 1].

    Raises:
      ValueError: if shapes differ, there is no state, or a value is not finite or not positive where it must
        be.
    """
    mean = np.asarray(mean, dtype=np.float64)
    stddev = np.asarray(stddev, dtype=np.float64)
    limit = np.asarray(torque_limit, dtype=np.float64)
    if mean.ndim != 2 or mean.size == 0 or mean.shape != stddev.shape or limit.shape not in ((), mean.shape[:1]):
        raise ValueError(
            "expected mean and stddev of one shape (n_steps, n_joints), not empty, and a torque_limit that "
            f"is a scalar or (n_steps,); got {mean.shape}, {stddev.shape} and {limit.shape}"
        )
    require(bool(np.isfinite(mean).all()), "every mean must be finite")
    require(bool((np.isfinite(stddev) & (stddev > 0.0)).all()), "every stddev must be finite and > 0")
    require(bool((np.isfinite(limit) & (limit > 0.0)).all()), "every torque_limit must be finite and > 0")
    outside = beyond_limit(mean, stddev, limit[..., None])
    if joints == "mean":
        return float(np.mean(outside))
    if joints == "any":
        with np.errstate(divide="ignore"):  # log(0) where a joint is outside for certain: the product is then 0
            return float(np.mean(-np.expm1(np.log1p(-np.minimum(outside, 1.0)).sum(axis=1))))
    raise ValueError(f"joints must be 'mean' or 'any', got {joints!r}")


def policy_change_risk(kl: float) -> float:
    """dp_u2: probability that a policy update changes the action (PSPT Eq. 24, 28-31).

    1 - AI with AI = 2 Phi(-sqrt(kl / 2)), the overlap of two Gaussians of equal covariance in any dimension.

    Args:
      kl: KL divergence SUMMED over action dimensions, nats, >= 0. Rounding below zero (-1e-9) counts as 0.

    Returns:
      Total variation distance, in [0, 1): kl 0.05 gives 0.1256.

    Raises:
      ValueError: if kl is not finite or negative.
    """
    require(math.isfinite(kl) and kl >= -1e-9, f"kl must be finite and >= 0, got {kl}")
    # 1 - 2 Phi(-x) = erf(x / sqrt 2), without the difference of nearly equal numbers.
    return float(scipy.special.erf(math.sqrt(max(kl, 0.0)) / 2.0))


def divergence_of(risk: float) -> float:
    """Divergence, nats, whose dp_u2 is `risk`: the inverse of `policy_change_risk`, finite at 1 too.

    Raises:
      ValueError: if the risk is not in [0, 1].
    """
    require(0.0 <= risk <= 1.0, f"risk must be in [0, 1], got {risk}")
    return float((2.0 * scipy.special.erfinv(min(risk, 1.0 - 1e-15))) ** 2)


def predicted_unsafety_rate(unsafety_rate: float, limit_change: float, policy_change: float) -> float:
    """p'_u = min(1, p_u + dp_u1 + dp_u2) (PSPT Eq. 32).

    Args:
      unsafety_rate: p_u measured over the iteration's rollouts, in [0, 1].
      limit_change: dp_u1, in [0, 1]; 0 in ablation v2.
      policy_change: dp_u2, in [0, 1]; 0 in ablation v3.

    Raises:
      ValueError: if one is not in [0, 1].
    """
    rates = {"unsafety_rate": unsafety_rate, "limit_change": limit_change, "policy_change": policy_change}
    for name, rate in rates.items():
        require(0.0 <= rate <= 1.0, f"{name} must be in [0, 1], got {rate}")
    return min(1.0, unsafety_rate + limit_change + policy_change)


def next_torque_limit(
    torque_limit: float,
    predicted_rate: float,
    *,
    d_safe: float,
    floor: float,
    t_max: float,
    growth: float = 1.05,
    damage: DamageModel = DAMAGE_MODELS["linear"],
) -> float:
    """T = D_safe / p'_u, at most `growth` times the limit in force, within [floor, t_max] (PSPT Eq. 16).

    Decreases are immediate.

    Args:
      torque_limit: Limit in force, N·m, in [floor, t_max].
      predicted_rate: p'_u, in [0, 1].
      d_safe: Bound on the expected damage p'_u * d(T), > 0.
      floor: Lowest limit, N·m, > 0; at most the T with d(T) = d_safe, or it would hide what the bound asks for.
      t_max: Highest limit, N·m.
      growth: Largest factor per iteration, >= 1.
      damage: d_max(T); linear by default.

    Returns:
      Limit of the next iteration, N·m.

    Raises:
      ValueError: if an argument is not finite or out of its range.
    """
    require(0.0 <= predicted_rate <= 1.0, f"predicted_rate must be in [0, 1], got {predicted_rate}")
    require(0.0 < d_safe < math.inf, f"d_safe must be finite and > 0, got {d_safe}")
    require(0.0 < floor <= t_max < math.inf, f"expected 0 < floor <= t_max, got {floor} and {t_max} N·m")
    require(
        floor <= damage.torque_limit(d_safe), f"floor {floor} N·m is above D_safe {d_safe}: the bound would not hold"
    )
    require(1.0 <= growth < math.inf, f"growth must be finite and >= 1, got {growth}")
    require(floor <= torque_limit <= t_max, f"torque_limit {torque_limit} is not in [{floor}, {t_max}] N·m")
    wanted = min(growth * torque_limit, t_max)
    if predicted_rate * damage.damage(wanted) > d_safe:  # so predicted_rate > 0
        wanted = min(wanted, damage.torque_limit(d_safe / predicted_rate))
    return max(wanted, floor)


def require(holds: bool, otherwise: str) -> None:
    """Refuse what does not hold.

    Raises:
      ValueError: with `otherwise`, if it does not hold.
    """
    if not holds:
        raise ValueError(otherwise)
