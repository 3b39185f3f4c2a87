# SPDX-License-Identifier: Apache-2.0
"""One TRPO step for a tanh Gaussian MLP policy, with its derivatives written out.

For networks of this size an automatic differentiator costs more than the arithmetic. The Fisher matrix of a
Gaussian policy is J^T diag(1/sigma^2) J for the parameters of the mean (J: the Jacobian of the means) and 2
I for log sigma, so a Fisher-vector product is one tangent pass forward and one gradient pass back. Both are
below, layer by layer, on torch tensors without autograd. Rows go through in blocks that stay in the
processor's cache. Blocks are added in a fixed order on one thread: equal inputs give equal parameters, and a
busy second core does not slow the update down.

The KL divergence is SUMMED over action dimensions and averaged over ALL states of the batch. PSPT's bound on
the effect of the update (Eq. 28-31) is derived for that sum and means nothing for an average over dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.single_thread import single_thread

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Parameters = dict[str, NDArray[np.float32]]

_BLOCK = 1024
_LINE_SEARCH_SHORTENING = 0.98


@dataclass(frozen=True, kw_only=True)
class TrpoSettings:
    """Settings of one update.

    Attributes:
      max_kl: Trust region: bound on KL(old || new), summed over dimensions, mean over states (PSPT: .01,
        then .05).
      cg_iterations: Steps of the conjugate gradient.
      damping: Added to the Fisher matrix's diagonal while the direction is sought.
      backtrack_ratio: The step shrinks by this factor when it does not improve the surrogate.
      backtrack_steps: Line search steps before the old parameters are kept.
      fisher_fraction: Share of the states, drawn at random, that the Fisher matrix is estimated from. The KL
        bound is checked on all of them in any case.
    """

    max_kl: float = 0.01
    cg_iterations: int = 10
    damping: float = 0.01
    backtrack_ratio: float = 0.7
    backtrack_steps: int = 15
    fisher_fraction: float = 0.2

    def __post_init__(self) -> None:
        checks = {
            "max_kl > 0": self.max_kl > 0.0,
            "cg_iterations >= 1": self.cg_iterations >= 1,
            "damping >= 0": self.damping >= 0.0,
            "0 < backtrack_ratio < 1": 0.0 < self.backtrack_ratio < 1.0,
            "backtrack_steps >= 1": self.backtrack_steps >= 1,
            "0 < fisher_fraction <= 1": 0.0 < self.fisher_fraction <= 1.0,
        }
        broken = [rule for rule, holds in checks.items() if not holds]
        if broken:
            raise ValueError(f"expected {' and '.join(broken)}, got {self}")


@dataclass(frozen=True, kw_only=True)
class TrpoBatch:
    """Steps sampled from the policy that is to be improved.

    Attributes:
      observations: Shape (steps, observation_size).
      actions: As sampled, before any limit was applied, shape (steps, action_size).
      advantages: Shape (steps,).
    """

    observations: Matrix
    actions: Matrix
    advantages: Matrix

    def __post_init__(self) -> None:
        for name in ("observations", "actions", "advantages"):
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if not np.isfinite(array).all():
                raise ValueError(f"expected finite {name}, got NaN or infinite values: the rollouts are broken")
            object.__setattr__(self, name, array)
        shapes = (self.observations.shape, self.actions.shape, self.advantages.shape)
        if (
            [len(shape) for shape in shapes] != [2, 2, 1]
            or len({shape[0] for shape in shapes}) != 1
            or not shapes[2][0]
        ):
            raise ValueError(f"expected (steps, k), (steps, n) and (steps,) with at least one step, got {shapes}")


@dataclass(frozen=True, kw_only=True)
class TrpoUpdate:
    """What an update did.

    Attributes:
      parameters: The new ones, or copies of the old ones where nothing was accepted.
      kl: KL(old || new) over all states, summed over dimensions; 0 where nothing was accepted.
      surrogate_before: Mean of the advantages.
      surrogate_after: Mean of ratio * advantage under the new parameters.
      accepted: Whether the parameters changed.
      step_fraction: Length of the accepted step, in full natural-gradient steps; 0 where nothing was
        accepted.
    """

    parameters: Parameters
    kl: float
    surrogate_before: float
    surrogate_after: float
    accepted: bool
    step_fraction: float


def trpo_update(
    parameters: Mapping[str, NDArray[np.float32]], batch: TrpoBatch, settings: TrpoSettings, seed: int
) -> TrpoUpdate:
    """Improve the surrogate within the trust region (Schulman et al. 2015), or keep the old parameters.

    Args:
      parameters: hidden.<i>.weight (out, in) and .bias, mean.weight and .bias, log_std; float32.
      batch: Steps sampled under these parameters.
      settings: See `TrpoSettings`.
      seed: Chooses the states of the Fisher estimate; equal inputs and seeds give equal parameters.

    Returns:
      The update; its kl never exceeds settings.max_kl.
    """
    with single_thread():
        return _update(parameters, batch, settings, seed)


def _update(
    parameters: Mapping[str, NDArray[np.float32]], batch: TrpoBatch, settings: TrpoSettings, seed: int
) -> TrpoUpdate:
    layout = _Layout(parameters)
    theta = layout.flatten(parameters)
    observations, actions, advantages = _tensors(batch)
    old = _Policy(layout, theta)
    mean = old.means(observations)
    log_probability = _log_probability(actions, mean, old.log_std)

    gradient = _surrogate_gradient(old, observations, actions, advantages)
    count = len(advantages)
    size = max(1, round(settings.fisher_fraction * count))
    chosen = np.sort(np.random.default_rng(seed).choice(count, size=size, replace=False))
    fisher = _FisherProduct(old, observations if size == count else observations[torch.from_numpy(chosen)])

    direction = _conjugate_gradient(
        lambda vector: fisher(vector) + settings.damping * vector, gradient, settings.cg_iterations
    )
    curvature = float(direction @ fisher(direction))
    before = float(advantages.mean(dtype=torch.float64))
    if curvature > 0.0 and np.isfinite(curvature):
        full_step = direction * (2.0 * settings.max_kl / curvature) ** 0.5
        fraction = 1.0
        for _ in range(settings.backtrack_steps):
            new = _Policy(layout, theta + fraction * full_step)
            new_mean = new.means(observations)
            kl = _kl_of_means(mean, old.log_std, new_mean, new.log_std)
            ratio = torch.exp(_log_probability(actions, new_mean, new.log_std) - log_probability)
            after = float((ratio * advantages).mean(dtype=torch.float64))
            if not np.isfinite(kl) or not np.isfinite(after):
                fraction *= settings.backtrack_ratio
            elif kl > settings.max_kl:
                # The KL grows with the square of a short step: go straight to the length that should just
                # fit.
                fraction *= _LINE_SEARCH_SHORTENING * (settings.max_kl / kl) ** 0.5
            elif after <= before:
                fraction *= settings.backtrack_ratio
            else:
                return TrpoUpdate(
                    parameters=new.parameters(),
                    kl=kl,
                    surrogate_before=before,
                    surrogate_after=after,
                    accepted=True,
                    step_fraction=fraction,
                )
    return TrpoUpdate(
        parameters=old.parameters(),
        kl=0.0,
        surrogate_before=before,
        surrogate_after=before,
        accepted=False,
        step_fraction=0.0,
    )


def surrogate_gradient(parameters: Mapping[str, NDArray[np.float32]], batch: TrpoBatch) -> Vector:
    """Gradient of mean(ratio * advantage) at ratio 1, flat in the order of `parameter_names`."""
    layout = _Layout(parameters)
    with single_thread():
        return _surrogate_gradient(_Policy(layout, layout.flatten(parameters)), *_tensors(batch)).numpy()


def fisher_vector_product(
    parameters: Mapping[str, NDArray[np.float32]], observations: Matrix, vector: Vector
) -> Vector:
    """Hessian of KL(old || new) at new = old, times a flat vector; mean over the observations."""
    layout = _Layout(parameters)
    with single_thread():
        policy = _Policy(layout, layout.flatten(parameters))
        return _FisherProduct(policy, torch.tensor(observations))(torch.tensor(vector)).numpy()


def kl_divergence(
    old: Mapping[str, NDArray[np.float32]], new: Mapping[str, NDArray[np.float32]], observations: Matrix
) -> float:
    """KL(old || new), summed over action dimensions, averaged over observations, shape (steps, k)."""
    layout = _Layout(old)
    with single_thread():
        first, second = (_Policy(layout, layout.flatten(policy)) for policy in (old, new))
        states = torch.tensor(observations)
        return _kl_of_means(first.means(states), first.log_std, second.means(states), second.log_std)


def parameter_names(parameters: Mapping[str, NDArray[np.float32]]) -> tuple[str, ...]:
    """Order in which the flat vectors of this module hold the parameters."""
    return tuple(_Layout(parameters).shapes)


class _Layout:
    """Where each parameter lies in a flat vector."""

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


class _Policy:
    """The network at one flat parameter vector, in float32."""

    def __init__(self, layout: _Layout, theta: Tensor) -> None:
        self.layout = layout
        self.tensors = layout.views(theta.float())
        self.layers = [(self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]) for name in layout.layers]
        self.log_std = self.tensors["log_std"]
        self.stddev = self.log_std.exp()

    def parameters(self) -> Parameters:
        return {name: tensor.numpy().copy() for name, tensor in self.tensors.items()}

    def forward(self, observations: Tensor) -> tuple[list[Tensor], Tensor]:
        """Inputs of every layer (the first are the observations) and the means."""
        activations = [observations]
        for weight, bias in self.layers[:-1]:
            activations.append(torch.addmm(bias, activations[-1], weight.t()).tanh_())
        weight, bias = self.layers[-1]
        return activations, torch.addmm(bias, activations[-1], weight.t())

    def means(self, observations: Tensor) -> Tensor:
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


class _FisherProduct:
    """v -> F v for fixed states; activations are computed once for all products."""

    def __init__(self, policy: _Policy, observations: Tensor) -> None:
        self.policy = policy
        self.blocks = [(inputs, _slopes(inputs)) for inputs in map(self._inputs, torch.split(observations, _BLOCK))]
        self.metric = 1.0 / (policy.stddev.square() * len(observations))

    def _inputs(self, observations: Tensor) -> list[Tensor]:
        return self.policy.forward(observations)[0]

    def __call__(self, vector: Tensor) -> Tensor:
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


def _surrogate_gradient(policy: _Policy, observations: Tensor, actions: Tensor, advantages: Tensor) -> Tensor:
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


def _conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int) -> Tensor:
    """Approximate solution x of A x = target for a positive definite A given by its product."""
    solution = torch.zeros_like(target)
    residual = target.clone()
    direction = residual.clone()
    squared = float(residual @ residual)
    for _ in range(iterations):
        if squared < 1e-20:
            break
        image = product(direction)
        curvature = float(direction @ image)
        if not curvature > 0.0:
            break
        length = squared / curvature
        solution += length * direction
        residual -= length * image
        previous, squared = squared, float(residual @ residual)
        direction = residual + (squared / previous) * direction
    return solution


def _log_probability(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log density of each action, up to a constant."""
    return -0.5 * ((actions - mean) / log_std.exp()).square().sum(dim=1) - log_std.sum()


def _kl_of_means(old_mean: Tensor, old_log_std: Tensor, new_mean: Tensor, new_log_std: Tensor) -> float:
    shift = ((old_mean - new_mean).double() / new_log_std.double().exp()).square()
    log_ratio = new_log_std.double() - old_log_std.double()
    return float((log_ratio + 0.5 * torch.exp(-2.0 * log_ratio) - 0.5).sum() + 0.5 * shift.sum(dim=1).mean())


def _tensors(batch: TrpoBatch) -> tuple[Tensor, Tensor, Tensor]:
    # Copies: torch aligns its own memory, and the last bits of a matrix product can depend on the alignment.
    return torch.tensor(batch.observations), torch.tensor(batch.actions), torch.tensor(batch.advantages)
