# SPDX-License-Identifier: Apache-2.0
"""A tanh Gaussian MLP policy and its derivatives, written out layer by layer.

For networks of this size an automatic differentiator costs more than the arithmetic. The Fisher matrix of a
Gaussian policy is J^T diag(1/sigma^2) J for the parameters of the mean (J: the Jacobian of the means) and 2
I for log sigma, so a Fisher-vector product is one tangent pass forward and one gradient pass back, on torch
tensors without autograd. Rows go through in blocks that stay in the processor's cache. Blocks are added in a
fixed order on one thread: equal inputs give equal parameters, and a busy second core does not slow an update
down.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.single_thread import single_thread

Matrix = NDArray[np.float32]
Parameters = dict[str, NDArray[np.float32]]

_BLOCK = 1024


def parameter_names(parameters: Mapping[str, NDArray[np.float32]]) -> tuple[str, ...]:
    """Order in which flat vectors hold the parameters."""
    return tuple(Layout(parameters).shapes)


def kl_divergence(
    old: Mapping[str, NDArray[np.float32]], new: Mapping[str, NDArray[np.float32]], observations: Matrix
) -> float:
    """KL(old || new), summed over action dimensions, averaged over observations, shape (steps, k)."""
    layout = Layout(old)
    with single_thread():
        first, second = (Network(layout, layout.flatten(policy)) for policy in (old, new))
        states = torch.tensor(observations)
        return kl_of_means(first.means(states), first.log_std, second.means(states), second.log_std)


def probability_ratios(
    old: Mapping[str, NDArray[np.float32]],
    new: Mapping[str, NDArray[np.float32]],
    observations: Matrix,
    actions: Matrix,
) -> NDArray[np.float64]:
    """pi_new(a | o) / pi_old(a | o), shape (steps,), of observations (steps, k) and actions (steps, n)."""
    layout = Layout(old)
    with single_thread():
        states, taken = torch.tensor(observations), torch.tensor(actions)
        first, second = (Network(layout, layout.flatten(policy)) for policy in (old, new))
        logs = [log_probability(taken, one.means(states), one.log_std) for one in (first, second)]
        return torch.exp((logs[1] - logs[0]).double()).numpy()


class Layout:
    """Position of each parameter in a flat vector."""

    def __init__(self, parameters: Mapping[str, NDArray[np.float32]]) -> None:
        self.depth = sum(name.startswith("hidden.") and name.endswith(".weight") for name in parameters)
        self.layers = [*(f"hidden.{layer}" for layer in range(self.depth)), "mean"]
        names = [*(f"{layer}.{part}" for layer in self.layers for part in ("weight", "bias")), "log_std"]
        self.shapes = {name: parameters[name].shape for name in names}
        self.sizes = [parameters[name].size for name in names]

    def flatten(self, parameters: Mapping[str, NDArray[np.float32]]) -> Tensor:
        """A float64 copy: sums over parameters are taken in double precision."""
        return torch.from_numpy(np.concatenate([parameters[name].ravel() for name in self.shapes])).double()

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """The parameters inside a flat vector, without copying."""
        parts = torch.split(vector, self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


class Network:
    """The network at one flat parameter vector, in float32."""

    def __init__(self, layout: Layout, theta: Tensor) -> None:
        self.layout = layout
        self.tensors = layout.views(theta.float())
        self.layers = [(self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]) for name in layout.layers]
        self.log_std = self.tensors["log_std"]
        self.stddev = self.log_std.exp()

    def parameters(self) -> Parameters:
        """Copies as arrays by name."""
        return {name: tensor.numpy().copy() for name, tensor in self.tensors.items()}

    def forward(self, observations: Tensor) -> tuple[list[Tensor], Tensor]:
        """Inputs of every layer (the first are the observations) and the means."""
        activations = [observations]
        for weight, bias in self.layers[:-1]:
            activations.append(torch.addmm(bias, activations[-1], weight.t()).tanh_())
        weight, bias = self.layers[-1]
        return activations, torch.addmm(bias, activations[-1], weight.t())

    def means(self, observations: Tensor) -> Tensor:
        """Mean actions."""
        return torch.cat([self.forward(block)[1] for block in torch.split(observations, _BLOCK)])

    def add_gradient(
        self, gradient: dict[str, Tensor], activations: list[Tensor], slopes: list[Tensor], upstream: Tensor
    ) -> None:
        """Add J^T upstream to the gradient of the mean's parameters; `slopes` are tanh' per hidden layer."""
        for layer in reversed(range(len(self.layers))):
            name = self.layout.layers[layer]
            gradient[f"{name}.weight"].addmm_(upstream.t(), activations[layer])
            gradient[f"{name}.bias"].add_(upstream.sum(dim=0))
            if layer:
                upstream = (upstream @ self.layers[layer][0]).mul_(slopes[layer - 1])


class FisherProduct:
    """v -> F v for fixed states; activations are computed once for all products."""

    def __init__(self, policy: Network, observations: Tensor) -> None:
        self.policy = policy
        self.blocks = [(inputs, _slopes(inputs)) for inputs in map(self._inputs, torch.split(observations, _BLOCK))]
        self.metric = 1.0 / (policy.stddev.square() * len(observations))

    def _inputs(self, observations: Tensor) -> list[Tensor]:
        return self.policy.forward(observations)[0]

    def __call__(self, vector: Tensor) -> Tensor:
        """F vector, flat."""
        layout, layers = self.policy.layout, self.policy.layers
        tangent = layout.views(vector.float())
        flat = torch.zeros(vector.shape)
        product = layout.views(flat)
        for activations, slopes in self.blocks:
            flow: Tensor | None = None
            for layer, name in enumerate(layout.layers):
                step = torch.addmm(tangent[f"{name}.bias"], activations[layer], tangent[f"{name}.weight"].t())
                flow = step if flow is None else step.addmm_(flow, layers[layer][0].t())
                if layer < layout.depth:
                    flow.mul_(slopes[layer])
            assert flow is not None
            self.policy.add_gradient(product, activations, slopes, flow.mul_(self.metric))
        product["log_std"].copy_(2.0 * tangent["log_std"])
        return flat.double()


def surrogate_gradient(policy: Network, observations: Tensor, actions: Tensor, advantages: Tensor) -> Tensor:
    """Gradient of mean(ratio * advantage) at ratio 1, flat."""
    flat = torch.zeros(sum(policy.layout.sizes))
    gradient = policy.layout.views(flat)
    blocks = zip(
        torch.split(observations, _BLOCK),
        torch.split(actions, _BLOCK),
        torch.split(advantages, _BLOCK),
        strict=True,
    )
    for states, taken, advantage in blocks:
        activations, mean = policy.forward(states)
        scaled = (taken - mean) / policy.stddev
        weight = (advantage / len(advantages)).unsqueeze(1)
        policy.add_gradient(gradient, activations, _slopes(activations), weight * scaled / policy.stddev)
        gradient["log_std"].add_((weight * (scaled.square() - 1.0)).sum(dim=0))
    return flat.double()


def _slopes(activations: list[Tensor]) -> list[Tensor]:
    return [1.0 - layer.square() for layer in activations[1:]]


def log_probability(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log density of each action, up to a constant."""
    return -0.5 * ((actions - mean) / log_std.exp()).square().sum(dim=1) - log_std.sum()


def kl_of_means(old_mean: Tensor, old_log_std: Tensor, new_mean: Tensor, new_log_std: Tensor) -> float:
    """KL(old || new) of diagonal Gaussians, summed over dimensions, mean over rows."""
    shift = ((old_mean - new_mean).double() / new_log_std.double().exp()).square()
    log_ratio = new_log_std.double() - old_log_std.double()
    return float((log_ratio + 0.5 * torch.exp(-2.0 * log_ratio) - 0.5).sum() + 0.5 * shift.sum(dim=1).mean())
