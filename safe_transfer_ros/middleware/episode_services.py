# SPDX-License-Identifier: Apache-2.0
"""Services that an episode begins and ends with: reset, arm, disarm; each is asked for until it is answered."""

from __future__ import annotations

import time
from typing import Any

from rclpy.client import Client
from rclpy.node import Node
from safe_transfer_msgs.srv import ResetEpisode
from std_srvs.srv import SetBool

from safe_transfer_ros.middleware import reset_refusal
from safe_transfer_ros.middleware.waiting import PeerTimeout, answer, sleep, until

RETRY_SECONDS = 3.0  # after which a service that has not answered is asked again
ARMING_SECONDS = 2.0  # how long a refusal to arm may last before the rollout ends


class RolloutStopped(RuntimeError):
    """Raised when a rollout ends early; the text says why."""


class EpisodeServices:
    """Clients of `reset_episode` and `safety_filter/arm`."""

    def __init__(self, node: Node, *, peer_timeout_s: float, reset_timeout_s: float) -> None:
        """Create the clients.

        Args:
          node: Whose they are.
          peer_timeout_s: Longest wait for an answer, s.
          reset_timeout_s: The same for a reset, s; 0: as the others.
        """
        self._node, self._peer_timeout_s, self._reset_timeout_s = node, peer_timeout_s, reset_timeout_s
        self._reset = node.create_client(ResetEpisode, "reset_episode")
        self._arm = node.create_client(SetBool, "safety_filter/arm")

    async def reset(self, request: ResetEpisode.Request) -> ResetEpisode.Response:
        """Reset. It is refused while the filter is armed; the service may overtake the word that it no longer is."""
        deadline = time.monotonic() + ARMING_SECONDS
        while True:
            response = await self._call(self._reset, request, "service reset_episode", self._reset_timeout_s)
            waits = not response.success and response.message in (reset_refusal.ARMED, reset_refusal.UNHEARD)
            if not waits or time.monotonic() > deadline:
                return response
            await sleep(self._node, 0.01)

    async def arm(self) -> None:
        """Arm the filter. It refuses while it is blind, and a service may overtake the first joint state: try again."""
        deadline = time.monotonic() + ARMING_SECONDS
        while True:
            armed = await self._call(self._arm, SetBool.Request(data=True), "service safety_filter/arm")
            if armed.success:
                return
            if time.monotonic() > deadline:
                raise RolloutStopped(f"the filter refused to arm: {armed.message}")
            await sleep(self._node, 0.01)

    async def disarm(self) -> None:
        """Disarm the filter; an error is logged where it does not answer."""
        try:
            await answer(self._node, self.disarm_now(), 2.0, "safety_filter/arm")
        except PeerTimeout as error:
            self._node.get_logger().error(f"could not disarm the filter: {error}")

    def disarm_now(self) -> Any:
        """Ask the filter to disarm, and return the future of its answer."""
        return self._arm.call_async(SetBool.Request(data=False))

    async def _call(self, client: Client, request: Any, what: str, seconds: float = 0.0) -> Any:
        """Call an idempotent service repeatedly: a request sent before both ends are connected is lost."""
        retry = max(RETRY_SECONDS, seconds / 4.0)  # who takes long is not asked often
        seconds = seconds or self._peer_timeout_s
        deadline = time.monotonic() + seconds
        await until(self._node, client.service_is_ready, seconds, f"{what} being served")
        while True:
            try:
                return await answer(self._node, client.call_async(request), min(retry, seconds), what)
            except PeerTimeout:
                if time.monotonic() > deadline:
                    raise
