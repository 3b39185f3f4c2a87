# SPDX-License-Identifier: Apache-2.0
"""The numbers of an iteration that its torque limit follows from; whoever reports them inherits the fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IterationRisk:
    """Unsafety of an iteration, and the prediction for the next one.

    Attributes:
      iteration: The iteration the evidence is from.
      unsafety_rate: p_u, share of decision periods with a state beyond the unsafety limit, or a missing one.
      limit_change_risk: dp_u1 (PSPT Eq. 22-23), also where an ablation does not count it.
      policy_change_risk: dp_u2 (PSPT Eq. 28-31), also where an ablation does not count it.
      predicted_unsafety_rate: p'_u for the next iteration (PSPT Eq. 32).
      torque_limit: Limit in force during the iteration, N·m.
      expected_damage: Mean of d(limit in force) over decision periods with an unsafe state, p_u * d(torque_limit)
        where the limit was in force throughout; to be held against D_safe.
    """

    iteration: int
    unsafety_rate: float
    limit_change_risk: float
    policy_change_risk: float
    predicted_unsafety_rate: float
    torque_limit: float
    expected_damage: float


@dataclass(frozen=True, kw_only=True)
class LimitStep(IterationRisk):
    """One iteration's evidence and its consequence.

    Attributes:
      next_torque_limit: Limit of the next iteration, N·m.
    """

    next_torque_limit: float
