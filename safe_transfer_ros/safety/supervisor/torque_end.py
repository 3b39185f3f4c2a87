# SPDX-License-Identifier: Apache-2.0
"""Rules for the end of a torque when our controller is deactivated or fails: by itself, another, or the hardware.

ros2_control writes a command until a controller writes another one. JointGroupEffortController writes zero as it is
deactivated; ros2_controllers has it no more since 6.7.0 (Lyrical). What is left there, ForwardCommandController, leaves
its last torque in force, and so may any type that is not known. Such a controller is refused unless something else is
named that ends its torque.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

EFFORT_CONTROLLER = "effort_controllers/JointGroupEffortController"
FORWARD_CONTROLLER = "forward_command_controller/ForwardCommandController"
HOLDING: Final = frozenset({FORWARD_CONTROLLER, "forward_command_controller/MultiInterfaceForwardCommandController"})
"""Types known to leave their last torque in force."""

WAITING: Final = HOLDING | {EFFORT_CONTROLLER}
"""Types that write nothing before their first command: the torque that they find stays in force."""


class Listed(Protocol):
    """A controller as listed by `list_controllers` (controller_manager_msgs/ControllerState)."""

    name: str
    state: str
    type: str
    claimed_interfaces: Sequence[str]
    required_command_interfaces: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class TorqueEnd:
    """Configured end of a torque that our controller does not end itself.

    Attributes:
      fallback: Controller that takes over from ours, by name; empty: none.
      hardware: Whether the arm's own hardware ends a torque that a deactivated controller has left.
      nothing: Whether an override accepts that nothing does.
    """

    fallback: str = ""
    hardware: bool = False
    nothing: bool = False


def find(controllers: Sequence[Listed], name: str) -> Listed | None:
    """The controller of that name, if it is loaded."""
    return next((controller for controller in controllers if controller.name == name), None)


def is_chained(controller: Listed, fallback: str) -> bool:
    """Whether a controller drives the arm through `fallback`, by its references `<fallback>/<joint>/effort`."""
    needed = controller.required_command_interfaces
    return bool(fallback) and bool(needed) and all(name.startswith(f"{fallback}/") for name in needed)


def unended_torque(
    ours: Listed,
    controllers: Sequence[Listed],
    joints: Sequence[str],
    end: TorqueEnd,
    manager_fallbacks: Sequence[str] | None,
) -> str | None:
    """Reason why a torque could outlive our controller, with the fix; None when something ends it.

    A fallback that is named must be usable whatever our controller does by itself: who names one relies on it.

    Args:
      ours: Our controller.
      controllers: All, as listed.
      joints: Our joints.
      end: What is configured.
      manager_fallbacks: Controllers that controller_manager activates when ours fails in its update; None: not known.
    """
    zeroes = ours.type == EFFORT_CONTROLLER
    unusable = unfit_fallback(ours, controllers, joints, end.fallback) if end.fallback else None
    if unusable or zeroes or end.hardware or end.nothing:
        return unusable
    if not end.fallback:
        knows = "holds its last torque even when" if ours.type in HOLDING else "is not known to end its torque when"
        return (
            f"{ours.name} is a {ours.type}, which {knows} deactivated: use {EFFORT_CONTROLLER} (Jazzy, Kilted); "
            "without it, robot:=franka for an FR3, or name what ends the torque, as "
            "controller_supervisor.hardware_timeout or controller_supervisor.fallback_controller"
        )
    if is_chained(ours, end.fallback):
        return None
    if manager_fallbacks is None:
        return f"controller_manager has not told {ours.name}.fallback_controllers yet"
    if end.fallback not in manager_fallbacks:
        return (
            f"controller_manager activates {', '.join(manager_fallbacks) or 'nothing'} when {ours.name} fails in its "
            f"update, and its torque is held: set {ours.name}.fallback_controllers: [{end.fallback}] there"
        )
    return None


def unfit_fallback(ours: Listed, controllers: Sequence[Listed], joints: Sequence[str], name: str) -> str | None:
    """Reason why a controller could not take over from ours; None when it can.

    Args:
      ours: Our controller.
      controllers: All, as listed.
      joints: Our joints.
      name: The one that is to take over: inactive until then, or active below ours in a chain.
    """
    other = find(controllers, name)
    if other is None or other.state not in ("inactive", "active"):
        state = "not loaded" if other is None else other.state
        return f"fallback_controller {name} is {state}: spawn it inactive"
    if other.type in WAITING:
        return f"fallback_controller {name} is a {other.type}, which leaves the torque that it finds in force"
    driven = {interface.rpartition("/")[0] for interface in other.required_command_interfaces}
    missing = [joint for joint in joints if joint not in driven]
    if missing:
        return f"fallback_controller {name} does not drive {', '.join(missing)}"
    if is_chained(ours, name) and other.state != "active":
        return f"{name}, through which {ours.name} drives the arm, is inactive: activate it first"
    return None


def taking_over(controllers: Sequence[Listed], fallback: str) -> list[str]:
    """Controllers to be activated as ours is deactivated: the fallback, unless there is none, or it is active below."""
    other = find(controllers, fallback)
    return [fallback] if fallback and (other is None or other.state != "active") else []


def stands_below(controllers: Sequence[Listed], name: str, fallback: str) -> bool:
    """Whether our controller, `name`, drives the arm through the fallback, whose torque is beyond what we command."""
    ours = find(controllers, name)
    return ours is not None and is_chained(ours, fallback)


def giving_way(controllers: Sequence[Listed], name: str, fallback: str) -> list[str]:
    """Controllers to be deactivated as ours, `name`, is activated: the fallback, if it has taken over before."""
    other = find(controllers, fallback)
    drives = other is not None and other.state == "active" and not stands_below(controllers, name, fallback)
    return [fallback] if drives else []
