# SPDX-License-Identifier: Apache-2.0
"""Damage models: what an unsafe step may cost under a given torque limit (PSPT's d_max(T))."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True)
class DamageModel:
    """Damage of an unsafe step as a function of the torque limit: d_max(T), rising from 0 (PSPT).

    Attributes:
      damage: Torque limit (N·m) to damage, in the unit of D_safe.
      torque_limit: Its inverse.
      text: What it says, one line.
    """

    damage: Callable[[float], float]
    torque_limit: Callable[[float], float]
    text: str


DAMAGE_MODELS: Final = MappingProxyType(
    {
        "linear": DamageModel(
            damage=lambda limit: limit,
            torque_limit=lambda damage: damage,
            text="damage is proportional to the torque; D_safe in N·m (the paper's)",
        ),
        "quadratic": DamageModel(
            damage=lambda limit: limit * limit,
            torque_limit=math.sqrt,
            text="damage is proportional to the torque squared, as an impact's energy; D_safe in (N·m)^2",
        ),
    }
)
"""The damage models a run can name; one more entry adds one."""
