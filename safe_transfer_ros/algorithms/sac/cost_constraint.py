# SPDX-License-Identifier: Apache-2.0
"""Constraint on SAC's discounted costs: a critic of them, and the multiplier that weighs it (CST).

max_theta min_{lambda >= 0}  E[R] + alpha H - lambda (E[Q_c] - d)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from safe_transfer_ros.algorithms.cost_critic import CostCritic
from safe_transfer_ros.algorithms.lagrange import next_multiplier


@dataclass(frozen=True, kw_only=True)
class CostConstraintSettings:
    """Settings of the constraint.

    Attributes:
      limit: d, largest mean of Q_c; see `cost_critic.discounted_limit`.
      gamma: Discount of costs, in [0, 1).
      multiplier_rate: Of lambda, an update.
    """

    limit: float
    gamma: float = 0.99
    multiplier_rate: float = 1e-3

    def __post_init__(self) -> None:
        if not (self.limit > 0.0 and 0.0 <= self.gamma < 1.0 and self.multiplier_rate > 0.0):
            raise ValueError(f"expected limit > 0, gamma in [0, 1) and multiplier_rate > 0, got {self}")


class CostConstraint:
    """A critic of costs and its weight.

    Attributes:
      critic: Of the costs.
      multiplier: lambda.
    """

    def __init__(self, critic: CostCritic, settings: CostConstraintSettings) -> None:
        """Take a critic over."""
        self.critic, self.multiplier, self._settings = critic, 0.0, settings

    def penalty(self, observation: Tensor, action: Tensor) -> Tensor:
        """Lambda E[Q_c], a scalar with a graph through the action; lambda then takes its step along E[Q_c] - d."""
        value = self.critic.values(observation, action).mean()
        penalty = self.multiplier * value
        violation = value.item() - self._settings.limit
        self.multiplier = next_multiplier(self.multiplier, violation, self._settings.multiplier_rate)
        return penalty

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        return {"multiplier": self.multiplier, "critic": self.critic.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`."""
        self.multiplier = float(state["multiplier"])
        self.critic.restore(state["critic"])
