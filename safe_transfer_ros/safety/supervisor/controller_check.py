# SPDX-License-Identifier: Apache-2.0
"""Whether an effort controller of ros2_control is the one we believe it to be.

Judged from what controller_manager lists; any object with the fields of its messages will do.
"""

from __future__ import annotations

from collections.abc import Sequence

from safe_transfer_ros.safety.supervisor.torque_end import (
    Listed,
    TorqueEnd,
    find,
    is_chained,
    unended_torque,
)


def joints_of(interfaces: Sequence[str], through: str = "") -> tuple[str, ...]:
    """Joints of interfaces written `<joint>/effort`, in their order; others are kept whole, so that they match none.

    Args:
      interfaces: As listed.
      through: Prefix of the reference interfaces of the next controller in a chain, with its slash.
    """
    return tuple(interface.removeprefix(through).removesuffix("/effort") for interface in interfaces)


def wrong_joints(controller: Listed, joints: Sequence[str], below: str = "") -> str | None:
    """Reason why its commands would reach other joints, or ours in another order; None when they would not.

    Args:
      controller: Configured, so that it says which interfaces it needs.
      joints: Our joints in the order in which commands are sent.
      below: Controller through which it may drive the arm.
    """
    through = f"{below}/" if is_chained(controller, below) else ""
    theirs, ours = joints_of(controller.required_command_interfaces, through), tuple(joints)
    if controller.state == "active" and set(controller.claimed_interfaces) != set(
        controller.required_command_interfaces
    ):
        return f"{controller.name} claims {sorted(controller.claimed_interfaces)}, not what it needs"
    if theirs == ours:
        return None
    missing = [joint for joint in ours if joint not in theirs]
    extra = [joint for joint in theirs if joint not in ours]
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"drives {', '.join(extra)} as well"] * bool(extra)
        return f"{controller.name} {' and '.join(parts)}: its joints must be exactly ours, by effort"
    return f"{controller.name} takes its joints in another order: set controller_joints to {', '.join(theirs)}"


def unfit(
    controllers: Sequence[Listed],
    name: str,
    joints: Sequence[str],
    broadcaster: str,
    *,
    end: TorqueEnd,
    manager_fallbacks: Sequence[str] | None = None,
) -> str | None:
    """Reason why a controller must not be given torques; None when it may.

    Args:
      controllers: As listed.
      name: Our effort controller.
      joints: Our joints in the order of its commands.
      broadcaster: The controller that publishes joint states.
      end: What ends a torque that it does not end itself.
      manager_fallbacks: See `unended_torque`.
    """
    controller = find(controllers, name)
    if controller is None:
        return f"{name} is not loaded"
    if controller.state not in ("inactive", "active"):
        return f"{name} is {controller.state}"
    unended = unended_torque(controller, controllers, joints, end, manager_fallbacks)
    if unended:
        return unended
    states = find(controllers, broadcaster)
    if states is None or states.state != "active":
        return f"{broadcaster} is {'not loaded' if states is None else states.state}: joint states are not published"
    return wrong_joints(controller, joints, end.fallback)


def wrong_feeders(topic: str, publishers: Sequence[str], ours: str) -> str | None:
    """Reason why our filter is not the controller's only publisher; None when it is.

    Args:
      topic: The controller's commands.
      publishers: Nodes that publish on it, each as often as it does, by full name.
      ours: The filter's full name.
    """
    strangers = sorted(set(publishers) - {ours})
    if strangers:
        return f"{', '.join(strangers)} publishes on {topic}, where only {ours} may: end it"
    if len(publishers) > 1:
        return (
            f"{ours} is there {len(publishers)} times on {topic}: end the other; one that was killed is gone from the "
            "graph within half a minute"
        )
    return None if publishers else f"{ours} does not publish on {topic}"


def drivers(controllers: Sequence[Listed], joints: Sequence[str]) -> tuple[str, ...]:
    """Names of the active controllers that claim an interface of any kind of one of these joints."""
    ours = set(joints)
    return tuple(
        controller.name
        for controller in controllers
        if controller.state == "active"
        and any(interface.rpartition("/")[0] in ours for interface in controller.claimed_interfaces)
    )
