# SPDX-License-Identifier: Apache-2.0
"""Networks that see and remember: an encoder of sequences of observations, and an actor on top of it (CST)."""

from __future__ import annotations

import itertools
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from safe_transfer_ros.policies.convolution import LAYERS, convolved_size
from safe_transfer_ros.policies.networks.actors import SquashedActor
from safe_transfer_ros.policies.networks.layers import Arrays, arrays, linear, uniform
from safe_transfer_ros.policies.visual import VisualPolicy

_OF_TORCH = "_l0"  # behind the names of a GRU's parameters


class VisualEncoder(nn.Module):
    """h' = GRU([e, rest], h), e = SELU(embedding(conv(image))), step by step.

    Attributes:
      image_side: Pixels of a row and of a column of the image.
      units: Length of h.
    """

    def __init__(
        self, observation_size: int, image_side: int, embedded: int, units: int, rng: np.random.Generator
    ) -> None:
        """Draw the parameters.

        Args:
          observation_size: Length of an observation: the image, row by row, and the rest.
          image_side: Pixels of a row and of a column.
          embedded: Numbers that the image comes to.
          units: Length of h.
          rng: Draws them.

        Raises:
          ValueError: if the image is too small, or longer than the observation.
        """
        super().__init__()
        self.image_side, self.units = image_side, units
        self._pixels = image_side * image_side
        rest = observation_size - self._pixels
        if rest < 0:
            raise ValueError(f"expected an observation of at least {self._pixels} values, got {observation_size}")
        channels = [1, *(layer[0] for layer in LAYERS)]
        self.conv = nn.ModuleList(
            _convolution(before, after, kernel, stride, rng)
            for (before, after), (_, kernel, stride) in zip(itertools.pairwise(channels), LAYERS, strict=True)
        )
        self.embedding = linear(convolved_size(image_side), embedded, rng)
        # Not drawn by torch, whose stream is left alone; `skip_init` takes no GRU.
        self.gru = nn.GRU(embedded + rest, units, batch_first=True, device="meta").to_empty(device="cpu")
        for parameter in self.gru.parameters():
            uniform(parameter, units, rng)

    def forward(self, observation: Tensor, memory: Tensor) -> Tensor:
        """H' of every step, shape (b, t, units).

        Args:
          observation: Sequences of one episode each, shape (b, t, k).
          memory: h before the first of them, shape (b, units); zero at the start of an episode.
        """
        b, t = observation.shape[:2]
        image, rest = observation.split([self._pixels, observation.shape[-1] - self._pixels], dim=-1)
        values = image.reshape(b * t, 1, self.image_side, self.image_side)
        for layer in self.conv:
            values = torch.selu_(layer(values))
        embedded = torch.selu_(self.embedding(values.flatten(1))).reshape(b, t, -1)
        return cast(Tensor, self.gru(torch.cat((embedded, rest), dim=-1), memory.unsqueeze(0))[0])


class VisualActor(nn.Module):
    """The network of a `visual` policy file: an encoder, and a squashed actor of its h.

    Attributes:
      encoder: See `VisualEncoder`.
      head: Of h in place of an observation.
    """

    kind = VisualPolicy.kind

    def __init__(self, encoder: VisualEncoder, head: SquashedActor) -> None:
        """Take both over; the encoder may be shared with critics.

        Raises:
          ValueError: if the head is for observations of another length than h.
        """
        super().__init__()
        first = cast(nn.Linear, head.hidden[0])
        if first.in_features != encoder.units:
            raise ValueError(f"expected a head for {encoder.units} values, got one for {first.in_features}")
        self.encoder, self.head = encoder, head

    def policy(self) -> VisualPolicy:
        """Make the policy that acts on the robot side."""
        return VisualPolicy(*self.file())

    def file(self) -> tuple[Arrays, dict[str, str]]:
        """Tensors of the policy file, and the metadata they need beside the kind."""
        encoder = {name.removesuffix(_OF_TORCH): array for name, array in arrays(self.encoder).items()}
        return encoder | arrays(self.head), {"image_side": str(self.encoder.image_side)}


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, rng: np.random.Generator) -> nn.Conv2d:
    layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride=stride)
    for parameter in layer.parameters():
        uniform(parameter, inputs * kernel * kernel, rng)
    return layer
