# SPDX-License-Identifier: Apache-2.0
"""The dated report of a commissioning, and whether it still speaks for the arm that is to be moved."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from safe_transfer_ros import __version__
from safe_transfer_ros.commissioning.procedure import STEPS
from safe_transfer_ros.commissioning.step import StepResult
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.robots.description import RobotDescription
from safe_transfer_ros.untrusted import UntrustedError, read_yaml

NAME = "report.yaml"
FIX = "run `safe_transfer commission`"


def folder() -> Path:
    """Folder of the reports: $ROS_HOME/safe_transfer/commission, one folder each, named by date and time."""
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "safe_transfer" / "commission"


def newest(robot: str) -> Path | None:
    """Newest report about a robot, passed or not; None when there is none."""
    found = [path for path in sorted(folder().glob(f"*/{NAME}")) if _content(path).get("robot") == robot]
    return found[-1] if found else None


def identity(robot: RobotDescription, experiment: ExperimentParameters) -> dict[str, Any]:
    """Identity of a report's subject: another arm, model, controller, joint order or program needs a new report."""
    return {
        "robot": robot.name,
        "urdf_sha256": hashlib.sha256(robot.urdf.encode()).hexdigest(),
        "software": __version__,
        "controller": experiment.controller,
        "controller_joints": list(experiment.command_joints(robot.joint_names)),
    }


def write(path: Path, about: dict[str, Any], outcomes: Sequence[StepResult], ended: str = "") -> bool:
    """Write a report.

    Args:
      path: File to write.
      about: `identity` of what was commissioned.
      outcomes: Of the steps that were run.
      ended: Why the procedure was broken off; empty when it was not.

    Returns:
      Whether every step was run and passed.
    """
    steps = [
        {"name": one.name, "passed": one.passed, "says": one.says, "measured": dict(one.measured)} for one in outcomes
    ]
    passed = not ended and [one.name for one in outcomes if one.passed] == list(STEPS)
    document = about | {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "unix_time": round(time.time()),
        "passed": passed,
        "broken_off": ended,
        "steps": steps,
    }
    write_atomically(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return passed


def refusal(path: Path | None, about: dict[str, Any], valid_days: float) -> str | None:
    """Reason why a report does not permit driving an arm; None when it does.

    Args:
      path: The report; None: there is none.
      about: `identity` of what is to be driven.
      valid_days: Greatest age, days.
    """
    if path is None:
        return f"no commissioning report for {about['robot']} in {folder()}: {FIX}"
    try:
        content = read_yaml(path)
        age_days = (time.time() - float(content["unix_time"])) / 86400.0
        steps = {str(one["name"]): one for one in content["steps"]}
    except (OSError, TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return f"{path} is not a readable commissioning report: {FIX}"
    for name, wanted in about.items():
        if content.get(name) != wanted:
            return f"{path} is about {name} {content.get(name)}, this is {wanted}: {FIX}"
    failed = next((one for one in steps.values() if one.get("passed") is not True), None)
    if failed is not None:
        return f"{path}: step {failed['name']} failed ({failed.get('says')}): fix that, then {FIX}"
    missing = [name for name in STEPS if name not in steps]
    if content.get("passed") is not True or missing:
        return f"{path} was broken off ({content.get('broken_off') or ', '.join(missing)}): {FIX} to its end"
    # A report from the future is as worthless as an old one: some clock was wrong.
    if not 0.0 <= age_days + 1.0 / 24.0 <= valid_days + 1.0 / 24.0:
        return f"{path} is of {content.get('date')}, and valid for {valid_days:g} days: {FIX}"
    return None


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except (OSError, UntrustedError):
        return {}
    return content if isinstance(content, dict) else {}
