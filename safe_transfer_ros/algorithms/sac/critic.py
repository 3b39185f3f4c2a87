# SPDX-License-Identifier: Apache-2.0
"""Value of the next state under the entropy's reward, which the critics of SAC learn from."""

from __future__ import annotations

from torch import Tensor


def soft_value(values: Tensor, log_density: Tensor, temperature: Tensor) -> Tensor:
    """V(s) = min Q(s, a) - alpha log pi(a | s), a ~ pi (Haarnoja et al. 2018, Eq. 3).

    Args:
      values: Q of every member, shape (members, b).
      log_density: Shape (b,).
      temperature: alpha, a scalar.
    """
    return values.amin(dim=0) - temperature * log_density
