# SPDX-License-Identifier: Apache-2.0
"""A plain MLP of a policy that was not made here, in numpy, with the activations that its contract names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.contract import NetworkRules
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.mlp import (
    Linear,
    Mlp,
    head_shapes,
    hidden_shapes,
    hidden_widths,
    outputs_of,
    relu,
    rounded,
)
from safe_transfer_ros.policies.tensors import LOG_STD_BOUND, Tensors, check_shapes

Array = NDArray[np.float64]


def _elu(values: Array) -> Array:
    return np.where(values > 0.0, values, np.expm1(np.minimum(values, 0.0)))


def _sigmoid(values: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


ACTIVATION: dict[str, Callable[[Array], Array]] = {"tanh": np.tanh, "relu": relu, "elu": _elu, "sigmoid": _sigmoid}
"""Functions by the names of `contract.ACTIVATIONS`."""


class MlpNetwork:
    """Layers hidden.N, mean, and log_std as a vector or as a layer, or none; see `contracted.Network`."""

    def __init__(self, tensors: Tensors, rules: NetworkRules) -> None:
        """Copy the tensors.

        Raises:
          WeightsError: if they are not those of such a network.
        """
        if rules.activation not in ACTIVATION:
            raise ContractError(f"expected activation as one of {', '.join(ACTIVATION)}, got '{rules.activation}'")
        self.input_size, widths = hidden_widths(tensors)
        self.output_size = outputs_of(tensors, "mean")
        shapes = hidden_shapes(self.input_size, widths) | head_shapes("mean", widths[-1], self.output_size)
        if "log_std" in tensors:
            shapes["log_std"] = (self.output_size,)
        elif "log_std.weight" in tensors:
            shapes |= head_shapes("log_std", widths[-1], self.output_size)
        check_shapes(tensors, shapes, "a plain MLP")
        self._hidden, self._mean = Mlp(tensors, ACTIVATION[rules.activation]), Linear(tensors, "mean")
        self._squashes = rules.squash_output
        self._log_std_layer = Linear(tensors, "log_std") if "log_std.weight" in tensors else None
        self._log_std: Array | None = None
        if "log_std" in tensors:
            if np.abs(tensors["log_std"]).max() > LOG_STD_BOUND:
                raise ContractError(f"expected log standard deviations within +-{LOG_STD_BOUND:g}: the policy diverged")
            self._log_std = tensors["log_std"].astype(np.float64)
        layers = " x ".join(map(str, (self.input_size, *widths, self.output_size)))
        self.description = f"MLP {layers}, {rules.activation}{', tanh at the end' if self._squashes else ''}"

    @property
    def has_log_std(self) -> bool:
        """Whether it gives the logarithm of a standard deviation."""
        return self._log_std is not None or self._log_std_layer is not None

    def __call__(self, observation: Array) -> tuple[Array, Array | None]:
        """See `contracted.Network`."""
        features = self._hidden(observation)
        mean = self._mean(features)
        mean = rounded(np.tanh(mean) if self._squashes else mean)
        if self._log_std_layer is not None:
            return mean, rounded(self._log_std_layer(features))
        return mean, self._log_std
