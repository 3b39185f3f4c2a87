# SPDX-License-Identifier: Apache-2.0
"""Intake of policy weights: which message is the next version, when it is taken up, and what is answered to it."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from safe_transfer_msgs.msg import PolicyStatus, PolicyWeights

from safe_transfer_ros.middleware import bounded, topics
from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.middleware.publishers import second_publisher


class WeightsIntake:
    """Subscription to `topics.POLICY_WEIGHTS`, answered on `topics.POLICY_STATUS`.

    Weights are taken up whole or refused whole, and never while an episode runs.

    Attributes:
      version: Of the weights in force.
      sha256: Theirs; empty before the first.
    """

    def __init__(
        self,
        node: Node,
        graph: tuple[str, ...],
        *,
        max_bytes: int,
        install: Callable[[bytes, str], None],
        running: Callable[[], bool],
    ) -> None:
        """Subscribe.

        Args:
          node: That listens.
          graph: Names of the graph's nodes, see `Listeners`.
          max_bytes: Largest message that is read.
          install: Takes up the bytes of weights, with the hash that was told of them, or raises ValueError.
          running: Whether an episode is under way.
        """
        self.version, self.sha256 = 0, ""
        self._node, self._install, self._running = node, install, running
        self._taught = False  # by weights of a trainer, whose versions follow one another from then on
        self._offered: PolicyWeights | None = None  # arrived during an episode: taken up when it ends
        self._status = topics.POLICY_STATUS.advertise(node)
        self.listeners = Listeners(node, self._status, topics.POLICY_STATUS, graph)
        bounded.listen(node, topics.POLICY_WEIGHTS, self._on_weights, max_bytes=max_bytes, refused=self._on_unread)

    def begin_with(self, data: bytes, sha256: str) -> None:
        """Take up weights of this process's own, as version 0.

        Raises:
          ValueError: if they are none.
        """
        self._take(0, data, sha256)

    def take_offered(self) -> None:
        """Take up what came during the episode that has ended."""
        if self._offered is not None:
            self._on_weights(self._offered)

    def _on_weights(self, message: PolicyWeights) -> None:
        refusal = self._unwanted(message)
        if refusal:
            self._refuse(message, refusal)
            return
        if self._running():
            self._offered = message
            return
        self._offered = None
        try:
            self._take(int(message.version), bytes(message.data), message.sha256)
            self._taught = True
        except ValueError as error:
            self._refuse(message, error)

    def _unwanted(self, message: PolicyWeights) -> str | None:
        """Reason to ignore weights; None where they may be the next ones, or the present ones again."""
        if self._taught and message.version != self.version + 1:
            again = message.version == self.version and message.sha256 == self.sha256
            if not again:
                return f"expected version {self.version + 1}, one iteration follows the other"
        return second_publisher(self._node, topics.POLICY_WEIGHTS.name)

    def _take(self, version: int, data: bytes, sha256: str) -> None:
        self._install(data, sha256)
        self.version, self.sha256 = version, sha256
        self._report(accepted=True, message="")

    def _refuse(self, message: PolicyWeights, why: object) -> None:
        self._report(accepted=False, message=f"version {message.version} refused, {self.version} stays: {why}")

    def _on_unread(self, error: bounded.MessageError) -> None:
        self._report(accepted=False, message=f"weights refused, version {self.version} stays: {error}")

    def _report(self, *, accepted: bool, message: str) -> None:
        status = PolicyStatus(version=self.version, sha256=self.sha256, accepted=accepted, message=message)
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._status.publish(status)
        if not accepted:
            self._node.get_logger().error(message, throttle_duration_sec=1.0)
