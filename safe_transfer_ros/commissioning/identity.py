# SPDX-License-Identifier: Apache-2.0
"""Identity of a commissioned arm: place, description and the configuration under which it was stopped and pushed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from safe_transfer_ros import __version__
from safe_transfer_ros.configuration import build
from safe_transfer_ros.parameters.controller_supervisor import COMMISSIONED_DESCRIPTION
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.sections import SHARED
from safe_transfer_ros.robots.description import RobotDescription

SHOWN = 4
"""Most differences that a refusal names; it counts the others."""


def identity(
    robot: RobotDescription, parameters: Mapping[str, Mapping[str, Any]], *, ros_domain: int
) -> dict[str, Any]:
    """Identity of a report's subject, as plain data: whatever differs in it needs a new report.

    The torque limits of a run are not in it: a run begins with low ones and raises them (docs/hardware.md).

    Args:
      robot: What the arm is believed to be.
      parameters: Every parameter of every node, defaults filled in.
      ros_domain: Domain in which the arm is.
    """
    experiment = build(ExperimentParameters, parameters[SHARED], where="configuration")
    franka = parameters["controller_supervisor"].get("hardware") == "franka"
    driver = {"franka_robot": dict(parameters["franka_robot"])} if franka else {}  # its thresholds, load and timeouts
    return driver | {
        "robot": robot.name,
        "ros_domain": ros_domain,
        "namespace": experiment.namespace,
        "software": __version__,
        "controller": experiment.controller,
        "controller_joints": list(experiment.command_joints(robot.joint_names)),
        "adds_gravity": experiment.adds_gravity(robot.gravity_compensated),
        "limits": {
            name: {
                field.name: float(getattr(robot.limits, field.name)[joint])
                for field in dataclasses.fields(robot.limits)
            }
            for joint, name in enumerate(robot.joint_names)
        },
        "description": {
            field.name: _plain(getattr(robot, field.name))
            for field in dataclasses.fields(robot)
            if field.name not in ("name", "urdf", "limits")
        },
        "urdf_sha256": sha256(robot.urdf.encode()).hexdigest(),
        "safety_filter": {
            # A critic is a policy's, a damage budget a run's: the procedure is walked through without.
            name: value
            for name, value in parameters["safety_filter"].items()
            if not name.startswith(("critic", "budget"))
        },
        "controller_supervisor": {
            name: value
            for name, value in parameters["controller_supervisor"].items()
            if name != COMMISSIONED_DESCRIPTION
        },
    }


def same_place(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether two identities are of a robot of one name in one ROS domain and namespace."""
    return all(recorded.get(name) == present[name] for name in ("robot", "ros_domain", "namespace"))


def difference(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Difference between two identities in words, empty where there is none.

    Args:
      recorded: A report, which holds more besides.
      present: Identity of what is to be driven.
    """
    found = [text for name, value in present.items() for text in _differences(recorded.get(name), value, name)]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "; ".join(found[:SHOWN] + more)


def _differences(recorded: Any, present: Any, path: str) -> Iterator[str]:
    if isinstance(present, Mapping) and isinstance(recorded, Mapping):
        for name in dict.fromkeys((*present, *recorded)):
            yield from _differences(recorded.get(name), present.get(name), f"{path}.{name}")
    elif recorded != present:
        yield f"{path} was {_told(recorded)}, is {_told(present)}"


def _told(value: Any) -> str:
    """A value for a sentence: a whole mapping or a long list tells nobody anything."""
    if value is None or value == "":
        return "none"
    if isinstance(value, Mapping):
        return f"{len(value)} values"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _plain(value: Any) -> Any:
    """A value of a description as YAML knows it and gives it back."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value
