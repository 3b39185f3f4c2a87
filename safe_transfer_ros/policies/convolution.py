# SPDX-License-Identifier: Apache-2.0
"""Convolutional layers of an image in numpy, with torch's parameters: those of Mnih et al. (2015), with SELU.

They pad nothing: of an image of 50 x 50 pixels, as CST has it, they see the upper left 44 x 44, as a stride leaves out
what does not fill a kernel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.mlp import Arrays
from safe_transfer_ros.policies.tensors import WeightsError

Array = NDArray[np.float64]

LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Channels, side of the kernel and stride of each."""
LEAST_SIDE = 36
"""Pixels of a row that the layers need to come to a result."""

_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(values: Array) -> Array:
    """Scale (max(0, x) + alpha (exp(min(0, x)) - 1)) (Klambauer et al. 2017)."""
    return np.asarray(_SCALE * np.where(values > 0.0, values, _ALPHA * np.expm1(np.minimum(values, 0.0))))


def convolved_size(side: int) -> int:
    """Numbers that the layers make of an image of side x side pixels.

    Raises:
      ValueError: if it is too small.
    """
    if side < LEAST_SIDE:
        raise ValueError(f"expected an image of at least {LEAST_SIDE} pixels a side, got {side}")
    for _, kernel, stride in LAYERS:
        side = (side - kernel) // stride + 1
    return LAYERS[-1][0] * side * side


def convolution_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the layers' parameters."""
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 1
    for layer, (channels, kernel, _) in enumerate(LAYERS):
        shapes |= {f"conv.{layer}.weight": (channels, inputs, kernel, kernel), f"conv.{layer}.bias": (channels,)}
        inputs = channels
    return shapes


class Convolution:
    """The layers `conv.0`, `conv.1`, `conv.2`, each followed by SELU."""

    def __init__(self, tensors: Arrays, side: int) -> None:
        """Copy the weights, whose shapes were checked.

        Args:
          tensors: Arrays by name.
          side: Pixels of a row and of a column of an image.

        Raises:
          WeightsError: if the image is too small.
        """
        try:
            self.outputs = convolved_size(side)
        except ValueError as error:
            raise WeightsError(str(error)) from error
        # A product of patches, one after the other with their channels last, and this matrix.
        self._weights = [
            tensors[f"conv.{layer}.weight"].transpose(2, 3, 1, 0).reshape(-1, channels).astype(np.float64)
            for layer, (channels, _, _) in enumerate(LAYERS)
        ]
        self._biases = [tensors[f"conv.{layer}.bias"].astype(np.float64) for layer in range(len(LAYERS))]
        self._side = side

    def __call__(self, image: Array) -> Array:
        """Values of the last layer in torch's order, channel by channel, shape (..., outputs).

        Args:
          image: Shape (..., side * side), row by row.
        """
        values = image.reshape(-1, self._side, self._side, 1)
        for weight, bias, (_, kernel, stride) in zip(self._weights, self._biases, LAYERS, strict=True):
            patches = np.lib.stride_tricks.sliding_window_view(values, (kernel, kernel), axis=(1, 2))
            patches = patches[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
            count, rows, columns = patches.shape[:3]
            flat = patches.reshape(count * rows * columns, -1) @ weight + bias
            values = selu(flat).reshape(count, rows, columns, -1)
        return np.asarray(values.transpose(0, 3, 1, 2).reshape(*image.shape[:-1], self.outputs))
