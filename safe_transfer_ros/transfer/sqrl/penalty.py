# SPDX-License-Identifier: Apache-2.0
"""Weight of the safety critic in the actor's loss: nu by dual ascent (SQRL Eq. 4), or along a ramp.

SQRL Eq. 4: max_pi E[Q + alpha (H - H_target)] - nu E[Q_safe - epsilon], alpha and nu >= 0. The gradient goes through
the action that Q_safe judges and reaches the policy; in the code of SQRL's authors it is stopped before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from safe_transfer_ros.algorithms.lagrange import next_multiplier

Probability = Callable[[Tensor, Tensor], Tensor]
"""Q_safe (b,) of observations (b, k) and actions (b, n)."""


class RiskPenalty(Protocol):
    """An `algorithms.sac.agent.ActorPenalty` with a weight.

    Attributes:
      multiplier: The weight as it is.
    """

    multiplier: float

    def __call__(self, observation: Tensor, action: Tensor) -> Tensor:
        """Weighted risk, a scalar; the weight then takes its step."""
        ...

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        ...


class DualAscent:
    """nu E[Q_safe - epsilon]; nu grows while the policy, without its mask, is riskier than epsilon on the average."""

    def __init__(self, probability: Probability, *, epsilon: float, rate: float) -> None:
        """Start from nu = 0.

        Args:
          probability: Of the safety critic as it is.
          epsilon: Accepted risk.
          rate: Of nu, > 0.
        """
        self._probability, self._epsilon, self._rate, self.multiplier = probability, epsilon, rate, 0.0

    def __call__(self, observation: Tensor, action: Tensor) -> Tensor:
        """See `RiskPenalty`."""
        excess = self._probability(observation, action).mean() - self._epsilon
        penalty = self.multiplier * excess
        self.multiplier = next_multiplier(self.multiplier, excess.item(), self._rate)
        return penalty

    def state(self) -> dict[str, Any]:
        """See `RiskPenalty`."""
        return {"multiplier": self.multiplier}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `RiskPenalty`."""
        self.multiplier = float(state["multiplier"])


class Weighted:
    """Weight E[Q_safe] with a weight that others set, between epochs."""

    def __init__(self, probability: Probability) -> None:
        """Start with 0.

        Args:
          probability: Of the safety critic as it is.
        """
        self._probability, self.multiplier = probability, 0.0

    def __call__(self, observation: Tensor, action: Tensor) -> Tensor:
        """See `RiskPenalty`."""
        return self.multiplier * self._probability(observation, action).mean()

    def state(self) -> dict[str, Any]:
        """See `RiskPenalty`."""
        return {"multiplier": self.multiplier}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `RiskPenalty`."""
        self.multiplier = float(state["multiplier"])


class Ramp:
    """w E[Q_safe], w from 0 to its full value over a number of updates and constant then (the risk-sensitive rival)."""

    def __init__(self, probability: Probability, *, weight: float = 10.0, updates: int = 10_000) -> None:
        """Start from 0.

        Args:
          probability: Of the safety critic as it is.
          weight: Full value of w (authors' code: 10).
          updates: Until it is reached (authors' code: 10,000 steps).
        """
        self._probability, self._step, self._weight, self.multiplier = probability, weight / updates, weight, 0.0

    def __call__(self, observation: Tensor, action: Tensor) -> Tensor:
        """See `RiskPenalty`."""
        penalty = self.multiplier * self._probability(observation, action).mean()
        self.multiplier = min(self._weight, self.multiplier + self._step)
        return penalty

    def state(self) -> dict[str, Any]:
        """See `RiskPenalty`."""
        return {"multiplier": self.multiplier}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `RiskPenalty`."""
        self.multiplier = float(state["multiplier"])
