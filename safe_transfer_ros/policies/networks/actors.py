# SPDX-License-Identifier: Apache-2.0
"""Actors: multi-layer perceptrons that a policy file can be made of, and that can be made of one.

They give actions as fractions of their bound, in (-1, 1): a critic then sees numbers of one size whatever the unit, and
the entropy of a stochastic one does not depend on the unit either. The file's policy multiplies by the bound.
"""

from __future__ import annotations

import math
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.networks.layers import arrays, hidden_layers, linear
from safe_transfer_ros.policies.squashed import LOG_STD_MAX, LOG_STD_MIN, SquashedPolicy

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)


class DeterministicActor(nn.Module):
    """a(o) / bound = tanh(mean(o)), ReLU layers: the network of a `deterministic` policy file.

    Attributes:
      bound: Largest |action|, shape (n,), in the unit of the actions.
    """

    kind: ClassVar[str] = DeterministicPolicy.kind
    bound: Tensor

    def __init__(
        self, observation_size: int, bound: NDArray[np.float64], hidden: tuple[int, ...], rng: np.random.Generator
    ) -> None:
        """Draw the parameters.

        Args:
          observation_size: Length of an observation.
          bound: Largest |action|, shape (n,), > 0.
          hidden: Widths of the hidden layers.
          rng: Draws them.

        Raises:
          ValueError: if a size or a bound is not positive.
        """
        super().__init__()
        self.register_buffer("bound", _positive(bound))
        self.hidden = hidden_layers(observation_size, hidden, rng)
        self.mean = linear(hidden[-1], len(bound), rng)

    def forward(self, observation: Tensor) -> Tensor:
        """Actions as fractions of the bound, shape (b, n), for observations (b, k)."""
        return torch.tanh(self.mean(_features(self.hidden, observation)))

    def policy(self) -> DeterministicPolicy:
        """Make the policy that acts on the robot side."""
        return DeterministicPolicy(arrays(self))


class SquashedActor(nn.Module):
    """a / bound = tanh(x), x ~ N(mean(o), exp(log_std(o))^2), ReLU layers: the network of a `squashed` policy file.

    Attributes:
      bound: Largest |action|, shape (n,), in the unit of the actions.
    """

    kind: ClassVar[str] = SquashedPolicy.kind
    bound: Tensor

    def __init__(
        self, observation_size: int, bound: NDArray[np.float64], hidden: tuple[int, ...], rng: np.random.Generator
    ) -> None:
        """Draw the parameters; see `DeterministicActor`."""
        super().__init__()
        self.register_buffer("bound", _positive(bound))
        self.hidden = hidden_layers(observation_size, hidden, rng)
        self.mean, self.log_std = (linear(hidden[-1], len(bound), rng) for _ in range(2))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation of x, each (b, n), for observations (b, k)."""
        features = _features(self.hidden, observation)
        return self.mean(features), self.log_std(features).clamp(LOG_STD_MIN, LOG_STD_MAX)

    def sample(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draw actions, differentiable by the parameters.

        Args:
          observation: Shape (b, k).
          noise: Independent standard normal values, shape (b, n).

        Returns:
          Actions as fractions of the bound, shape (b, n), and the logarithm of their density, shape (b,).
        """
        mean, log_std = self(observation)
        x = torch.addcmul(mean, log_std.exp(), noise)
        # log(1 - tanh(x)^2) = 2 (log 2 - log_2cosh), without the difference that loses every digit where |x| is large.
        log_2cosh = x + nn.functional.softplus(-2.0 * x)
        constant = -0.5 * noise.square().sum(dim=-1) - noise.shape[-1] * (_HALF_LOG_2PI + 2.0 * _LOG_2)
        return torch.tanh(x), constant - torch.sub(log_std, log_2cosh, alpha=2.0).sum(dim=-1)

    def policy(self) -> SquashedPolicy:
        """Make the policy that acts on the robot side."""
        return SquashedPolicy(arrays(self))


Actor: TypeAlias = DeterministicActor | SquashedActor


def _features(hidden: nn.ModuleList, observation: Tensor) -> Tensor:
    values = observation
    for layer in hidden:
        values = torch.relu_(layer(values))
    return values


def _positive(bound: NDArray[np.float64]) -> Tensor:
    found = np.asarray(bound, dtype=np.float32)
    if found.ndim != 1 or not len(found) or not (np.isfinite(found) & (found > 0.0)).all():
        raise ValueError(f"expected a finite bound above 0 for each part of an action, got {found.tolist()}")
    return torch.from_numpy(found.copy())
