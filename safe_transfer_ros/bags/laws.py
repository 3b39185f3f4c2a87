# SPDX-License-Identifier: Apache-2.0
"""Laws of recorded actions, row by row: a recording may hold those of several agents, each with its own.

A row is of a tanh Gaussian where its bound is a number (a = bound tanh(x), x ~ N(mean, stddev^2)), else Gaussian, and
deterministic where the standard deviation is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def acted(drawn: NDArray[Any], bound: NDArray[Any]) -> NDArray[Any]:
    """Actions of draws x from N(mean, stddev^2).

    Args:
      drawn: x, shape (m, n_actions).
      bound: Largest |action| of a tanh Gaussian, same shape; NaN where the law is another.

    Returns:
      Same shape, in the actions' unit.
    """
    squashed = ~np.isnan(bound)
    return np.where(squashed, np.where(squashed, bound, 0.0) * np.tanh(drawn), drawn) if squashed.any() else drawn


def log_density(action: Array, mean: Array, stddev: Array, bound: Array) -> Array:
    """Logarithm of the density that actions had under the law proposed, summed over their dimensions.

    Of a tanh Gaussian log N(x; mean, stddev^2) - log |da/dx| with x = atanh(a / bound) and da/dx = bound (1 - (a /
    bound)^2) (SAC App. C).

    Args:
      action: Shape (m, n_actions), in the actions' unit.
      mean: Parameter of the law, same shape.
      stddev: Its other parameter, same shape; 0 of a deterministic action.
      bound: See `acted`.

    Returns:
      Shape (m,). NaN where there is none: a deterministic action, or one at the very bound.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        squashed = ~np.isnan(bound)
        share = np.where(squashed, action / bound, 0.0)
        x = np.where(squashed, np.arctanh(share), action)
        slope = np.where(squashed, np.log(bound) + np.log1p(-np.square(share)), 0.0)
        each = -0.5 * np.square((x - mean) / stddev) - np.log(stddev) - 0.5 * np.log(2.0 * np.pi) - slope
    total = each.sum(axis=1)
    return np.where(np.isfinite(total) & (stddev > 0.0).all(axis=1), total, np.nan)
