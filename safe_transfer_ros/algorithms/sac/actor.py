# SPDX-License-Identifier: Apache-2.0
"""Loss of SAC's actor."""

from __future__ import annotations

from torch import Tensor


def actor_loss(values: Tensor, log_density: Tensor, temperature: Tensor) -> Tensor:
    """E[alpha log pi(a | s) - min Q(s, a)], a drawn differentiably from pi (Haarnoja et al. 2018, Eq. 12).

    Args:
      values: Q of every member at these actions, shape (members, b).
      log_density: Shape (b,).
      temperature: alpha, a scalar without a graph.
    """
    return (temperature * log_density - values.min(dim=0).values).mean()  # the gradient of amin costs more
