# SPDX-License-Identifier: Apache-2.0
"""Refusal of an episode's reset while the arm may move: at any node's request, it would end in mid-episode."""

from __future__ import annotations

from safe_transfer_msgs.msg import FilterStatus, SafetyDecision

from safe_transfer_ros.middleware.sole_state import SoleState

_MOVING = (SafetyDecision.MODE_ARMED, SafetyDecision.MODE_HOLDING)
_STILL = (SafetyDecision.MODE_DISARMED, SafetyDecision.MODE_TRIPPED)

# The answer's whole message, by which policy_server knows to ask again: the word that the filter has disarmed may be on
# its way, and the service overtook it.
ARMED = "the safety filter is armed: an episode, or a move, is under way"
UNHEARD = "the safety filter has not been heard"


class ResetRefusal:
    """Refusal by the filter's own status; a filter that was not heard counts as armed where one belongs."""

    def __init__(self, status: SoleState[FilterStatus], graph: tuple[str, ...]) -> None:
        """Go by the filter's status.

        Args:
          status: As the node that serves `reset_episode` hears it.
          graph: Names of the graph's nodes; a simulator alone has no filter to wait for.
        """
        self._status = status
        self._needed = "safety_filter" in graph

    def why(self) -> str:
        """Reason why no episode may begin now; empty where one may."""
        status = self._status
        if status.doubt:
            return status.doubt
        if status.newest is None:
            return UNHEARD if self._needed else ""
        mode = status.newest.mode
        if mode in _MOVING:
            return ARMED
        return "" if mode in _STILL else f"the safety filter's mode is {mode}, which stands for nothing"
