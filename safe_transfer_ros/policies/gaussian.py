# SPDX-License-Identifier: Apache-2.0
"""The Gaussian MLP policy in torch: initial parameters, and conversion to and from tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.policies.weights import Architecture, Parameters, check
from safe_transfer_ros.randomness import Purpose, generator

Tensors = dict[str, torch.Tensor]


def initial_parameters(
    architecture: Architecture, seed: int, *, log_std: float = -1.0, mean_gain: float = 0.01
) -> Parameters:
    """Parameters to start learning from.

    Weights are normal with variance 1 / (number of inputs), which keeps tanh units out of saturation; biases
    are 0. The last layer is small, so the first torques are nearly 0 N·m plus noise and no direction is
    favoured. No matrix factorisation is used: its last bits would depend on the number of threads, and with
    them the whole training.

    Args:
      architecture: Sizes.
      seed: Equal seeds give equal parameters.
      log_std: Initial logarithm of the standard deviation (of N·m), the same for all joints.
      mean_gain: Scale of the last layer.

    Returns:
      Parameters by name, float32.
    """
    rng = generator(Purpose.POLICY_INITIALISATION, seed)
    parameters: Parameters = {}
    for name, shape in architecture.shapes().items():
        array = np.zeros(shape, dtype=np.float32)
        if name.endswith(".weight"):
            gain = mean_gain if name.startswith("mean.") else 1.0
            array[:] = rng.standard_normal(shape) * (gain / np.sqrt(shape[1]))
        elif name == "log_std":
            array[:] = log_std
        parameters[name] = array
    check(parameters, architecture)
    return parameters


def to_tensors(parameters: Mapping[str, NDArray[np.float32]], *, requires_grad: bool = False) -> Tensors:
    """Copies of the parameters as float32 tensors."""
    return {name: torch.tensor(array, requires_grad=requires_grad) for name, array in parameters.items()}


def from_tensors(tensors: Mapping[str, torch.Tensor]) -> Parameters:
    """Copies of the tensors as float32 arrays."""
    return {name: tensor.detach().to(torch.float32).cpu().numpy().copy() for name, tensor in tensors.items()}


def distribution(tensors: Mapping[str, torch.Tensor], observation: torch.Tensor) -> torch.distributions.Distribution:
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
