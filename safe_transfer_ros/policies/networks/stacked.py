# SPDX-License-Identifier: Apache-2.0
"""Networks side by side: each layer of all of them is one batched matrix product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from safe_transfer_ros.policies.networks.layers import uniform


class StackedLinear(nn.Module):
    """A linear layer of every member.

    Parameters are weight (members, in, out) and bias (members, out). The other way about, as files of safety critics
    have them, every gradient of a weight would have to be turned.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Take parameters over."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    @classmethod
    def drawn(cls, members: int, inputs: int, outputs: int, rng: np.random.Generator) -> StackedLinear:
        """Draw a layer, each member its own; see `layers.uniform`."""
        layer = cls(torch.empty(members, inputs, outputs), torch.empty(members, outputs))
        for parameter in (layer.weight, layer.bias):
            uniform(parameter, inputs, rng)
        return layer

    def forward(self, values: Tensor) -> Tensor:
        """Outputs (members, b, out) for inputs (members, b, in)."""
        return torch.baddbmm(self.bias.unsqueeze(1), values, self.weight)


class StackedMlp(nn.Module):
    """Multi-layer perceptrons side by side: ReLU layers, one number each.

    Parameters are layer.L.weight and layer.L.bias, see `StackedLinear`.

    Attributes:
      members: How many.
    """

    def __init__(self, layers: Iterable[StackedLinear]) -> None:
        """Take layers over; the last has one output."""
        super().__init__()
        self.layer = nn.ModuleList(layers)
        self.members = len(self._layers()[0].weight)

    def values(self, inputs: Tensor) -> Tensor:
        """Outputs of every member, shape (members, b), for inputs (b, in) that all of them get."""
        *below, last = self._layers()
        values = inputs.expand(self.members, *inputs.shape)
        for layer in below:
            values = torch.relu_(layer(values))
        # A single output: as a product of matrices its gradient takes several times as long.
        return (values * last.weight.transpose(1, 2)).sum(dim=-1) + last.bias

    def first_values(self, inputs: Tensor) -> Tensor:
        """Outputs of the first member alone, shape (b,); see `values`."""
        *below, last = self._layers()
        values = inputs
        for layer in below:
            values = torch.relu_(torch.addmm(layer.bias[0], values, layer.weight[0]))
        return (values * last.weight[0].T).sum(dim=-1) + last.bias[0]

    def _layers(self) -> list[StackedLinear]:
        return cast(list[StackedLinear], list(self.layer))
