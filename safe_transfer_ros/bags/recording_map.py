# SPDX-License-Identifier: Apache-2.0
"""Mapping of the topics and fields of another stack's recording: a hand-written YAML file, checked by entry.

joint_states: /arm/joint_states        # sensor_msgs/msg/JointState, or anything with name, position, velocity
commands: /arm/effort_command          # std_msgs/msg/Float64MultiArray, or any array of numbers
command_field: data                    # the array's field
joints: [shoulder, elbow, wrist]       # names in the joint states, in the order of the commands
rate: 20.0                             # decisions a second
task: pr2_cup_swirl                    # gives observation, reward and safety function; or, for any other arm:
unsafe: {joint_speed_above: 2.0}       # rad/s, of any joint; or joint_angle_beyond: 1.5, rad from zero
torque_limit: 3.0                      # N·m in force while it was recorded
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.untrusted import UntrustedError, printable, read_yaml

SAFETY_FUNCTIONS = ("joint_speed_above", "joint_angle_beyond")


@dataclass(frozen=True, kw_only=True)
class RecordingMap:
    """Mapping of the topics and fields of a recording; see the module."""

    joint_states: str
    commands: str
    joints: tuple[str, ...]
    rate: float
    command_field: str = "data"
    torque_limit: float = 0.0
    task: str = ""
    unsafe: Mapping[str, float] = field(default_factory=dict)


def read_mapping(path: Path) -> RecordingMap:
    """Read and check a mapping.

    Raises:
      BagError: one line saying what is wrong with it: the file, the entry, what was expected and what came.
    """
    try:
        document = read_yaml(path)
    except OSError as error:
        raise BagError(f"cannot read the mapping {path}: {error.strerror or error}") from error
    except UntrustedError as error:
        raise BagError(f"the mapping {error}") from None
    if not isinstance(document, dict):
        raise BagError(f"the mapping {path} must be 'name: value' lines, got {type(document).__name__}")
    fields = {part.name: part for part in dataclasses.fields(RecordingMap)}
    for name in document:
        if name not in fields:
            raise BagError(f"{path}: unknown entry '{printable(name)}'; {nearest(str(name), fields)}")
    missing = [name for name in ("joint_states", "commands", "joints", "rate") if document.get(name) in (None, "", [])]
    if missing:
        raise BagError(f"{path} lacks {', '.join(missing)}")
    values: dict[str, Any] = {}
    for name, value in document.items():
        checked = _READERS[name](value)
        if checked is None:
            got = printable(repr(value))
            got = got if len(got) < 60 else f"{got[:60]} ..."
            raise BagError(f"{path}: {name} must be {_EXPECTED[name]}, got {got}")
        values[name] = checked
    mapping = RecordingMap(**values)
    if not mapping.task and len(mapping.unsafe) != 1:
        raise BagError(f"{path}: give a task, or one of {', '.join(SAFETY_FUNCTIONS)} under unsafe")
    return mapping


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any, *, zero: bool = False) -> float | None:
    """A finite number above zero, or also zero; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and (number > 0.0 or (zero and number == 0.0)) else None


def _joints(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not 0 < len(value) <= JointOrder.MAX_NAMES:
        return None
    whole = all(isinstance(name, str) and name for name in value) and len(set(value)) == len(value)
    return tuple(value) if whole else None


def _unsafe(value: Any) -> dict[str, float] | None:
    if not isinstance(value, dict) or any(name not in SAFETY_FUNCTIONS for name in value):
        return None
    bounds = {name: _number(bound) for name, bound in value.items()}
    return None if None in bounds.values() else {name: bound for name, bound in bounds.items() if bound is not None}


_READERS: dict[str, Callable[[Any], Any]] = {
    "joint_states": _text,
    "commands": _text,
    "joints": _joints,
    "rate": _number,
    "command_field": _text,
    "torque_limit": lambda value: _number(value, zero=True),
    "task": _text,
    "unsafe": _unsafe,
}
_EXPECTED = {
    "joint_states": "a topic's name",
    "commands": "a topic's name",
    "joints": "a list of joint names, each once, like [shoulder, elbow]",
    "rate": "a number above 0, decisions a second",
    "command_field": "a field's name",
    "torque_limit": "a number of N·m, 0 or above",
    "task": "a task's name",
    "unsafe": f"{{name: bound}} with a name out of {', '.join(SAFETY_FUNCTIONS)} and a number above 0",
}
