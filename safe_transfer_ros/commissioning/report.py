# SPDX-License-Identifier: Apache-2.0
"""The dated report of a commissioning, and whether it still speaks for the arm that is to be moved."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from safe_transfer_ros.commissioning.at_rest import DESCRIPTION
from safe_transfer_ros.commissioning.identity import difference, same_place
from safe_transfer_ros.commissioning.procedure import STEPS
from safe_transfer_ros.commissioning.step import StepResult
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.untrusted import UntrustedError, read_yaml

NAME = "report.yaml"
FIX = "run `safe_transfer commission`"


def folder() -> Path:
    """Folder of the reports: $ROS_HOME/safe_transfer/commission, one folder each, named by date and time."""
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "safe_transfer" / "commission"


def newest(about: Mapping[str, Any]) -> Path | None:
    """Newest report, passed or not; None when there is none.

    Args:
      about: `identity` of what is to be driven. A report about this robot in this ROS domain and namespace goes before
        one about a robot of the same name elsewhere, which can only be refused, with the difference in words.
    """
    found = [(path, _content(path)) for path in sorted(folder().glob(f"*/{NAME}"))]
    of_name = [(same_place(content, about), path) for path, content in found if content.get("robot") == about["robot"]]
    return max(of_name)[1] if of_name else None


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
    differs = difference(content, about)
    if differs:
        return f"{path} is about another arm or configuration: {differs}: {FIX}"
    failed = next((one for one in steps.values() if one.get("passed") is not True), None)
    if failed is not None:
        return f"{path}: step {failed['name']} failed ({failed.get('says')}): fix that, then {FIX}"
    missing = [name for name in STEPS if name not in steps]
    if content.get("passed") is not True or missing:
        return f"{path} was broken off ({content.get('broken_off') or ', '.join(missing)}): {FIX} to its end"
    if not _description_of(content):
        return f"{path} does not say which robot_description the arm had: {FIX}"
    # A report from the future is as worthless as an old one: some clock was wrong.
    if not 0.0 <= age_days + 1.0 / 24.0 <= valid_days + 1.0 / 24.0:
        return f"{path} is of {content.get('date')}, and valid for {valid_days:g} days: {FIX}"
    return None


def description_fingerprint(path: Path) -> str:
    """Fingerprint of the robot_description that the arm had at a report; empty where it does not say."""
    return _description_of(_content(path))


def _description_of(content: Mapping[str, Any]) -> str:
    try:
        [measured] = [one["measured"] for one in content["steps"] if one["name"] == "limits"]
        return str(measured[DESCRIPTION])
    except (KeyError, TypeError, ValueError):
        return ""


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except (OSError, UntrustedError):
        return {}
    return content if isinstance(content, dict) else {}
