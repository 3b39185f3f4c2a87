# SPDX-License-Identifier: Apache-2.0
"""The robot description that controller_manager is given, judged before its controller may be activated."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from std_msgs.msg import String

from safe_transfer_ros.middleware import qos
from safe_transfer_ros.parameters.controller_supervisor import ANY_DESCRIPTION
from safe_transfer_ros.robots.manager_description import MAX_CHARACTERS, fingerprint, unfit_description


class PublishedDescription:
    """Holder of the newest robot_description, which is read once on request, never while the arm is driven."""

    def __init__(self, node: Node, topic: str, joints: Sequence[str], *, commissioned: str) -> None:
        """Listen.

        Args:
          node: Whose subscription it is.
          topic: Where robot_state_publisher has it.
          joints: Those that our controller drives.
          commissioned: Fingerprint of the only one that will do; ANY_DESCRIPTION: any that is fit.
        """
        self._node, self._topic, self._joints = node, topic, tuple(joints)
        self._commissioned = commissioned
        self._text: str | None = None
        self._judged: str | None = None
        node.create_subscription(String, topic, self._on_description, qos.LATCHED)

    def _on_description(self, message: String) -> None:
        if self._text is None or message.data != self._text:
            # What is too long is refused for its length: the rest of it is not kept.
            self._text, self._judged = message.data[: MAX_CHARACTERS + 1], None

    def problem(self) -> str | None:
        """Reason why the controller must not be activated under it; None when it may."""
        publishers = self._node.count_publishers(self._topic)
        if self._text is None or not publishers:
            return (
                f"{self._topic} has no publisher, so it is not known whether a stop ends in zero torque: "
                "start robot_state_publisher, or set controller_supervisor.robot_description where it has another name"
            )
        if publishers > 1:
            return f"{publishers} publish {self._topic}: it is not known which of them controller_manager was given"
        if self._judged is None:
            self._judged = unfit_description(self._text, self._joints) or self._another(self._text)
        return self._judged or None

    def _another(self, text: str) -> str:
        found = fingerprint(text)
        if self._commissioned in (found, ANY_DESCRIPTION):
            return ""
        return (
            f"{self._topic} is not the one that the arm was commissioned with ({self._commissioned[:19]}, got "
            f"{found[:19]}): publish that one, or run `safe_transfer commission`"
        )
