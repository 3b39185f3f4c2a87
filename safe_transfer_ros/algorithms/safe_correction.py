# SPDX-License-Identifier: Apache-2.0
"""Safe agent that stays as close to a baseline as safety allows (DARL, Zhang et al. 2022).

  min E ||pi_S(s) - pi_B(s)||^2   subject to   E[Q_I(s, pi_S(s))] >= Gamma

Q_I foretells discounted steps that are SAFE: I is 1 where a state is safe, the opposite of a cost. Gamma and the
multiplier's step are in `algorithms.lagrange`.
"""

from __future__ import annotations

from torch import Tensor

from safe_transfer_ros.algorithms.double_q import bellman_target


def safe_indicator(cost: Tensor) -> Tensor:
    """I: 1 where the state that a step led to is SAFE, 0 where it has a cost (DARL Eq. 2), shape (b,)."""
    return (cost <= 0.0).to(cost.dtype)


def safety_target(cost: Tensor, terminated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """Target of the safe critics: I + (1 - terminated) gamma min Q'(s', phi'(s')), shape (b,) (DARL).

    What ends an episode ends its safe steps, too: a fall costs all that were to come. A time limit ends nothing.

    Args:
      cost: Of the state that each step led to, shape (b,).
      terminated: 1 where the episode terminated there, shape (b,).
      next_values: Q' of every member at the target actor's next action, shape (members, b).
      gamma: Discount of safe steps, in [0, 1).
    """
    return bellman_target(safe_indicator(cost), terminated, next_values.amin(dim=0), gamma)


def correction_loss(action: Tensor, baseline_action: Tensor, safety: Tensor, multiplier: float) -> Tensor:
    """E[||pi_S - pi_B||^2 - lambda Q_I], what the safe actor descends (DARL).

    Args:
      action: Of the safe actor, as fractions of their bound, shape (b, n).
      baseline_action: Of the baseline in the same states, likewise.
      safety: Q_I at `action`, shape (b,).
      multiplier: lambda, >= 0.
    """
    return (action - baseline_action).square().sum(dim=-1).mean() - multiplier * safety.mean()
