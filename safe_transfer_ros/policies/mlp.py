# SPDX-License-Identifier: Apache-2.0
"""Layers of a multi-layer perceptron in numpy, the same numbers for one observation and for a batch.

A matrix product may sum in another order for a batch than for a single row, which moves the last bits of a float64;
inputs and results are float32 values, computed in float64 between, which absorbs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.policies.tensors import WeightsError, listed

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.float32]]
_HIDDEN = re.compile(r"hidden\.(0|[1-9][0-9]{0,3})\.weight")  # as `hidden_shapes` writes them: 01 is not 1


def relu(values: Array) -> Array:
    """max(0, x)."""
    return np.maximum(values, 0.0)


def hidden_widths(tensors: Arrays) -> tuple[int, tuple[int, ...]]:
    """Inputs and widths of the layers `hidden.0`, `hidden.1`, ...

    Raises:
      WeightsError: if there is no such layer, a number is missing or a weight is no matrix.
    """
    numbers = sorted(int(match.group(1)) for match in map(_HIDDEN.fullmatch, tensors) if match)
    if not numbers or numbers != list(range(len(numbers))):
        raise WeightsError(
            f"expected layers hidden.0, hidden.1, ... without a gap, got {listed(tensors)}; is this another kind of "
            "network?"
        )
    weights = [tensors[f"hidden.{number}.weight"] for number in numbers]
    if any(weight.ndim != 2 or 0 in weight.shape for weight in weights):
        raise WeightsError("expected every hidden weight to be a matrix with at least one row and column")
    return weights[0].shape[1], tuple(weight.shape[0] for weight in weights)


def hidden_shapes(inputs: int, widths: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of those layers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, width in enumerate(widths):
        shapes |= {f"hidden.{layer}.weight": (width, inputs), f"hidden.{layer}.bias": (width,)}
        inputs = width
    return shapes


def head_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one linear layer."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def outputs_of(tensors: Arrays, head: str) -> int:
    """Rows of a linear layer's weight.

    Raises:
      WeightsError: if there is no such matrix, or it has no row or no column.
    """
    weight = tensors.get(f"{head}.weight")
    if weight is None or weight.ndim != 2 or 0 in weight.shape:
        came = listed(tensors) if weight is None else f"shape {weight.shape}"
        raise WeightsError(
            f"expected '{head}.weight' as a matrix with at least one row and column, got {came}; is this another kind "
            "of policy?"
        )
    return int(weight.shape[0])


class Linear:
    """One linear layer."""

    def __init__(self, tensors: Arrays, name: str) -> None:
        """Copy its weights, transposed and contiguous: `row @ matrix` is then the fast path for one observation."""
        self._weight = np.ascontiguousarray(tensors[f"{name}.weight"].T, dtype=np.float64).copy()
        self._bias = tensors[f"{name}.bias"].astype(np.float64)

    def __call__(self, values: Array) -> Array:
        """W x + b, shape (..., outputs)."""
        return np.asarray(values @ self._weight + self._bias)


class Mlp:
    """The layers `hidden.0`, `hidden.1`, ... of a network, each followed by an activation."""

    def __init__(self, tensors: Arrays, activation: Callable[[Array], Array]) -> None:
        """Copy the weights of layers whose shapes were checked."""
        self.inputs, widths = hidden_widths(tensors)
        self._layers = [Linear(tensors, f"hidden.{layer}") for layer in range(len(widths))]
        self._activation = activation

    def __call__(self, observation: ArrayLike) -> Array:
        """Values of the last layer.

        Args:
          observation: Shape (..., inputs).

        Raises:
          ValueError: if the last dimension is another.
        """
        values = np.asarray(observation, dtype=np.float32).astype(np.float64)
        if values.ndim == 0 or values.shape[-1] != self.inputs:
            raise ValueError(f"expected observations of {self.inputs} values, got shape {values.shape}")
        for layer in self._layers:
            values = self._activation(layer(values))
        return values


def rounded(values: Array) -> Array:
    """Values as float32 has them, in float64."""
    return values.astype(np.float32).astype(np.float64)
