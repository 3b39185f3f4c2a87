# SPDX-License-Identifier: Apache-2.0
"""The Gaussian MLP policy as the robot runs it: numpy, one observation or a batch, the same numbers either
way.

The policy is a function from float32 observations to a float32 mean, computed in float64. A matrix product
may sum in another order for a batch than for a single row, which moves the last bits of a float64; rounding
the inputs and the result to float32 absorbs them, so that the vectorised environment and the ROS node
propose the same torques.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.policy import GAUSSIAN, Act

Array = NDArray[np.float64]


class GaussianPolicy:
    """pi(a | o) = N(mean(o), diag(stddev^2)), tanh hidden layers, state-independent standard deviation
    (PSPT).

    Args:
      parameters: See `weights.Architecture.shapes`; copied, so a later change of the arrays does not reach
        the policy.

    Raises:
      weights.WeightsError: if the parameters are not a policy's.

    Attributes:
      architecture: Sizes.
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: As action_size.
      stddev: Standard deviation per action, shape (n_actions,), N·m; read-only.
    """

    kind: ClassVar[str] = "gaussian"

    def __init__(
        self, parameters: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str] | None = None
    ) -> None:
        self.architecture = weights.check(parameters)
        self.observation_size, self.action_size = self.architecture.observation_size, self.architecture.action_size
        self.noise_size = self.action_size
        names = [f"hidden.{layer}" for layer in range(len(self.architecture.hidden))]
        # Transposed once and kept contiguous: `row @ matrix` is then the fast path for a single observation.
        self._hidden = [
            (_double(parameters[f"{name}.weight"].T), _double(parameters[f"{name}.bias"])) for name in names
        ]
        self._mean = (_double(parameters["mean.weight"].T), _double(parameters["mean.bias"]))
        self.stddev: Array = np.exp(_double(parameters["log_std"]))
        self.stddev.flags.writeable = False

    def mean(self, observation: ArrayLike) -> Array:
        """Mean action.

        Args:
          observation: Shape (..., observation_size).

        Returns:
          Shape (..., action_size), N·m, float64 holding float32 values.

        Raises:
          ValueError: if the last dimension is not observation_size.
        """
        activation = np.asarray(observation, dtype=np.float32).astype(np.float64)
        if activation.ndim == 0 or activation.shape[-1] != self.architecture.observation_size:
            raise ValueError(
                f"expected observations of {self.architecture.observation_size} values, got shape {activation.shape}"
            )
        for weight, bias in self._hidden:
            activation = activation @ weight
            activation += bias
            np.tanh(activation, out=activation)
        weight, bias = self._mean
        return (activation @ weight + bias).astype(np.float32).astype(np.float64)

    def distribution(self, observation: ArrayLike) -> tuple[Array, Array]:
        """Mean, shape (..., action_size), and standard deviation, shape (action_size,), both N·m."""
        return self.mean(observation), self.stddev

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `policies.policy.Policy.act`."""
        mean = self.mean(observation)
        action = mean + self.stddev * np.asarray(noise, dtype=np.float64)
        return Act(action=action, distribution=GAUSSIAN, mean=mean, stddev=np.broadcast_to(self.stddev, mean.shape))

    def sample(self, observation: ArrayLike, noise: ArrayLike) -> Array:
        """Torque proposed: mean + stddev * noise.

        Args:
          observation: Shape (..., observation_size).
          noise: Independent standard normal values, shape (..., action_size).

        Returns:
          Shape (..., action_size), N·m.
        """
        return self.mean(observation) + self.stddev * np.asarray(noise, dtype=np.float64)


def _double(array: NDArray[np.float32]) -> Array:
    return np.ascontiguousarray(array, dtype=np.float64).copy()
