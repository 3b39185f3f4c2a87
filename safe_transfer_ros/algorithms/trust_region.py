# SPDX-License-Identifier: Apache-2.0
"""The trust region about a policy: natural gradients by conjugate gradient, and the line search that stays inside it.

TRPO, its Lagrangian form, CPO and CSC differ in the direction they take and in what they call an improvement; the
region is the same.

The KL divergence is SUMMED over action dimensions and averaged over ALL states of the batch. PSPT's bound on
the effect of the update (Eq. 28-31) is derived for that sum and means nothing for an average over dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safe_transfer_ros.algorithms.gaussian_network import (
    FisherProduct,
    Layout,
    Matrix,
    Network,
    Parameters,
    kl_of_means,
    log_probability,
    surrogate_gradient,
)
from safe_transfer_ros.randomness import Purpose, generator

_AIM = 0.98  # of sqrt(max_kl): where the line search aims, so that rounding does not put it outside
_ENOUGH = 0.95  # of max_kl: a step that was cut to the region and uses this much of it is not made longer


@dataclass(frozen=True, kw_only=True)
class TrustRegionSettings:
    """Settings of one update.

    Attributes:
      max_kl: Trust region: bound on KL(old || new), summed over dimensions, mean over states (PSPT: .01,
        then .05; CSC: .01).
      cg_iterations: Steps of the conjugate gradient.
      damping: Added to the Fisher matrix's diagonal while the direction is sought.
      backtrack_ratio: The step shrinks by this factor when it is not an improvement.
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
class Step:
    """Result of a line search.

    Attributes:
      parameters: The new ones, or copies of the old ones where nothing was accepted.
      kl: KL(old || new) over all states, summed over dimensions; 0 where nothing was accepted.
      fraction: Length of the accepted step, in full steps; 0 where nothing was accepted.
      ratio: Probability ratios new / old of the steps, shape (steps,); ones where nothing was accepted.
    """

    parameters: Parameters
    kl: float
    fraction: float
    ratio: Tensor

    @property
    def accepted(self) -> bool:
        """Whether the parameters changed."""
        return self.fraction > 0.0


class TrustRegion:
    """The region KL(old || new) <= max_kl about a policy, over the states it visited.

    Its methods want `single_thread` about them.
    """

    def __init__(
        self,
        parameters: Mapping[str, NDArray[np.float32]],
        observations: Matrix,
        actions: Matrix,
        settings: TrustRegionSettings,
        seed: int,
    ) -> None:
        """Look at the old policy.

        Args:
          parameters: hidden.<i>.weight (out, in) and .bias, mean.weight and .bias, log_std; float32.
          observations: Shape (steps, k).
          actions: Shape (steps, n).
          settings: See `TrustRegionSettings`.
          seed: Chooses the states of the Fisher estimate.
        """
        self.settings = settings
        self._layout = Layout(parameters)
        self._theta = self._layout.flatten(parameters)
        # Copies: torch aligns its own memory, and the last bits of a matrix product can depend on the alignment.
        self._observations, self._actions = torch.tensor(observations), torch.tensor(actions)
        self._old = Network(self._layout, self._theta)
        self._mean = self._old.means(self._observations)
        self._log_probability = log_probability(self._actions, self._mean, self._old.log_std)
        count = len(self._observations)
        size = max(1, round(settings.fisher_fraction * count))
        chosen = np.sort(generator(Purpose.FISHER_STATES, seed).choice(count, size=size, replace=False))
        states = self._observations if size == count else self._observations[torch.from_numpy(chosen)]
        self.fisher = FisherProduct(self._old, states)

    def gradient(self, advantages: Tensor) -> Tensor:
        """Gradient of mean(ratio * advantage) at the old policy, flat."""
        return surrogate_gradient(self._old, self._observations, self._actions, advantages)

    def natural(self, gradient: Tensor) -> Tensor:
        """H^-1 gradient, approximately; H is the damped Fisher matrix."""
        damping = self.settings.damping
        return conjugate_gradient(
            lambda vector: self.fisher(vector) + damping * vector, gradient, self.settings.cg_iterations
        )

    def search(self, full_step: Tensor, improves: Callable[[Tensor], bool]) -> Step:
        """Shorten a step until it is inside the region and an improvement; keep the old policy if it never is.

        A step that had to be cut to the region is as long as the region allows: between a length inside and one
        outside the search goes on until .95 of max_kl are used.

        Args:
          full_step: Change of the parameters to begin with, flat.
          improves: Whether the probability ratios new / old of the steps, shape (steps,), are an improvement.
        """
        best, outside = self.stay(), (math.inf, math.inf)
        fraction, aim = 1.0, _AIM * math.sqrt(self.settings.max_kl)
        for _ in range(self.settings.backtrack_steps):
            step = self._step(full_step, fraction)
            if step is not None and step.kl > self.settings.max_kl:
                outside = fraction, math.sqrt(step.kl)
            elif step is not None and improves(step.ratio):
                best = step
                if step.kl >= _ENOUGH * self.settings.max_kl or math.isinf(outside[0]):
                    break
            elif best.accepted:
                break  # a longer one improves nothing
            else:
                fraction *= self.settings.backtrack_ratio
                continue
            # sqrt(KL) grows about in proportion to the step: aim between the longest inside and the shortest outside.
            inside = best.fraction, math.sqrt(max(best.kl, 0.0))
            fraction = inside[0] + (outside[0] - inside[0]) * (aim - inside[1]) / (outside[1] - inside[1])
        return best

    def _step(self, full_step: Tensor, fraction: float) -> Step | None:
        """A part of a step, accepted or not; None where it leads to what is no number."""
        new = Network(self._layout, self._theta + fraction * full_step)
        mean = new.means(self._observations)
        kl = kl_of_means(self._mean, self._old.log_std, mean, new.log_std)
        ratio = torch.exp(log_probability(self._actions, mean, new.log_std) - self._log_probability)
        return Step(parameters=new.parameters(), kl=kl, fraction=fraction, ratio=ratio) if np.isfinite(kl) else None

    def stay(self) -> Step:
        """Take no step."""
        ratio = torch.ones_like(self._log_probability)
        return Step(parameters=self._old.parameters(), kl=0.0, fraction=0.0, ratio=ratio)


def conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int) -> Tensor:
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
