# SPDX-License-Identifier: Apache-2.0
"""An operator's pause between two episodes: the service that asks for it, and what stands in /diagnostics."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import SetBool

from safe_transfer_ros.middleware.diagnostics import Diagnostics, Health
from safe_transfer_ros.middleware.waiting import sleep

SERVICE = "policy_server/pause"
_LOOK_SECONDS = 0.05


class EpisodePause:
    """Holds the next episode back as long as an operator wants.

    The episode under way ends as it would have. Between two episodes the filter is disarmed, so that it can be tripped
    and reset meanwhile, and nothing that is counted or learned from happens.
    """

    def __init__(self, node: Node, robot: str) -> None:
        """Serve the request.

        Args:
          node: That begins the episodes.
          robot: Its robot's name.
        """
        self._node = node
        self._wanted = self._waiting = False
        node.create_service(SetBool, SERVICE, self._on_request)
        self._diagnostics = Diagnostics(node, robot, self._health)

    async def wait(self, given_up: Callable[[], bool]) -> None:
        """Return when the next episode may begin, or has been given up."""
        while self._wanted and not given_up():
            if not self._waiting:
                self._waiting = True
                self._diagnostics.tell()
            await sleep(self._node, _LOOK_SECONDS)
        self._waiting = False

    def _on_request(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._wanted = bool(request.data)
        response.success, response.message = True, self._words()
        self._node.get_logger().info(response.message or "resumed by an operator")
        self._diagnostics.tell()
        return response

    def _words(self) -> str:
        if not self._wanted:
            return ""
        if self._waiting:
            return "paused by an operator: no episode begins"
        return "a pause is asked for: it begins where the next episode would"

    def _health(self) -> Health:
        words = self._words()
        return Health(message=words or "not paused", attention=bool(words))
