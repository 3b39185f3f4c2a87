# SPDX-License-Identifier: Apache-2.0
"""The reset of an episode is refused while the arm may move: asked for by anybody, it would end in mid-episode."""

from __future__ import annotations

from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision

from safe_transfer_ros.middleware import qos

_MOVING = (SafetyDecision.MODE_ARMED, SafetyDecision.MODE_HOLDING)

# The answer's whole message, by which policy_server knows to ask again: the word that the filter has disarmed may be on
# its way, and the service overtook it.
ARMED = "the safety filter is armed: an episode, or a move, is under way"
UNHEARD = "the safety filter has not been heard"


class ResetRefusal:
    """Goes by what the filter says of itself, and by nothing heard as by an armed one where a filter belongs."""

    def __init__(self, node: Node, graph: tuple[str, ...]) -> None:
        """Begin to listen.

        Args:
          node: That serves `reset_episode`.
          graph: Names of the graph's nodes; a simulator alone has no filter to wait for.
        """
        self._mode: int | None = None
        self._needed = "safety_filter" in graph
        node.create_subscription(FilterStatus, "safety_filter/status", self._on_status, qos.LATCHED)

    def _on_status(self, message: FilterStatus) -> None:
        self._mode = message.mode

    def why(self) -> str:
        """Why no episode may begin now; empty where one may."""
        if self._mode is None:
            return UNHEARD if self._needed else ""
        return ARMED if self._mode in _MOVING else ""
