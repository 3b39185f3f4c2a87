# SPDX-License-Identifier: Apache-2.0
"""The safety filter's rules as its node's parameters have them."""

from __future__ import annotations

import importlib

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.critic.gate import Gate
from safe_transfer_ros.safety.filter.damage_watch import DamageWatch
from safe_transfer_ros.safety.filter.gravity_term import GravityTerm
from safe_transfer_ros.safety.filter.plausibility import SIMULATED_SPEED_FACTOR, SPEED_FACTOR, Plausibility
from safe_transfer_ros.safety.filter.safety_filter import SafetyFilter
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.tasks.deployment import TaskInGraph
from safe_transfer_ros.tasks.view import View


def filter_rules(
    experiment: ExperimentParameters, settings: FilterParameters, graph: TaskInGraph, view: View, gate: Gate | None
) -> SafetyFilter:
    """The rules for a task.

    Args:
      experiment: What all nodes agree on.
      settings: The filter's own parameters.
      graph: The task.
      view: The filter's own view of it.
      gate: Safety critic, if any; it must not keep its caller waiting.

    Raises:
      ConfigurationError: in lockstep, if a stop may take longer than a control period.
      ValueError: if the settings do not fit together.
    """
    task, robot, lockstep = graph.task, graph.task.robot, experiment.lockstep
    limits = robot.limits
    gravity: GravityTerm | None = None
    if experiment.adds_gravity(robot.gravity_compensated):
        dynamics = importlib.import_module("safe_transfer_ros.robots.dynamics").ArmDynamics  # brings mujoco
        gravity = GravityTerm(dynamics(robot).gravity_torque, limits.effort, settings.torque_rate_limit)
    budget = experiment.governor().budget(settings.budget_periods or task.horizon)
    damage: DamageWatch | None = None
    if budget is not None:
        unsafety = graph.unsafety_reader(experiment.seed)
        damage = DamageWatch(budget, unsafety, task.unsafety_limit, len(robot.joint_names))
    factor = SIMULATED_SPEED_FACTOR if lockstep else SPEED_FACTOR
    rules = SafetyFilter(
        robot.joint_names,
        limits.effort,
        settings.rule_settings(lockstep=lockstep, state_period_s=graph.state_period_s(lockstep=lockstep)),
        TorqueLimitGuard(
            experiment.lowest_limit,
            experiment.torque_limit_max,
            iteration=experiment.first_iteration,
            torque_limit=experiment.starting_limit,
            budget=budget,
        ),
        gate=gate,
        observe=view.observe,
        soft_limits=task.soft_limits if settings.soft_limits_hold(lockstep) else None,
        drive=graph.drive(),
        gravity=gravity,
        plausible=Plausibility(limits.lower, limits.upper, limits.velocity, factor),
        tracks_object=graph.tracks_object,
        damage=damage,
    )
    if lockstep and experiment.torque_limit_max > settings.torque_rate_limit * task.control_period_s:
        raise ConfigurationError(
            f"lockstep: from torque_limit_max, {experiment.torque_limit_max:g} N·m, to zero must take "
            f"no longer than a control period, {task.control_period_s:g} s: raise torque_rate_limit"
        )
    return rules
