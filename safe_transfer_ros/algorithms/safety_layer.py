# SPDX-License-Identifier: Apache-2.0
"""Safety layer: the least correction of an action that keeps one linearised constraint (Dalal et al. 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def corrected(
    action: Array, gradient: Array, cost: Array, limit: float, *, bound: Array | None = None
) -> tuple[Array, Flags]:
    """Solve min |a' - a|^2 with c + g (a' - a) <= limit, in closed form (Dalal et al. Eq. 6-7).

    a' = a - max(0, (c - limit) / |g|^2) g.

    Args:
      action: a, shape (b, n).
      gradient: g, derivative of the cost by the action, shape (b, n).
      cost: c, the cost foretold of `action` itself, shape (b,).
      limit: Largest cost accepted.
      bound: What is beyond is cut from the corrected action, shape (n,); None: nothing is.

    Returns:
      The corrected actions, shape (b, n), and whether each keeps the constraint, to first order and after the cut,
      shape (b,). Where the cost does not depend on the action, or the bound is in the way, it may not: who acts must
      not take such an action for a safe one.

    Raises:
      ValueError: if shapes differ, or a value is not finite.
    """
    action, gradient, cost = (np.asarray(values, dtype=np.float64) for values in (action, gradient, cost))
    if action.ndim != 2 or gradient.shape != action.shape or cost.shape != action.shape[:1]:
        raise ValueError(
            "expected actions (b, n), gradients (b, n) and costs (b,), "
            f"got {action.shape}, {gradient.shape} and {cost.shape}"
        )
    if not (np.isfinite(action).all() and np.isfinite(gradient).all() and np.isfinite(cost).all()):
        raise ValueError("an action, a gradient or a cost is not finite: the critic or the policy has diverged")
    if not np.isfinite(limit):
        raise ValueError(f"expected a finite limit, got {limit}")
    steepness = np.square(gradient).sum(axis=1)
    excess = np.maximum(0.0, cost - limit)
    # A gradient whose square underflows is none.
    multiplier = np.divide(excess, steepness, out=np.zeros_like(excess), where=steepness > np.finfo(np.float64).tiny)
    found = action - multiplier[:, None] * gradient
    if bound is not None:
        found = np.clip(found, -bound, bound)
    foretold = cost + (gradient * (found - action)).sum(axis=1)
    # The sum rounds: a constraint met exactly must not be called broken for its last digits.
    rounding = 1e-9 * (1.0 + np.abs(cost) + abs(limit))
    return found, foretold <= limit + rounding
