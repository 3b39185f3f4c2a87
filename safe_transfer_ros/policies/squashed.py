# SPDX-License-Identifier: Apache-2.0
"""A tanh-squashed Gaussian MLP policy, its standard deviation a function of the observation (SAC, SQRL)."""

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
from safe_transfer_ros.policies.policy import TANH_GAUSSIAN, Act
from safe_transfer_ros.policies.tensors import Tensors, check_shapes, positive

Array = NDArray[np.float64]

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
"""Bounds of the logarithm of the standard deviation, as SAC has them."""


class SquashedPolicy:
    """a = bound * tanh(x), x ~ N(mean(o), exp(log_std(o))^2), ReLU layers.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: As action_size.
    """

    kind: ClassVar[str] = "squashed"

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        """Copy the tensors hidden.N.{weight,bias}, mean.{weight,bias}, log_std.{weight,bias} and bound.

        Raises:
          WeightsError: if they are not those of this kind.
        """
        inputs, widths = hidden_widths(tensors)
        n = outputs_of(tensors, "mean")
        shapes = hidden_shapes(inputs, widths) | {"bound": (n,)}
        shapes |= head_shapes("mean", widths[-1], n) | head_shapes("log_std", widths[-1], n)
        check_shapes(tensors, shapes, "a squashed Gaussian policy")
        positive(tensors, "bound")
        self._hidden = Mlp(tensors, relu)
        self._mean, self._log_std = Linear(tensors, "mean"), Linear(tensors, "log_std")
        self._bound = tensors["bound"].astype(np.float64)
        self.observation_size, self.action_size, self.noise_size = inputs, n, n

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`."""
        features = self._hidden(observation)
        mean = rounded(self._mean(features))
        stddev = np.exp(np.clip(rounded(self._log_std(features)), LOG_STD_MIN, LOG_STD_MAX))
        action = self._bound * np.tanh(mean + stddev * np.asarray(noise, dtype=np.float64))
        return Act(action=action, distribution=TANH_GAUSSIAN, mean=mean, stddev=stddev, bound=self._bound)
