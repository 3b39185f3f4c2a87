# SPDX-License-Identifier: Apache-2.0
"""Networks as textbooks have them, copies of an agent's: a member at a time, whole graphs, Adam of single tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Parameters = dict[str, Tensor]

BOUND = np.array([0.5, 2.0, 30.0])
RATES = {"learning_rate": 1e-3, "target_rate": 0.05}
UPDATES = 6

_HEADS = ("mean", "log_std")


class PlainNetwork:
    """A copy of the parameters of a `TrainedNetwork`, with an optimiser and a target of its own."""

    def __init__(self, trained: Any, *, learning_rate: float, target_rate: float) -> None:
        self.online: Parameters = {
            name: tensor.detach().clone().requires_grad_() for name, tensor in trained.network.named_parameters()
        }
        self.target: Parameters = {name: tensor.detach().clone() for name, tensor in self.online.items()}
        self._optimiser = torch.optim.Adam(self.online.values(), lr=learning_rate, foreach=False, fused=False)
        self._rate = target_rate

    def descend(self, loss: Tensor) -> None:
        """Take a step; gradients of other networks that the loss hangs on are thrown away by their own next step."""
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()

    def follow(self) -> None:
        with torch.no_grad():
            for name, tensor in self.online.items():
                self.target[name].mul_(1.0 - self._rate).add_(self._rate * tensor)


def critic_values(parameters: Parameters, observation: Tensor, action: Tensor) -> Tensor:
    """Q of every member of a `TwinCritic`, shape (members, b)."""
    count = len(parameters) // 2
    members = len(parameters["layer.0.weight"])
    found = []
    for member in range(members):
        values = torch.cat((observation, action), dim=1)
        for layer in range(count):
            values = values @ parameters[f"layer.{layer}.weight"][member] + parameters[f"layer.{layer}.bias"][member]
            values = torch.relu(values) if layer < count - 1 else values
        found.append(values[:, 0])
    return torch.stack(found)


def _features(parameters: Parameters, observation: Tensor) -> Tensor:
    values, layer = observation, 0
    while f"hidden.{layer}.weight" in parameters:
        values = torch.relu(values @ parameters[f"hidden.{layer}.weight"].T + parameters[f"hidden.{layer}.bias"])
        layer += 1
    return values


def deterministic(parameters: Parameters, observation: Tensor) -> Tensor:
    """Actions of a `DeterministicActor`, as fractions of their bound."""
    features = _features(parameters, observation)
    return torch.tanh(features @ parameters["mean.weight"].T + parameters["mean.bias"])


def squashed(parameters: Parameters, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions of a `SquashedActor` as fractions of their bound, and their log-density by torch's distributions."""
    features = _features(parameters, observation)
    mean, log_std = (features @ parameters[f"{part}.weight"].T + parameters[f"{part}.bias"] for part in _HEADS)
    stddev = log_std.clamp(-20.0, 2.0).exp()
    normal = torch.distributions.Normal(mean, stddev)
    tanh = torch.distributions.transforms.TanhTransform(cache_size=1)
    law = torch.distributions.TransformedDistribution(normal, [tanh])
    action = tanh(mean + stddev * noise)
    return action, law.log_prob(action).sum(dim=1)


def transitions(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "observation": rng.standard_normal((64, 5), dtype=np.float32),
        "chosen": (BOUND * rng.uniform(-1.0, 1.0, (64, 3))).astype(np.float32),
        "reward": rng.standard_normal(64, dtype=np.float32),
        "cost": (rng.random(64) < 0.3).astype(np.float32),
        "terminated": rng.random(64) < 0.2,
        "next_observation": rng.standard_normal((64, 5), dtype=np.float32),
    }


def tensors_of(columns: dict[str, np.ndarray]) -> dict[str, Any]:
    scaled = columns | {"chosen": columns["chosen"] / BOUND}
    return {name: torch.from_numpy(np.asarray(column, dtype=np.float32)) for name, column in scaled.items()}


def assert_same(trained: Any, plain: PlainNetwork, start: PlainNetwork) -> None:
    """Every parameter has gone the same way, but for a few whose gradient is of the size of its rounding."""
    for name, tensor in trained.network.named_parameters():
        moved = (plain.online[name] - start.online[name]).abs()
        assert moved.max() > 0.5 * RATES["learning_rate"], f"{name} has learned nothing"
        apart = (tensor - plain.online[name]).abs()
        assert (apart > 1e-2 * RATES["learning_rate"]).float().mean() < 5e-3, name
    if trained.target is trained.network:
        return
    for name, tensor in trained.target.named_parameters():
        torch.testing.assert_close(tensor, plain.target[name], rtol=1e-4, atol=1e-5)
