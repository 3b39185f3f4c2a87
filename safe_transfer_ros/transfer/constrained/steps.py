# SPDX-License-Identifier: Apache-2.0
"""Steps of a policy along advantages: TRPO's within its region, or PPO's."""

from __future__ import annotations

from typing import Protocol

from safe_transfer_ros.algorithms.ppo import ppo_update
from safe_transfer_ros.algorithms.trpo import TrpoBatch, trpo_update
from safe_transfer_ros.policies.weights import Parameters
from safe_transfer_ros.transfer.constrained.settings import LearnerSettings


class PolicyStep(Protocol):
    """One way to step along advantages."""

    def __call__(
        self, parameters: Parameters, batch: TrpoBatch, settings: LearnerSettings, seed: int
    ) -> tuple[Parameters, float]:
        """Improve a policy.

        Args:
          parameters: The policy's.
          batch: Steps sampled from it, with their advantages.
          settings: Of the learner.
          seed: Equal ones give equal parameters.

        Returns:
          New parameters, and KL(old || new).
        """
        ...


def trpo_step(
    parameters: Parameters, batch: TrpoBatch, settings: LearnerSettings, seed: int
) -> tuple[Parameters, float]:
    """See `PolicyStep`."""
    found = trpo_update(parameters, batch, settings.region, seed)
    return found.parameters, found.kl


def ppo_step(
    parameters: Parameters, batch: TrpoBatch, settings: LearnerSettings, seed: int
) -> tuple[Parameters, float]:
    """See `PolicyStep`."""
    found = ppo_update(parameters, batch, settings.ppo, seed)
    return found.parameters, found.kl
