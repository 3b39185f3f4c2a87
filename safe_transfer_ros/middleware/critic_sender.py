# SPDX-License-Identifier: Apache-2.0
"""Sending safety critics to the filter: those a learner makes, or the one of a file that may be replaced."""

from __future__ import annotations

import hashlib
import os
from array import array
from pathlib import Path

from rclpy.node import Node
from safe_transfer_msgs.msg import CriticWeights, FilterStatus

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.filter_messages import CRITIC_REFUSED
from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.untrusted import UntrustedError, read_bytes


class CriticSender:
    """Publishes CriticWeights, and knows what the filter made of the newest.

    Attributes:
      version: Of the critic the filter is to judge by; empty: none was sent.
    """

    def __init__(self, node: Node) -> None:
        """Create the topic."""
        self._node = node
        self._publisher = topics.CRITIC_WEIGHTS.advertise(node)
        self._stamp: tuple[int, int, int] | None = None
        self.version = ""

    def listeners(self, graph: tuple[str, ...]) -> Listeners:
        """Those who must hear every critic; see `Listeners`."""
        return Listeners(self._node, self._publisher, topics.CRITIC_WEIGHTS, graph)

    def send(self, data: bytes, iteration: int) -> None:
        """Send a critic, unless it is the one sent last.

        Args:
          data: Parameters and card, safetensors.
          iteration: Iterations it has learned from.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256.startswith(self.version or " "):
            return
        message = CriticWeights(iteration=iteration, data=array("B", data), sha256=sha256)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        self.version = sha256[:12]

    def send_file(self, path: Path, iteration: int) -> None:
        """Send a file's critic if the file is new or was replaced; one that is gone for the moment is looked for again.

        Raises:
          OSError: the first time, if it cannot be read.
        UntrustedError: the first time, if it is no file of a critic's size.
        """
        try:
            status = os.stat(path)
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if stamp == self._stamp:
                return
            data = read_bytes(path, most_bytes=WEIGHTS_BYTES)
        except (OSError, UntrustedError) as error:
            if not self.version:
                raise
            self._node.get_logger().error(f"the critic before stays: {error}", throttle_duration_sec=10.0)
            return
        self._stamp = stamp
        self.send(data, iteration)

    def settled(self, status: FilterStatus) -> bool:
        """Whether the filter has accepted the newest critic, or refused it and keeps an earlier one."""
        if self.version == status.critic_version:
            return True
        refused = not status.accepted and status.message.startswith(CRITIC_REFUSED)
        if refused and status.critic_version:
            self.version = status.critic_version
            self._node.get_logger().error(status.message)
            return True
        return False
