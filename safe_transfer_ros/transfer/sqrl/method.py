# SPDX-License-Identifier: Apache-2.0
"""SQRL and its risk-sensitive rival as methods of `safe_transfer train`."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.algorithms.sac.agent import SacSettings
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.registry import load
from safe_transfer_ros.tasks.task import TASKS
from safe_transfer_ros.transfer.off_policy.method import AgentTask, OffPolicyMethod
from safe_transfer_ros.transfer.off_policy.start import CRITICS_FIRST, start_of
from safe_transfer_ros.transfer.sqrl.agent import SqrlAgent
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings
from safe_transfer_ros.transfer.training import FINE_TUNING, PRE_TRAINING, TrainingPlan, TrainingRun


@dataclass(frozen=True, kw_only=True)
class SqrlMethod(OffPolicyMethod):
    """A method whose epochs have on-policy episodes for a safety critic; see `transfer.sqrl.run.SqrlRun`."""

    def begin(self, plan: TrainingPlan) -> TrainingRun:
        """Start a run; see `TrainingMethod.begin`."""
        made: TrainingRun = load("safe_transfer_ros.transfer.sqrl.run:SqrlRun")(self, plan)
        return made


def settings_of(plan: TrainingPlan) -> SqrlSettings:
    """SQRL's settings for a plan; the discount of the safety critic is the task's unless the plan says another."""
    asked = plan.settings
    gamma = TASKS[plan.task].safety_gamma if asked.safety_gamma is None else asked.safety_gamma
    return SqrlSettings(epsilon=asked.epsilon, gamma=gamma, online=asked.online_critic)


def sqrl(task: AgentTask) -> SqrlAgent:
    """Algorithm 1, or in fine-tuning Algorithm 2 from a file of the former."""
    tuning = task.plan.phase == FINE_TUNING
    return _agent(task, mask=True, masked_exploration=tuning, penalty="dual" if tuning else "")


def risk_sensitive(task: AgentTask) -> SqrlAgent:
    """SAC less a weight times SQRL's critic, without a mask.

    Raises:
      ValueError: in pre-training, where it would be SQRL.
    """
    if task.plan.phase == PRE_TRAINING:
        raise ValueError("risk-sensitive is pre-trained as SQRL is: fine-tune it from a file of `train sqrl`")
    return _agent(task, mask=False, penalty="ramp")


def _agent(task: AgentTask, *, mask: bool, masked_exploration: bool = False, penalty: str = "") -> SqrlAgent:
    plan = task.plan
    sac = SacSettings(
        gamma=task.gamma,
        max_entropy=plan.settings.max_entropy,
        critics_first=CRITICS_FIRST if plan.start else 0,
    )
    agent = SqrlAgent(
        task.observation_size,
        task.bound,
        sac,
        settings_of(plan),
        seed=plan.seed,
        mask=mask,
        masked_exploration=masked_exploration,
        penalty=penalty,
        limit_input=TASKS[plan.task].limit_input,
    )
    if plan.start:
        start = start_of(plan.start)
        if not start.critic:
            raise WeightsError(f"policy {plan.start}: expected a safety critic beside it, as `train sqrl` writes")
        agent.start_from(start.policy, start.critic, start.temperature)
    return agent
