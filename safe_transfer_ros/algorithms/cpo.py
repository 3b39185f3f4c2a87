# SPDX-License-Identifier: Apache-2.0
"""One step of constrained policy optimisation (CPO, Achiam et al. 2017).

  maximise g.x  subject to  c + b.x <= 0  and  x.H x / 2 <= delta

for the change x of the parameters: g and b are the gradients of the reward's and the cost's surrogate, H the Fisher
matrix, c how far the cost is over its limit. Its dual has two multipliers, lambda of the trust region and nu of the
cost, and is solved by hand; which of five cases it is depends on where the half-space of the cost lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.gaussian_network import Matrix, Parameters
from safe_transfer_ros.algorithms.single_thread import single_thread
from safe_transfer_ros.algorithms.trpo import TrpoBatch
from safe_transfer_ros.algorithms.trust_region import TrustRegion, TrustRegionSettings

# Below this share of its scale a number is a rounding error.
_NOTHING = 1e-9


class Case(IntEnum):
    """Position of the half-space of acceptable cost. The first is a recovery, the last two are TRPO's own step."""

    INFEASIBLE = 0
    """Over the limit, and no step of the region reaches it: lower the cost, whatever the reward."""
    RETURN = 1
    """Over the limit, within reach."""
    CUT = 2
    """Under the limit; some steps of the region would be over it."""
    FREE = 3
    """Under the limit; no step of the region would be over it."""
    NO_COST_GRADIENT = 4
    """No step changes the cost."""


@dataclass(frozen=True, kw_only=True)
class DualSolution:
    """The step x = reward_weight * H^-1 g - cost_weight * H^-1 b.

    Attributes:
      case: See `Case`.
      reward_weight: 1 / lambda, 0 in a recovery.
      cost_weight: nu / lambda.
    """

    case: Case
    reward_weight: float
    cost_weight: float


def solve_dual(q: float, r: float, s: float, c: float, max_kl: float) -> DualSolution:
    """Solve the problem above by its dual, in closed form.

    With lambda given, nu = max(0, (r + lambda c) / s). Where that is 0 lambda = sqrt(q / (2 delta)), TRPO's; else
    lambda = sqrt(A / B) with A = q - r^2 / s and B = 2 delta - c^2 / s. The dual is concave: if TRPO's own step
    keeps the constraint it is the answer, if not the constraint is active.

    Args:
      q: g H^-1 g, >= 0.
      r: g H^-1 b.
      s: b H^-1 b, >= 0.
      c: How far the cost is over its limit, in the units of b.x.
      max_kl: delta, > 0.

    Raises:
      ValueError: if an argument is out of range or not finite.
    """
    if not (q >= 0.0 and s >= 0.0 and max_kl > 0.0 and math.isfinite(q + r + s + c + max_kl)):
        raise ValueError(f"expected finite numbers with q, s >= 0 and max_kl > 0, got {q}, {r}, {s}, {c}, {max_kl}")
    radius = math.sqrt(2.0 * max_kl)
    free = radius / math.sqrt(q) if q > 0.0 else 0.0  # 1 / lambda of TRPO's own step
    reach = radius * math.sqrt(s)  # how far any step can change the cost
    if reach <= _NOTHING * abs(c) or s == 0.0:
        # A cost that no step changes: nothing can be done if it is too high already.
        return DualSolution(case=Case.NO_COST_GRADIENT, reward_weight=free if c < 0.0 else 0.0, cost_weight=0.0)
    if c < 0.0 and reach <= -c:
        return DualSolution(case=Case.FREE, reward_weight=free, cost_weight=0.0)
    if c >= 0.0 and reach < c:
        return DualSolution(case=Case.INFEASIBLE, reward_weight=0.0, cost_weight=radius / math.sqrt(s))
    case = Case.CUT if c < 0.0 else Case.RETURN
    if c + free * r <= 0.0:
        return DualSolution(case=case, reward_weight=free, cost_weight=0.0)
    a, b = q - r * r / s, 2.0 * max_kl - c * c / s
    # Where g and b are parallel all reward lies along the cost: straight to the limit, and no further.
    weight = math.sqrt(max(b, 0.0) / a) if a > _NOTHING * q else 0.0
    return DualSolution(case=case, reward_weight=weight, cost_weight=(weight * r + c) / s)


@dataclass(frozen=True, kw_only=True)
class CpoUpdate:
    """Result of an update.

    Attributes:
      parameters: The new ones, or copies of the old ones where nothing was accepted.
      kl: KL(old || new) over all states, summed over dimensions; 0 where nothing was accepted.
      case: Of the dual.
      reward_change: Of the reward's surrogate, in units of the advantage.
      cost_change: Of the cost's surrogate.
      accepted: Whether the parameters changed.
    """

    parameters: Parameters
    kl: float
    case: Case
    reward_change: float
    cost_change: float
    accepted: bool


def cpo_update(
    parameters: Mapping[str, NDArray[np.float32]],
    batch: TrpoBatch,
    cost_advantages: Matrix,
    cost_excess: float,
    settings: TrustRegionSettings,
    seed: int,
) -> CpoUpdate:
    """Improve the reward's surrogate within the trust region and the constraint, or return to the constraint.

    Args:
      parameters: As `trpo.trpo_update` takes them.
      batch: Steps sampled under these parameters.
      cost_advantages: A_C of the same steps, shape (steps,).
      cost_excess: How far the cost is over its limit, a step: (J_C - d) divided by the mean length of an episode.
      settings: See `TrustRegionSettings`.
      seed: Chooses the states of the Fisher estimate; equal inputs and seeds give equal parameters.

    Returns:
      The update: kl <= max_kl; the cost's surrogate stays under the limit, or does not rise if it is over it.

    Raises:
      ValueError: if shapes disagree or a value is not finite.
    """
    costs = np.ascontiguousarray(cost_advantages, dtype=np.float32)
    if costs.shape != batch.advantages.shape or not np.isfinite(costs).all() or not math.isfinite(cost_excess):
        raise ValueError(f"expected {batch.advantages.shape} finite cost advantages, got {costs.shape}, {cost_excess}")
    with single_thread():
        region = TrustRegion(parameters, batch.observations, batch.actions, settings, seed)
        return _update(region, torch.tensor(batch.advantages), torch.tensor(costs), cost_excess)


def _update(region: TrustRegion, rewards: torch.Tensor, costs: torch.Tensor, excess: float) -> CpoUpdate:
    reward_gradient, cost_gradient = region.gradient(rewards), region.gradient(costs)
    along_reward, along_cost = region.natural(reward_gradient), region.natural(cost_gradient)
    solution = solve_dual(
        max(0.0, float(reward_gradient @ along_reward)),
        float(reward_gradient @ along_cost),
        max(0.0, float(cost_gradient @ along_cost)),
        excess,
        region.settings.max_kl,
    )

    def changes(ratio: torch.Tensor) -> tuple[float, float]:
        change = (ratio - 1.0).double()
        return float((change * rewards).mean()), float((change * costs).mean())

    def improves(ratio: torch.Tensor) -> bool:
        reward_change, cost_change = changes(ratio)
        kept = cost_change <= max(-excess, 0.0)
        return bool(np.isfinite(reward_change)) and kept and (reward_change > 0.0 or excess >= 0.0)

    full = solution.reward_weight * along_reward - solution.cost_weight * along_cost
    step = region.search(full, improves) if bool(full.any()) else region.stay()
    reward_change, cost_change = changes(step.ratio)
    return CpoUpdate(
        parameters=step.parameters,
        kl=step.kl,
        case=solution.case,
        reward_change=reward_change,
        cost_change=cost_change,
        accepted=step.accepted,
    )
