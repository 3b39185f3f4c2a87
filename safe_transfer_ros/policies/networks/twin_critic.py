# SPDX-License-Identifier: Apache-2.0
"""Q functions side by side."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from safe_transfer_ros.policies.networks.stacked import StackedLinear, StackedMlp


class TwinCritic(StackedMlp):
    """Q(o, a) of every member, ReLU layers; two members are the twins of TD3 and SAC."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: tuple[int, ...],
        rng: np.random.Generator,
        *,
        members: int = 2,
    ) -> None:
        """Draw the parameters, each member its own.

        Args:
          observation_size: Length of an observation.
          action_size: Length of an action.
          hidden: Widths of the hidden layers.
          rng: Draws them.
          members: How many.

        Raises:
          ValueError: if a size is not positive.
        """
        if min(observation_size, action_size, *hidden, members) < 1:
            raise ValueError(
                f"expected sizes and members of at least 1, got {observation_size}, {action_size}, {hidden}, {members}"
            )
        sizes = (observation_size + action_size, *hidden, 1)
        super().__init__(StackedLinear.drawn(members, *pair, rng) for pair in itertools.pairwise(sizes))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q of every member, shape (members, b).

        Args:
          observation: Shape (b, k).
          action: As a fraction of its bound, shape (b, n).
        """
        return self.values(torch.cat((observation, action), dim=-1))

    def first(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q of the first member alone, shape (b,); see `forward`."""
        return self.first_values(torch.cat((observation, action), dim=-1))
