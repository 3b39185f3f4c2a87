# SPDX-License-Identifier: Apache-2.0
"""A deterministic MLP policy: ReLU layers, bound * tanh (TD3, DARL)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

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
from safe_transfer_ros.policies.policy import DETERMINISTIC, Act
from safe_transfer_ros.policies.tensors import Tensors, check_shapes, positive

Array = NDArray[np.float64]


class DeterministicPolicy:
    """a(o) = bound * tanh(mean(o)).

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: 0.
    """

    kind: ClassVar[str] = "deterministic"
    noise_size = 0

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        """Copy the tensors hidden.N.{weight,bias}, mean.{weight,bias} and bound.

        Raises:
          WeightsError: if they are not those of this kind.
        """
        inputs, widths = hidden_widths(tensors)
        n = outputs_of(tensors, "mean")
        shapes = hidden_shapes(inputs, widths) | head_shapes("mean", widths[-1], n) | {"bound": (n,)}
        check_shapes(tensors, shapes, "a deterministic policy")
        positive(tensors, "bound")
        self._hidden, self._mean = Mlp(tensors, relu), Linear(tensors, "mean")
        self._bound = tensors["bound"].astype(np.float64)
        self.observation_size, self.action_size = inputs, n

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; takes no noise."""
        action = self._bound * rounded(np.tanh(self._mean(self._hidden(observation))))
        return Act(action=action, distribution=DETERMINISTIC, mean=action)
