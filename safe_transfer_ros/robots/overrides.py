# SPDX-License-Identifier: Apache-2.0
"""Names and limits of one particular arm, on top of its robot's description: what a parameter file may say of it.

A parameter file may narrow a limit and never widen one: the description holds what the arm's maker publishes. Names are
written into the URDF itself, so that whoever is given it (RViz, a simulation, commissioning) meets the same ones.
"""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

from safe_transfer_ros.configuration import ConfigurationError, numbers
from safe_transfer_ros.robots.facts import RobotFacts, SoftJointLimits

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNITS = {"position_lower": "rad", "position_upper": "rad", "velocity_limit": "rad/s", "effort_limit": "N·m"}
_ATTRIBUTES = {
    "position_lower": "lower",
    "position_upper": "upper",
    "velocity_limit": "velocity",
    "effort_limit": "effort",
}
"""Field -> attribute of URDF's <limit>."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobotOverrides:
    """Differences of one arm from its robot's description; an empty field is none.

    Attributes:
      joint_names: Names of the driven joints, base to tool.
      name_prefix: Put before the name of every joint and every link, as franka_description's arm_prefix is.
      position_lower: Hard position limit of each driven joint, rad, no lower than the description's.
      position_upper: The same, above, rad.
      velocity_limit: Speed limit of each driven joint, rad/s, no higher than the description's.
      effort_limit: Torque limit of each driven joint, N·m, likewise.
    """

    joint_names: tuple[str, ...] = ()
    name_prefix: str = ""
    position_lower: tuple[float, ...] = ()
    position_upper: tuple[float, ...] = ()
    velocity_limit: tuple[float, ...] = ()
    effort_limit: tuple[float, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> RobotOverrides:
        """Those among a node's parameters: lists are texts, their values separated by commas.

        Raises:
          ConfigurationError: a list is not one of numbers, or of names.
        """
        given = {field.name: str(parameters.get(field.name, "")) for field in dataclasses.fields(cls)}
        listed, prefix = given.pop("joint_names"), given.pop("name_prefix")
        names = tuple(name.strip() for name in listed.split(",")) if listed else ()
        for name in (*names, *([prefix] if prefix else [])):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"joint_names and name_prefix must be made of letters, digits and _, got '{name}': such as left_"
                )
        if len(set(names)) < len(names):
            raise ConfigurationError(f"joint_names must all differ, got {', '.join(names)}")
        limits = {name: numbers(text, name) if text else () for name, text in given.items()}
        return cls(joint_names=names, name_prefix=prefix, **limits)


NO_OVERRIDES = RobotOverrides()


def overridden(facts: RobotFacts, urdf: str, overrides: RobotOverrides) -> tuple[RobotFacts, str]:
    """Facts and URDF of an arm with names and limits of its own.

    Where a position limit is narrowed, the soft limit moves with it: it stays as far inside as it was.

    Args:
      facts: Of the robot.
      urdf: Its XML, which can be read.
      overrides: What differs.

    Raises:
      ConfigurationError: a list has not one value a joint, a limit is laxer than the description's, or home is
        outside.
    """
    if overrides == NO_OVERRIDES:
        return facts, urdf
    builder = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.fromstring(urdf, parser=ElementTree.XMLParser(target=builder))
    soft_limits = dict(facts.soft_limits)
    for index, name in enumerate(facts.joint_names):
        limit = root.find(f"./joint[@name='{name}']/limit")
        if limit is None:
            continue  # `describe` says what is missing
        before = {side: limit.get(side) for side in ("lower", "upper")}
        for field in _ATTRIBUTES:
            _narrow(limit, field, _of_joint(getattr(overrides, field), field, index, facts), name, facts)
        if name in soft_limits:
            soft_limits[name] = _moved(soft_limits[name], before, limit)
        _check_home(facts, index, limit)
    joints = _renamed_joints(facts, root, overrides)
    _rename(root, joints, overrides.name_prefix)
    task_space = facts.task_space
    if task_space is not None:
        task_space = dataclasses.replace(task_space, posture_joint=joints[task_space.posture_joint])
    narrowed = dataclasses.replace(
        facts,
        joint_names=tuple(joints[name] for name in facts.joint_names),
        base_link=overrides.name_prefix + facts.base_link,
        tool_link=overrides.name_prefix + facts.tool_link,
        soft_limits={joints.get(name, name): limits for name, limits in soft_limits.items()},
        task_space=task_space,
    )
    return narrowed, '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _of_joint(values: tuple[float, ...], field: str, index: int, facts: RobotFacts) -> float | None:
    """One joint's value of a list that is given, or None."""
    if values and len(values) != len(facts.joint_names):
        raise ConfigurationError(
            f"{field} must be {len(facts.joint_names)} numbers separated by commas, one for each of "
            f"{', '.join(facts.joint_names)}; got {len(values)}"
        )
    return values[index] if values else None


def _narrow(limit: ElementTree.Element, field: str, value: float | None, name: str, facts: RobotFacts) -> None:
    """Write one limit into the URDF."""
    if value is None:
        return
    attribute, unit = _ATTRIBUTES[field], _UNITS[field]
    text = limit.get(attribute)
    if text is None:
        raise ConfigurationError(f"{field}: {name} of '{facts.name}' turns without an end: leave {field} out")
    described = float(text)
    if value < described if attribute == "lower" else value > described:
        expected = "at least" if attribute == "lower" else "at most"
        raise ConfigurationError(
            f"{field} of {name}: expected {expected} {described:g} {unit}, which is the limit of '{facts.name}', got "
            f"{value:g}: a parameter file may narrow a limit, never widen it"
        )
    limit.set(attribute, repr(value))


def _moved(soft: SoftJointLimits, before: Mapping[str, str | None], limit: ElementTree.Element) -> SoftJointLimits:
    """Soft limits as far inside the hard ones as they were."""
    moved = {}
    for side in ("lower", "upper"):
        old, new = before[side], limit.get(side)
        if old is not None and new is not None and float(new) != float(old):
            moved[side] = getattr(soft, side) + float(new) - float(old)
    return dataclasses.replace(soft, **moved)


def _check_home(facts: RobotFacts, index: int, limit: ElementTree.Element) -> None:
    home, lower, upper = facts.home[index], limit.get("lower"), limit.get("upper")
    if lower is not None and upper is not None and not float(lower) < home < float(upper):
        raise ConfigurationError(
            f"the position limits of {facts.joint_names[index]} must hold its home, {home:g} rad, got {lower} to "
            f"{upper}: widen them up to the description's"
        )


def _renamed_joints(facts: RobotFacts, root: ElementTree.Element, overrides: RobotOverrides) -> dict[str, str]:
    """New name of every joint of the URDF."""
    own = overrides.joint_names or facts.joint_names
    if len(own) != len(facts.joint_names):
        raise ConfigurationError(
            f"joint_names must name {len(facts.joint_names)} joints, those of '{facts.name}' from base to tool "
            f"({', '.join(facts.joint_names)}); got {len(own)}"
        )
    driven = dict(zip(facts.joint_names, own, strict=True))
    others = {joint.get("name", "") for joint in root.findall("joint")}
    for old, new in driven.items():
        # A list in another order would have every torque go to another joint than it is meant for.
        if new != old and new in others:
            raise ConfigurationError(
                f"joint_names: '{new}' is another joint of '{facts.name}' than the one in its place, {old}: name the "
                "joints from base to tool"
            )
    return {name: overrides.name_prefix + driven.get(name, name) for name in others}


def _rename(root: ElementTree.Element, joints: Mapping[str, str], prefix: str) -> None:
    """Write names into every element that has one of a joint or a link."""
    for element in root.iter():
        if element.tag == "joint" and element.get("name") in joints:
            element.set("name", joints[element.get("name", "")])
        elif element.tag == "mimic" and element.get("joint") in joints:
            element.set("joint", joints[element.get("joint", "")])
        elif element.tag == "link":
            element.set("name", prefix + element.get("name", ""))
        elif element.tag in ("parent", "child") and element.get("link"):
            element.set("link", prefix + element.get("link", ""))
