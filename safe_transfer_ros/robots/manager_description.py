# SPDX-License-Identifier: Apache-2.0
"""Whether a robot description is fit for controller_manager, and how to make it so.

With `enforce_command_limits`, controller_manager puts the soft limits of `<safety_controller>` between every controller
and the hardware, also between a deactivated controller's last zero and the hardware. For a joint beyond its soft limit,
or too fast, that zero becomes -k_velocity (dq - v), and nobody writes again: a torque that is held for ever
(measured on ros2_control 4.46; docs/hardware.md). While active it overrides our commands besides. So the tag must not
be in what controller_manager is given; our own filter has the soft limits from RobotFacts.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

MAX_CHARACTERS = 4_000_000  # a whole humanoid's description has some hundred thousand
FIX = (
    "give controller_manager a description without the tag: `safe_transfer controller-urdf FILE` prints one. "
    "Our filter keeps its own soft limits"
)


def fingerprint(urdf: str) -> str:
    """Fingerprint of a description, `sha256:...`, by which it is known again."""
    return f"sha256:{hashlib.sha256(urdf.encode()).hexdigest()}"


def unfit_description(urdf: str, joints: Sequence[str]) -> str | None:
    """Reason why a deactivated controller might hold a torque under this description; None when it cannot.

    Args:
      urdf: What is published as robot_description.
      joints: Those that our controller drives.
    """
    if len(urdf) > MAX_CHARACTERS:
        return f"robot_description has {len(urdf)} characters, more than {MAX_CHARACTERS}: expected one arm's"
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        return f"robot_description is not readable XML ({error})"
    described = {joint.get("name", ""): joint for joint in root.findall("joint")}
    missing = [joint for joint in joints if joint not in described]
    if missing:
        return f"robot_description lacks {', '.join(missing)}: it is another robot's"
    softened = [joint for joint in joints if described[joint].find("safety_controller") is not None]
    if softened:
        return (
            f"robot_description has <safety_controller> for {', '.join(softened)}: deactivated, the controller would "
            f"hold a torque there instead of zero; {FIX}"
        )
    return None


def for_controller_manager(urdf: str) -> str:
    """The description without `<safety_controller>`; all else, comments too, stays.

    Raises:
      ValueError: it is not readable XML.
    """
    builder = ElementTree.TreeBuilder(insert_comments=True)
    try:
        root = ElementTree.fromstring(urdf, parser=ElementTree.XMLParser(target=builder))
    except ElementTree.ParseError as error:
        raise ValueError(f"the description is not readable XML ({error}): expand xacro first") from error
    for joint in root.iter("joint"):
        for tag in joint.findall("safety_controller"):
            joint.remove(tag)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
