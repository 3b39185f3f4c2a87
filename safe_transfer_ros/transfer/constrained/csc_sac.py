# SPDX-License-Identifier: Apache-2.0
"""CSC with SAC in TRPO's place (CSC, Fig. 7): the same critic, threshold and multiplier about another policy update."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.algorithms.safety_critic import CSC_ALPHA
from safe_transfer_ros.registry import load
from safe_transfer_ros.transfer.off_policy.method import AgentTask, OffPolicyMethod
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings
from safe_transfer_ros.transfer.training import TrainingPlan, TrainingRun


@dataclass(frozen=True, kw_only=True)
class CscSacMethod(OffPolicyMethod):
    """A method whose critic, threshold and multiplier follow each epoch; see `csc_sac_run.CscSacRun`."""

    def begin(self, plan: TrainingPlan) -> TrainingRun:
        """Start a run; see `TrainingMethod.begin`."""
        made: TrainingRun = load("safe_transfer_ros.transfer.constrained.csc_sac_run:CscSacRun")(self, plan)
        return made


def csc_sac(task: AgentTask) -> SqrlAgent:
    """SAC that explores behind CSC's critic, with its risk in the actor's loss."""
    asked = task.plan.settings
    settings = SqrlSettings(
        epsilon=asked.floor(asked.chi),
        gamma=asked.cost_gamma,
        alpha=CSC_ALPHA if asked.alpha is None else asked.alpha,
        candidates=asked.max_samples,
        capacity=asked.critic_capacity,
        updates=asked.critic_updates,
        batch=asked.critic_batch,
        hidden=asked.critic_hidden,
        learning_rate=asked.critic_rate,
        target_rate=asked.critic_target_rate,
    )
    return SqrlAgent(
        task.observation_size,
        task.bound,
        SacSettings(gamma=task.gamma),
        settings,
        seed=task.plan.seed,
        masked_exploration=True,
        penalty="weighted",
    )
