# SPDX-License-Identifier: Apache-2.0
"""Checks before an arm is driven: nothing laxer than a real arm needs, and a commissioning that speaks for this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safe_transfer_ros.commissioning import report
from safe_transfer_ros.commissioning.identity import identity
from safe_transfer_ros.configuration import OFF, ConfigurationError
from safe_transfer_ros.launching.graph import Parameters
from safe_transfer_ros.parameters.controller_supervisor import ANY_DESCRIPTION, COMMISSIONED_DESCRIPTION
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.robots.overrides import RobotOverrides
from safe_transfer_ros.tasks.deployment import TaskInGraph, in_graph


def check_commissioned(parameters: Parameters, given: Mapping[str, str], *, ros_domain: int) -> dict[str, Any]:
    """Refuse an arm that no valid report speaks for; hold the supervisor to the description of the report.

    Args:
      parameters: Every parameter of every node; the supervisor's `commissioned_description` is filled in.
      given: Launch arguments: `commission`, `allow_uncommissioned`.
      ros_domain: Domain in which the arm is.

    Returns:
      On what report, or against which refusal, the arm is driven: for commission.yaml of the run directory.

    Raises:
      ConfigurationError: what stands against it, and the fix.
    """
    check_strictness(parameters)
    robot = _graph(parameters).task.robot
    about = identity(robot, parameters, ros_domain=ros_domain)
    path = Path(given["commission"]).absolute() if given.get("commission") else report.newest(about)
    refusal = report.refusal(path, about, parameters["commission"]["valid_days"])
    supervisor = parameters["controller_supervisor"]
    if path is not None and refusal is None:
        supervisor[COMMISSIONED_DESCRIPTION] = report.description_fingerprint(path)
        return {"report": str(path), "overridden": False}
    if given.get("allow_uncommissioned") != "true":
        raise ConfigurationError(
            f"{_robot(parameters)}: {refusal} (allow_uncommissioned:=true overrides, and is recorded)"
        )
    supervisor[COMMISSIONED_DESCRIPTION] = ANY_DESCRIPTION
    return {"report": str(path or ""), "overridden": True, "refusal": refusal}


def _graph(parameters: Parameters) -> TaskInGraph:
    """The task, done by the arm that the parameters describe."""
    return in_graph(parameters[SHARED]["task"], RobotOverrides.of(parameters[SHARED]))


def _robot(parameters: Parameters) -> str:
    """Launch argument that these parameters are of."""
    return f"robot:={'franka' if parameters['controller_supervisor']['hardware'] == 'franka' else 'hardware'}"


def check_strictness(parameters: Parameters) -> None:
    """Refuse settings that are laxer than a real arm needs.

    Raises:
      ConfigurationError: names the setting, and the fix.
    """
    if parameters[SHARED]["timing"] == "lockstep":
        raise ConfigurationError(f"{_robot(parameters)} cannot wait for us: leave out timing:=lockstep")
    robot = _graph(parameters).task.robot
    if not robot.gravity_compensated and parameters[SHARED]["add_gravity"] == "never":
        raise ConfigurationError(
            f"{_robot(parameters)}: {robot.name} does not carry its own weight: at zero torque it would fall; leave "
            "out add_gravity: never"
        )
    filter_ = parameters["safety_filter"]
    if filter_["permission_lease"] == OFF:
        raise ConfigurationError(
            f"{_robot(parameters)} needs safety_filter.permission_lease, s, so that the arm stops with its supervisor: "
            "it must not be off"
        )
    if filter_["reset_torque_limit"] > parameters[SHARED]["torque_limit_max"]:
        raise ConfigurationError(
            f"safety_filter.reset_torque_limit {filter_['reset_torque_limit']:g} N·m is above torque_limit_max "
            f"{parameters[SHARED]['torque_limit_max']:g} N·m"
        )
