# SPDX-License-Identifier: Apache-2.0
"""A gated recurrent unit in numpy (Cho et al. 2014), with torch's parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.mlp import Arrays, Linear, rounded
from safe_transfer_ros.policies.tensors import WeightsError

Array = NDArray[np.float64]


def gru_units(tensors: Arrays) -> int:
    """Length of the state of the unit `gru`.

    Raises:
      WeightsError: if there is none.
    """
    recurrent = tensors.get("gru.weight_hh")
    if recurrent is None or recurrent.ndim != 2 or 0 in recurrent.shape:
        raise WeightsError(
            "expected 'gru.weight_hh' as a matrix with at least one row and column: is this another kind of policy?"
        )
    return int(recurrent.shape[1])


def gru_shapes(inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of its parameters; gates are stacked as reset, update, new."""
    shapes: dict[str, tuple[int, ...]] = {"gru.weight_ih": (3 * units, inputs), "gru.weight_hh": (3 * units, units)}
    return shapes | {"gru.bias_ih": (3 * units,), "gru.bias_hh": (3 * units,)}


class Gru:
    """h' = GRU(x, h), and the state of the episode that is under way.

    Attributes:
      memory: h, shape (units,), or (n, units) for n episodes side by side; None at the start of an episode, where it
        counts as zero.
    """

    def __init__(self, tensors: Arrays) -> None:
        """Copy the weights, whose shapes were checked."""
        self._ih, self._hh = (
            Linear({"w.weight": tensors[f"gru.weight_{part}"], "w.bias": tensors[f"gru.bias_{part}"]}, "w")
            for part in ("ih", "hh")
        )
        self._units = gru_units(tensors)
        self.memory: Array | None = None

    def step(self, inputs: Array) -> Array:
        """Take the next step of the episode, and give h'.

        Args:
          inputs: Shape (..., inputs).

        Raises:
          ValueError: if the number of episodes side by side is another than at the step before.
        """
        memory = np.zeros((*inputs.shape[:-1], self._units)) if self.memory is None else self.memory
        if memory.shape[:-1] != inputs.shape[:-1]:
            raise ValueError(f"expected observations of {memory.shape[:-1]} episodes, got {inputs.shape[:-1]}: begin()")
        self.memory = rounded(self._next(inputs, memory))
        return self.memory

    def _next(self, inputs: Array, memory: Array) -> Array:
        reset_i, update_i, new_i = np.split(self._ih(inputs), 3, axis=-1)
        reset_h, update_h, new_h = np.split(self._hh(memory), 3, axis=-1)
        update = _sigmoid(update_i + update_h)
        new = np.tanh(new_i + _sigmoid(reset_i + reset_h) * new_h)
        return np.asarray((1.0 - update) * new + update * memory)


def _sigmoid(values: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
