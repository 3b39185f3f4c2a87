# SPDX-License-Identifier: Apache-2.0
"""The Lagrange multiplier of a constraint on failures, and the advantages it makes (CSC Eq. 8-9; TRPO-Lagrangian).

DARL constrains safety instead, by critics whose cost is 1 where a state is SAFE: its violation is Gamma - Q.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def next_multiplier(multiplier: float, violation: float, rate: float) -> float:
    """Lambda <- max(0, lambda + eta * violation): it grows while the constraint is violated.

    CSC prints the opposite sign (Eq. 9 and 57); descent on its own Lagrangian gives this one.

    Args:
      multiplier: lambda, >= 0.
      violation: How far the constrained quantity is over its limit; negative where the constraint holds.
      rate: eta (CSC: 4e-2), > 0.

    Raises:
      ValueError: if an argument is out of range or not finite.
    """
    if not (multiplier >= 0.0 and rate > 0.0 and math.isfinite(multiplier + violation + rate)):
        raise ValueError(f"expected multiplier >= 0, rate > 0, all finite; got {multiplier}, {violation}, {rate}")
    return max(0.0, multiplier + rate * violation)


def softplus(variable: float) -> float:
    """Lambda = log(1 + exp(v)) > 0, a multiplier as CST has it."""
    return max(variable, 0.0) + math.log1p(math.exp(-abs(variable)))


def next_softplus_variable(variable: float, violation: float, rate: float) -> float:
    """V <- v + eta * sigmoid(v) * violation: ascent on lambda * violation, lambda = softplus(v) (CST).

    Args:
      variable: v, of which the multiplier is the softplus.
      violation: How far the constrained quantity is over its limit; negative where the constraint holds.
      rate: eta, > 0.

    Raises:
      ValueError: if an argument is out of range or not finite.
    """
    if not (rate > 0.0 and math.isfinite(variable + violation + rate)):
        raise ValueError(f"expected rate > 0, all finite; got {variable}, {violation}, {rate}")
    slope = 0.5 * (1.0 + math.tanh(0.5 * variable))
    return variable + rate * slope * violation


def csc_violation(cost_advantages: Array, *, failure_rate: float, chi: float, gamma: float) -> float:
    """E[A_C] / (1 - gamma) - (chi - V_C): how far CSC's constraint is violated.

    Args:
      cost_advantages: A_C, any shape; their mean is what the new policy is foretold to add to V_C, a step.
      failure_rate: V_C, mean failures per episode of the last epoch.
      chi: Failures per episode that are accepted.
      gamma: Discount, in [0, 1).
    """
    return float(np.mean(cost_advantages)) / (1.0 - gamma) - (chi - failure_rate)


def penalised_advantages(reward_advantages: Array, cost_advantages: Array, multiplier: float, gamma: float) -> Array:
    """A_R - lambda' A_C with lambda' = lambda / (1 - gamma) (CSC).

    Args:
      reward_advantages: A_R, any shape.
      cost_advantages: A_C, the same shape.
      multiplier: lambda, >= 0.
      gamma: Discount of the costs, in [0, 1).
    """
    return np.asarray(reward_advantages - multiplier / (1.0 - gamma) * cost_advantages)


def required_safety(horizon: int, gamma: float, tolerance: float) -> float:
    """Gamma: least mean of DARL's safe critic, discounted future steps that are safe (DARL).

    (1 - delta) (T (1 - g) - g (1 - g^T)) / (T (1 - g)^2): the mean over an episode's steps of the discounted number of
    steps that are left, less the share that may be unsafe.

    Args:
      horizon: T, steps of an episode, >= 1.
      gamma: g, discount of the safe critic, in [0, 1).
      tolerance: delta, share of them that may be unsafe, in [0, 1].

    Raises:
      ValueError: if an argument is out of range.
    """
    if not (horizon >= 1 and 0.0 <= gamma < 1.0 and 0.0 <= tolerance <= 1.0):
        raise ValueError(
            f"expected horizon >= 1, gamma in [0, 1), tolerance in [0, 1]; got {horizon}, {gamma}, {tolerance}"
        )
    left = (horizon * (1.0 - gamma) - gamma * (1.0 - gamma**horizon)) / (horizon * (1.0 - gamma) ** 2)
    return (1.0 - tolerance) * left
