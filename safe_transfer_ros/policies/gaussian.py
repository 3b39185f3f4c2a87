# SPDX-License-Identifier: Apache-2.0
"""The Gaussian MLP policy in torch: initial parameters, and conversion to and from tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.policies.weights import Architecture, Parameters, check

Tensors = dict[str, torch.Tensor]


def initial_parameters(
    architecture: Architecture, seed: int, *, log_std: float = -1.0, mean_gain: float = 0.01
) -> Parameters:
    """Parameters to start learning from.

    Hidden weights are orthogonal (or semi-orthogonal), biases 0; the last layer is small, so the first
    torques are nearly 0 N·m plus noise and no direction is favoured.

    Args:
      architecture: Sizes.
      seed: Equal seeds give equal parameters.
      log_std: Initial logarithm of the standard deviation (of N·m), the same for all joints.
      mean_gain: Scale of the last layer.

    Returns:
      Parameters by name, float32.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters: Parameters = {}
    for name, shape in architecture.shapes().items():
        tensor = torch.zeros(shape)
        if name.endswith(".weight"):
            gain = mean_gain if name.startswith("mean.") else 1.0
            torch.nn.init.orthogonal_(tensor, gain=gain, generator=generator)
        elif name == "log_std":
            tensor.fill_(log_std)
        parameters[name] = tensor.numpy()
    check(parameters, architecture)
    return parameters


def to_tensors(parameters: Mapping[str, NDArray[np.float32]], *, requires_grad: bool = False) -> Tensors:
    """Copies of the parameters as float32 tensors."""
    return {name: torch.tensor(array, requires_grad=requires_grad) for name, array in parameters.items()}


def from_tensors(tensors: Mapping[str, torch.Tensor]) -> Parameters:
    """Copies of the tensors as float32 arrays."""
    return {name: tensor.detach().to(torch.float32).cpu().numpy().copy() for name, tensor in tensors.items()}


def distribution(
    tensors: Mapping[str, torch.Tensor], observation: torch.Tensor
) -> torch.distributions.Distribution:
    """Actions at observations of shape (..., observation_size); log_prob and KL are summed over joints."""
    activation, layer = observation, 0
    while f"hidden.{layer}.weight" in tensors:
        name = f"hidden.{layer}"
        activation = torch.tanh(
            torch.nn.functional.linear(activation, tensors[f"{name}.weight"], tensors[f"{name}.bias"])
        )
        layer += 1
    mean = torch.nn.functional.linear(activation, tensors["mean.weight"], tensors["mean.bias"])
    return torch.distributions.Independent(torch.distributions.Normal(mean, tensors["log_std"].exp()), 1)
