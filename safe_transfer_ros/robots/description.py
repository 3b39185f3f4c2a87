# SPDX-License-Identifier: Apache-2.0
"""Robot descriptions: names, limits and the URDF they come from.

The URDF is the single source: `<limit>` and `<dynamics>` give the numbers in JointLimits, the same file builds the
kinematics and the simulation. What URDF has no element for stands in RobotFacts, and so do the soft limits: a
`<safety_controller>` is read where there is one, but a description that has it is not fit for controller_manager
(robots/manager_description.py).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import numpy.typing as npt

from safe_transfer_ros import resources
from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.registry import Registry
from safe_transfer_ros.robots.facts import Payload, RobotFacts, SoftJointLimits, TaskSpaceGains
from safe_transfer_ros.robots.fr3 import FR3, FR3_PUSHER
from safe_transfer_ros.robots.overrides import NO_OVERRIDES, RobotOverrides, overridden
from safe_transfer_ros.robots.panda import PANDA
from safe_transfer_ros.robots.pr2 import PR2_LEFT_ARM

Array = npt.NDArray[np.float64]


def _named(name: str, facts: object) -> None:
    if not isinstance(facts, RobotFacts) or facts.name != name:
        raise ValueError(f"a robot must be RobotFacts of the same name, here {name!r}; got {facts!r}")


# A new robot is a file with its RobotFacts and one entry here.
ROBOTS: Registry[RobotFacts] = Registry("robot", group="safe_transfer_ros.robots", check=_named)
"""Facts of every robot by name; another package adds its own by an entry point in the group."""
for _facts in (PR2_LEFT_ARM, PANDA, FR3, FR3_PUSHER):
    ROBOTS.add(_facts.name, _facts)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class JointLimits:
    """Limits of each joint, every field of shape (n_joints,), read-only; infinite where the URDF sets no
    bound.

    Attributes:
      lower: Hard position limit, rad.
      upper: Hard position limit, rad.
      soft_lower: Position at which the velocity bound starts to shrink, rad.
      soft_upper: The same, above, rad.
      velocity: Speed limit, rad/s.
      effort: Torque limit, N·m.
      k_position: How fast the velocity bound shrinks towards a soft limit, 1/s; inf where there is no soft
        limit, which makes the bound k (soft_upper - q) infinite too.
      k_velocity: How fast the effort bound shrinks towards the velocity bound, N·m·s/rad.
      damping: Viscous friction, N·m·s/rad.
      friction: Coulomb friction, N·m.
    """

    lower: Array
    upper: Array
    soft_lower: Array
    soft_upper: Array
    velocity: Array
    effort: Array
    k_position: Array
    k_velocity: Array
    damping: Array
    friction: Array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RobotDescription:
    """One arm as the rest of the project sees it.

    Attributes:
      name: Name by which it was loaded.
      urdf: The URDF's XML text.
      joint_names: Driven joints from base to tool; the order of every joint array, shape (n_joints,).
      limits: What each joint may do.
      base_link: Link in whose frame poses are given.
      tool_link: Link whose pose is the tool pose.
      gravity_compensated: True when the hardware itself holds the arm up.
      armature: Motor inertia at each joint, shape (n_joints,), kg·m².
      home: Start position, shape (n_joints,), rad.
      payload: What the gripper holds, if anything.
      task_space: How the tool is led through space, if the robot can be.
    """

    name: str
    urdf: str
    joint_names: tuple[str, ...]
    limits: JointLimits
    base_link: str
    tool_link: str
    gravity_compensated: bool
    armature: Array
    home: Array
    payload: Payload | None = None
    task_space: TaskSpaceGains | None = None

    @property
    def joint_count(self) -> int:
        """Number of driven joints."""
        return len(self.joint_names)


def available() -> tuple[str, ...]:
    """Names `load` knows, sorted."""
    return ROBOTS.names()


@functools.cache
def load(name: str, overrides: RobotOverrides = NO_OVERRIDES) -> RobotDescription:
    """The description of a known robot, read once per process.

    Args:
      name: Of the robot.
      overrides: Names and narrower limits of the arm that is there.

    Raises:
      ValueError: if the name is unknown (names the nearest known one), its URDF is not usable, or the overrides are
        not (a ConfigurationError).
      FileNotFoundError: if the URDF is not installed.
    """
    facts = ROBOTS[name]
    urdf = resources.path(facts.urdf).read_text(encoding="utf-8")
    if overrides != NO_OVERRIDES:
        describe(facts, urdf)  # what is wrong with the description itself is said of it
    return describe(*overridden(facts, urdf, overrides))


def describe(facts: RobotFacts, urdf: str) -> RobotDescription:
    """Join a robot's facts with its URDF.

    Args:
      facts: What URDF cannot say.
      urdf: XML text.

    Raises:
      ValueError: if the XML cannot be read, a joint of `facts` is missing, twice there or incomplete, a limit is
        senseless, or soft limits are given twice.
    """
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        raise ValueError(f"the URDF of '{facts.name}' is not readable XML ({error}); restore {facts.urdf}") from error
    # <ros2_control> and <transmission> blocks name joints by elements of the same name: theirs are not the robot's.
    children = root.findall("joint")
    joints = {joint.get("name", ""): joint for joint in children}
    counts = Counter(joint.get("name", "") for joint in children)
    rows = []
    for joint_name in facts.joint_names:
        if joint_name not in joints:
            raise ValueError(f"the URDF of '{facts.name}' has no joint '{joint_name}': {nearest(joint_name, joints)}")
        if counts[joint_name] > 1:
            raise ValueError(
                f"the URDF of '{facts.name}' has joint '{joint_name}' {counts[joint_name]} times: keep one"
            )
        rows.append(_limits_of(joints[joint_name], joint_name, facts.soft_limits.get(joint_name)))
    for joint_name in facts.soft_limits:
        if joint_name not in facts.joint_names:
            raise ValueError(
                f"soft limits are given for '{joint_name}', which is not a joint that '{facts.name}' drives: "
                f"{nearest(joint_name, facts.joint_names)}"
            )
    names = [field.name for field in dataclasses.fields(JointLimits)]
    count = len(facts.joint_names)
    if facts.task_space is not None and facts.task_space.posture_joint not in facts.joint_names:
        raise ValueError(
            f"the posture joint '{facts.task_space.posture_joint}' of '{facts.name}' is not a joint it drives: "
            f"{nearest(facts.task_space.posture_joint, facts.joint_names)}"
        )
    return RobotDescription(
        name=facts.name,
        urdf=urdf,
        joint_names=facts.joint_names,
        limits=JointLimits(**{name: _read_only([row[name] for row in rows], count, name) for name in names}),
        base_link=facts.base_link,
        tool_link=facts.tool_link,
        gravity_compensated=facts.gravity_compensated,
        armature=_read_only(facts.armature, count, "armature"),
        home=_read_only(facts.home, count, "home"),
        payload=facts.payload,
        task_space=facts.task_space,
    )


def _limits_of(joint: ElementTree.Element, name: str, stated: SoftJointLimits | None) -> dict[str, float]:
    """One joint's row of JointLimits; `stated` are its soft limits where they are not in the URDF."""
    kind = joint.get("type")
    if kind not in ("revolute", "continuous"):
        raise ValueError(f"joint '{name}' is of type '{kind}'; driven joints must be revolute or continuous")
    limit = joint.find("limit")
    if limit is None:
        raise ValueError(f"joint '{name}' has no <limit>; effort and velocity limits are required")
    bounded = kind == "revolute"
    dynamics = joint.find("dynamics")
    soft = _soft_limits(joint, name, bounded, stated)
    row = {
        "lower": _number(limit, "lower", name) if bounded else -math.inf,
        "upper": _number(limit, "upper", name) if bounded else math.inf,
        "soft_lower": soft.lower,
        "soft_upper": soft.upper,
        "velocity": _number(limit, "velocity", name),
        "effort": _number(limit, "effort", name),
        "k_position": soft.k_position,
        "k_velocity": soft.k_velocity,
        "damping": _number(dynamics, "damping", name, 0.0),
        "friction": _number(dynamics, "friction", name, 0.0),
    }
    _check_row(row, name)
    return row


def _soft_limits(
    joint: ElementTree.Element, name: str, bounded: bool, stated: SoftJointLimits | None
) -> SoftJointLimits:
    """Soft limits of the facts, else of the joint's <safety_controller>, else none.

    Raises:
      ValueError: both speak of the joint, and nobody can tell which is meant.
    """
    safety = joint.find("safety_controller")
    if stated is not None:
        if safety is not None:
            raise ValueError(
                f"joint '{name}' has soft limits in the URDF and in its RobotFacts: keep those of the facts"
            )
        return stated
    if safety is None:
        return SoftJointLimits(k_velocity=math.inf)
    k_velocity = _number(safety, "k_velocity", name)
    # URDF takes absent soft limits as 0; on a joint that turns for ever they mean nothing.
    if not (bounded and "soft_lower_limit" in safety.keys()):
        return SoftJointLimits(k_velocity=k_velocity)
    return SoftJointLimits(
        lower=_number(safety, "soft_lower_limit", name),
        upper=_number(safety, "soft_upper_limit", name),
        k_position=_number(safety, "k_position", name),
        k_velocity=k_velocity,
    )


def _check_row(row: dict[str, float], name: str) -> None:
    """Refuse limits that make no sense together.

    Raises:
      ValueError: names the joint and what is wrong.
    """
    if not row["lower"] < row["upper"] or not row["soft_lower"] < row["soft_upper"]:
        raise ValueError(f"joint '{name}': lower limits must lie below upper limits, got {row}")
    softened = math.isfinite(row["soft_lower"]) or math.isfinite(row["soft_upper"])
    if softened and not (row["lower"] <= row["soft_lower"] and row["soft_upper"] <= row["upper"]):
        raise ValueError(f"joint '{name}': soft limits must lie within the hard limits, got {row}")
    for key in ("velocity", "effort"):
        if not row[key] > 0.0:
            raise ValueError(f"joint '{name}': the {key} limit must be positive, got {row[key]}")
    for key in ("damping", "friction"):
        if not row[key] >= 0.0:
            raise ValueError(f"joint '{name}': {key} must not be negative, got {row[key]}")
    for key in ("k_position", "k_velocity"):
        if not row[key] > 0.0:
            raise ValueError(f"joint '{name}': {key} must be positive (inf: no such bound), got {row[key]}")
        if softened and math.isinf(row[key]):
            raise ValueError(f"joint '{name}' has soft limits, but no {key}: without it they bound nothing")


def _number(element: ElementTree.Element | None, attribute: str, joint: str, default: float | None = None) -> float:
    """A finite attribute of an element; the default, if given, where there is none."""
    text = None if element is None else element.get(attribute)
    if text is None:
        if default is not None:
            return default
        raise ValueError(f"joint '{joint}' lacks '{attribute}'; add it to the URDF")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"joint '{joint}': '{attribute}' must be a finite number, got '{text}'")
    return value


def _read_only(values: object, count: int, name: str) -> Array:
    array = np.array(values, dtype=np.float64)
    if array.shape != (count,):
        raise ValueError(f"{name} must give one number for each of the {count} joints, got shape {array.shape}")
    array.flags.writeable = False
    return array
