# SPDX-License-Identifier: Apache-2.0
"""Refusal of an episode's reset while the arm may move: at any node's request, it would end in mid-episode."""

from __future__ import annotations

from rclpy.node import Node
from safe_transfer_msgs.msg import FilterStatus, SafetyDecision

from safe_transfer_ros.middleware import topics

_MOVING = (SafetyDecision.MODE_ARMED, SafetyDecision.MODE_HOLDING)

# The answer's whole message, by which policy_server knows to ask again: the word that the filter has disarmed may be on
# its way, and the service overtook it.
ARMED = "the safety filter is armed: an episode, or a move, is under way"
UNHEARD = "the safety filter has not been heard"


class ResetRefusal:
    """Refusal by the filter's own status; a filter that was not heard counts as armed where one belongs."""

    def __init__(self, node: Node, graph: tuple[str, ...]) -> None:
        """Begin to listen.

        Args:
          node: That serves `reset_episode`.
          graph: Names of the graph's nodes; a simulator alone has no filter to wait for.
        """
        self._mode: int | None = None
        self._needed = "safety_filter" in graph
        topics.FILTER_STATUS.listen(node, self._on_status)

    def _on_status(self, message: FilterStatus) -> None:
        self._mode = message.mode

    def why(self) -> str:
        """Reason why no episode may begin now; empty where one may."""
        if self._mode is None:
            return UNHEARD if self._needed else ""
        return ARMED if self._mode in _MOVING else ""
