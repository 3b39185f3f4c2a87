# SPDX-License-Identifier: Apache-2.0
"""One TRPO step: the natural gradient of the surrogate, as far as the trust region goes (Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.gaussian_network import Matrix, Parameters
from safe_transfer_ros.algorithms.single_thread import single_thread
from safe_transfer_ros.algorithms.trust_region import TrustRegion, TrustRegionSettings


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
    """Result of an update.

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
    parameters: Mapping[str, NDArray[np.float32]], batch: TrpoBatch, settings: TrustRegionSettings, seed: int
) -> TrpoUpdate:
    """Improve the surrogate within the trust region (Schulman et al. 2015), or keep the old parameters.

    With advantages A_R - lambda' A_C (see `lagrange.penalised_advantages`) it is the step of TRPO-Lagrangian and CSC.

    Args:
      parameters: hidden.<i>.weight (out, in) and .bias, mean.weight and .bias, log_std; float32.
      batch: Steps sampled under these parameters.
      settings: See `TrustRegionSettings`.
      seed: Chooses the states of the Fisher estimate; equal inputs and seeds give equal parameters.

    Returns:
      The update; its kl never exceeds settings.max_kl.
    """
    with single_thread():
        return _update(TrustRegion(parameters, batch.observations, batch.actions, settings, seed), batch)


def _update(region: TrustRegion, batch: TrpoBatch) -> TrpoUpdate:
    advantages = torch.tensor(batch.advantages)
    direction = region.natural(region.gradient(advantages))
    curvature = float(direction @ region.fisher(direction))
    before = float(advantages.mean(dtype=torch.float64))

    def surrogate(ratio: torch.Tensor) -> float:
        return float((ratio * advantages).mean(dtype=torch.float64))

    step = region.stay()
    if curvature > 0.0 and np.isfinite(curvature):
        full = direction * (2.0 * region.settings.max_kl / curvature) ** 0.5
        step = region.search(full, lambda ratio: bool(before < surrogate(ratio) < np.inf))
    return TrpoUpdate(
        parameters=step.parameters,
        kl=step.kl,
        surrogate_before=before,
        surrogate_after=surrogate(step.ratio),
        accepted=step.accepted,
        step_fraction=step.fraction,
    )
