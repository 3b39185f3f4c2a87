# SPDX-License-Identifier: Apache-2.0
"""Recalibration of a critic by what followed its risks: Platt scaling, its logit times a slope plus an offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

Array = NDArray[np.float64]

_LEAST = 1e-6  # risks are taken as at least this far from 0 and 1


@dataclass(frozen=True, kw_only=True)
class PlattScaling:
    """Map of risks onto the probabilities that were found to follow them; monotone, and the identity by default.

    Attributes:
      slope: Of the logit, > 0.
      offset: Added to it; negative where the critic over-estimates.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, risk: Array) -> Array:
        """Probabilities for risks of any shape."""
        return np.asarray(expit(self.slope * logit(np.clip(risk, _LEAST, 1.0 - _LEAST)) + self.offset))

    def folded(self, parameters: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Parameters of the critic whose members give these probabilities: the map becomes part of the last layer."""
        last = len(parameters) // 2 - 1
        weight, bias = f"layer.{last}.weight", f"layer.{last}.bias"
        slope, offset = np.float32(self.slope), np.float32(self.offset)
        return {**parameters, weight: parameters[weight] * slope, bias: parameters[bias] * slope + offset}


def platt_scaling(risk: Array, outcome: Array, *, episodes: int) -> PlattScaling:
    """Fit to risks and outcomes by maximum likelihood; an episode counts as one observation: its steps share a fate.

    Unit normal priors of the logarithm of the slope and of the offset keep the map near the identity where few episodes
    tell.

    Args:
      risk: In [0, 1], shape (n,).
      outcome: Discounted failure that followed each, in [0, 1], shape (n,).
      episodes: That these are from.

    Raises:
      ValueError: if shapes disagree or a number is out of range.
    """
    if risk.shape != outcome.shape or risk.ndim != 1 or not ((outcome >= 0.0) & (outcome <= 1.0)).all():
        raise ValueError(f"expected a risk and an outcome in [0, 1] per step, got {risk.shape} and {outcome.shape}")
    if not len(risk):
        return PlattScaling()
    score = logit(np.clip(risk, _LEAST, 1.0 - _LEAST))

    def loss(at: Array) -> tuple[float, Array]:
        slope = np.exp(at[0])
        scaled = slope * score + at[1]
        error = expit(scaled) - outcome
        # -y log p - (1 - y) log (1 - p) = log(1 + e^z) - y z
        likelihood = episodes * float(np.mean(np.logaddexp(0.0, scaled) - outcome * scaled))
        gradient = episodes * np.array([np.mean(error * slope * score), np.mean(error)])
        return likelihood + 0.5 * float(at @ at), gradient + at

    found = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    return PlattScaling(slope=float(np.exp(found[0])), offset=float(found[1]))
