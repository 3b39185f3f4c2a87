# SPDX-License-Identifier: Apache-2.0
"""Layers that all networks here are made of, and the parameters that they start from."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Arrays = dict[str, NDArray[np.float32]]


def linear(inputs: int, outputs: int, rng: np.random.Generator) -> nn.Linear:
    """Linear layer, weights and biases uniform within 1 / sqrt(inputs).

    Args:
      inputs: Length of what comes in.
      outputs: Length of what comes out.
      rng: Draws the parameters: torch's own, global one is left alone.
    """
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    for parameter in (layer.weight, layer.bias):
        uniform(parameter, inputs, rng)
    return layer


def hidden_layers(inputs: int, widths: tuple[int, ...], rng: np.random.Generator) -> nn.ModuleList:
    """Linear layers of these widths, one after the other.

    Raises:
      ValueError: if there is none, or a size is not positive.
    """
    if not widths or min(inputs, *widths) < 1:
        raise ValueError(f"expected at least one hidden layer and sizes of at least 1, got {inputs} inputs, {widths}")
    return nn.ModuleList([linear(before, after, rng) for before, after in itertools.pairwise((inputs, *widths))])


def uniform(parameter: Tensor, inputs: int, rng: np.random.Generator) -> None:
    """Fill a parameter with numbers within 1 / sqrt(inputs)."""
    bound = inputs**-0.5
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)))


def arrays(network: nn.Module) -> Arrays:
    """Copies of a network's parameters by name, float32; an actor's are the tensors of its policy file."""
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def load(network: nn.Module, parameters: Arrays) -> None:
    """Copy parameters into a network.

    Raises:
      ValueError: if they are not those of a network of these sizes.
    """
    try:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in parameters.items()})
    except RuntimeError as error:
        raise ValueError(f"these parameters are of another network: {' '.join(str(error).split())}") from error
