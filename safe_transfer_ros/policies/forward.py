# SPDX-License-Identifier: Apache-2.0
"""The Gaussian MLP policy as the robot runs it: numpy, one observation or a batch, the same numbers either way.

So the vectorised environment and the ROS node propose the same torques; how: `mlp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.mlp import Linear, Mlp, rounded
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
        self._hidden, self._mean = Mlp(parameters, np.tanh), Linear(parameters, "mean")
        self.stddev: Array = np.exp(parameters["log_std"].astype(np.float64))
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
        return rounded(self._mean(self._hidden(observation)))

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
