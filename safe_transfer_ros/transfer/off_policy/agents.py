# SPDX-License-Identifier: Apache-2.0
"""Agents of the off-policy methods, made for a task."""

from __future__ import annotations

import dataclasses

from safe_transfer_ros.algorithms.cost_critic import CostCriticSettings, discounted_limit
from safe_transfer_ros.algorithms.sac.agent import Sac, SacSettings
from safe_transfer_ros.algorithms.sac.cost_constraint import CostConstraintSettings
from safe_transfer_ros.algorithms.td3 import Td3, Td3Settings
from safe_transfer_ros.algorithms.wcpg import Wcpg, WcpgSettings
from safe_transfer_ros.transfer.dual_agent.agent import DualAgent, DualAgentSettings
from safe_transfer_ros.transfer.dual_agent.baseline import Baseline, LearnedBaseline, given_baseline
from safe_transfer_ros.transfer.off_policy.layered import LayeredAgent, SafetyLayerSettings
from safe_transfer_ros.transfer.off_policy.method import AgentTask
from safe_transfer_ros.transfer.off_policy.start import CRITICS_FIRST, start_of


def td3(task: AgentTask) -> Td3:
    """TD3 with the settings of its paper and the task's discount."""
    return Td3(task.observation_size, task.bound, Td3Settings(gamma=task.gamma), seed=task.plan.seed)


def sac(task: AgentTask) -> Sac:
    """SAC with the settings of its paper and the task's discount, from scratch or from a policy file."""
    return _sac(task, SacSettings(gamma=task.gamma))


def ensemble_sac(task: AgentTask) -> Sac:
    """SAC with ten critics, of which the 30th percentile counts (SQRL's rival; the numbers are its authors' code's)."""
    return _sac(task, SacSettings(gamma=task.gamma, members=10, quantile=0.3))


def _sac(task: AgentTask, settings: SacSettings) -> Sac:
    plan = task.plan
    settings = dataclasses.replace(
        settings, max_entropy=plan.settings.max_entropy, critics_first=CRITICS_FIRST if plan.start else 0
    )
    agent = Sac(task.observation_size, task.bound, settings, seed=plan.seed)
    if plan.start:
        start = start_of(plan.start)
        agent.start_from(start.policy, start.temperature)
    return agent


def wcpg(task: AgentTask) -> Wcpg:
    """WCPG, which maximises CVaR of the return, from scratch or from a policy file of its own (SQRL's rival)."""
    plan = task.plan
    settings = WcpgSettings(gamma=task.gamma, critics_first=CRITICS_FIRST if plan.start else 0)
    agent = Wcpg(task.observation_size, task.bound, settings, seed=plan.seed)
    if plan.start:
        agent.start_from(start_of(plan.start, deterministic=True).policy)
    return agent


def sac_lagrangian(task: AgentTask) -> Sac:
    """SAC with a multiplier on its discounted costs."""
    constraint = CostConstraintSettings(limit=_cost_limit(task), gamma=task.plan.settings.cost_gamma)
    settings = SacSettings(gamma=task.gamma)
    return Sac(task.observation_size, task.bound, settings, seed=task.plan.seed, constraint=constraint)


def safety_layer(task: AgentTask) -> LayeredAgent:
    """A safety layer on TD3, which learns behind it, or on the baseline that the plan names."""
    critic = CostCriticSettings(gamma=task.plan.settings.cost_gamma)
    settings = SafetyLayerSettings(limit=_cost_limit(task), critic=critic)
    return LayeredAgent(task.observation_size, task.bound, _baseline(task), settings, seed=task.plan.seed)


def _cost_limit(task: AgentTask) -> float:
    """Limit of discounted costs, at the discount that all methods have for them."""
    return discounted_limit(task.accepted_cost, task.plan.settings.cost_gamma, task.horizon)


def dual_agent(task: AgentTask) -> DualAgent:
    """DARL's agents, beside a baseline that learns by TD3, or beside the one that the plan names."""
    settings = DualAgentSettings(horizon=task.horizon, tolerance=task.accepted_cost)
    return DualAgent(task.observation_size, task.bound, _baseline(task), settings, seed=task.plan.seed)


def _baseline(task: AgentTask) -> Baseline:
    if not task.plan.baseline:
        return LearnedBaseline(td3(task))
    return given_baseline(task.plan.baseline, observation_size=task.observation_size, bound=task.bound)
