# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning: a policy's mean action is fitted to the actions that somebody else took."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.single_thread import one_thread

Array = NDArray[np.float32]


class BehaviourCloning:
    """Least squares by Adam, which goes on where it was at each further `fit`."""

    def __init__(
        self, mean: Callable[[Tensor], Tensor], parameters: Iterable[Tensor], *, learning_rate: float = 1e-3
    ) -> None:
        """Take a policy's parameters over.

        Args:
          mean: Its actions, shape (b, n), for observations (b, k): a `DeterministicActor`, or a distribution's mean.
          parameters: Those that are to be fitted; changed in place.
          learning_rate: Of Adam.
        """
        self._mean = mean
        self._optimiser = torch.optim.Adam(list(parameters), lr=learning_rate)

    def fit(self, observations: Array, actions: Array, *, updates: int, batch: int, rng: np.random.Generator) -> float:
        """Take steps down the mean squared difference.

        Args:
          observations: Shape (m, k).
          actions: What was done there, in the unit of `mean`, shape (m, n).
          updates: Steps.
          batch: Observations a step, drawn with replacement.
          rng: Draws them.

        Returns:
          Loss at the last step; NaN without any.

        Raises:
          ValueError: if there is no observation, or there are not as many actions.
        """
        if not len(observations) or len(observations) != len(actions):
            raise ValueError(f"expected as many actions as observations, got {len(actions)} and {len(observations)}")
        inputs, targets = torch.from_numpy(observations), torch.from_numpy(actions)
        last = torch.tensor(torch.nan)
        with one_thread():
            for _ in range(updates):
                rows = torch.from_numpy(rng.integers(0, len(inputs), batch))
                last = (self._mean(inputs[rows]) - targets[rows]).square().mean()
                self._optimiser.zero_grad()
                last.backward()
                self._optimiser.step()
        return float(last.detach())
