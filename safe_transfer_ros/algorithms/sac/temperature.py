# SPDX-License-Identifier: Apache-2.0
"""Temperature of SAC: weight of the entropy, which keeps it near its target (Haarnoja et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """alpha > 0, learned as its logarithm."""

    def __init__(self, initial: float = 1.0) -> None:
        """Start from a value.

        Raises:
          ValueError: if it is not positive.
        """
        super().__init__()
        if not 0.0 < initial < math.inf:
            raise ValueError(f"expected a temperature above 0, got {initial}")
        self.log = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        """Alpha, a scalar."""
        return self.log.exp()


def temperature_loss(temperature: Tensor, log_density: Tensor, target_entropy: float) -> Tensor:
    """-alpha E[log pi(a | s) + H_target]: alpha grows while the entropy is below its target (Haarnoja Eq. 18).

    Args:
      temperature: alpha, a scalar.
      log_density: Of actions as fractions of their bound, shape (b,); no gradient goes through it.
      target_entropy: H_target.
    """
    return -temperature * (log_density.detach().mean() + target_entropy)
