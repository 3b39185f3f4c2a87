# SPDX-License-Identifier: Apache-2.0
"""Q functions side by side: each layer of all of them is one batched matrix product."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from safe_transfer_ros.policies.networks.layers import uniform


class TwinCritic(nn.Module):
    """Q(o, a) of every member, ReLU layers; two members are the twins of TD3 and SAC.

    Parameters are layer.L.weight (members, in, out) and layer.L.bias (members, out). The other way about, as a safety
    critic has them, every gradient of a weight would have to be turned.

    Attributes:
      members: How many.
    """

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
        super().__init__()
        if min(observation_size, action_size, *hidden, members) < 1:
            raise ValueError(
                f"expected sizes and members of at least 1, got {observation_size}, {action_size}, {hidden}, {members}"
            )
        self.members = members
        sizes = (observation_size + action_size, *hidden, 1)
        self.layer = nn.ModuleList(
            _Layer(members, inputs, outputs, rng) for inputs, outputs in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q of every member, shape (members, b).

        Args:
          observation: Shape (b, k).
          action: As a fraction of its bound, shape (b, n).
        """
        inputs = torch.cat((observation, action), dim=-1)
        values = inputs.expand(self.members, *inputs.shape)
        *below, last = cast(list[_Layer], list(self.layer))
        for layer in below:
            values = torch.relu_(layer(values))
        # A single output: as a product of matrices its gradient takes several times as long.
        return (values * last.weight.transpose(1, 2)).sum(dim=-1) + last.bias

    def first(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q of the first member alone, shape (b,); see `forward`."""
        values = torch.cat((observation, action), dim=-1)
        *below, last = cast(list[_Layer], list(self.layer))
        for layer in below:
            values = torch.relu_(torch.addmm(layer.bias[0], values, layer.weight[0]))
        return (values * last.weight[0].T).sum(dim=-1) + last.bias[0]


class _Layer(nn.Module):
    """A linear layer of every member."""

    weight: Tensor
    bias: Tensor

    def __init__(self, members: int, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(members, outputs))
        for parameter in (self.weight, self.bias):
            uniform(parameter, inputs, rng)

    def forward(self, values: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), values, self.weight)
