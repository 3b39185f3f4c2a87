# SPDX-License-Identifier: Apache-2.0
"""Messages of a policy that is a process of its own: bounded, of one publisher, refused whole if not whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from safe_transfer_msgs.msg import ActionChunk, PolicyAction

from safe_transfer_ros.middleware import bounded, topics
from safe_transfer_ros.middleware.filter_messages import read_proposal
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.safety.filter.proposal import Proposal, fault_of
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError

Array = npt.NDArray[np.float64]

CHUNK_BYTES = 256 * 1024
"""Largest message with a chunk: a thousand actions of thirty joints."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadChunk:
    """A chunk as it came.

    Attributes:
      stamp_ns: Of the joint state that it answers, ns.
      period_s: Time between two rows, s.
      rows: Shape (length, action_size), its columns in the task's order.
    """

    stamp_ns: int
    period_s: float
    rows: Array


def read_chunk(message: ActionChunk, order: JointOrder) -> ReadChunk:
    """Read a chunk, or refuse it whole.

    Raises:
      ValueError: saying what is wrong with it.
    """
    try:
        indices = order.indices(message.action_names)
    except JointOrderError as error:
        raise ValueError(f"its action_names are not the task's: {error}") from None
    length, width = int(message.length), len(message.action_names)
    if length < 1 or len(message.actions) != length * width:
        raise ValueError(
            f"it is not whole: expected {length} rows of {width} actions, got {len(message.actions)} numbers"
        )
    rows = np.frombuffer(message.actions).reshape(length, width)[:, indices]
    if not np.isfinite(rows).all():
        raise ValueError("it holds numbers that are not finite")
    return ReadChunk(stamp_ns=to_ns(message.header.stamp), period_s=float(message.period), rows=rows)


class OutsidePolicy:
    """Subscriptions to what a process of its own proposes; what is not expected is left unread."""

    def __init__(
        self,
        node: Node,
        action_names: tuple[str, ...],
        *,
        hear_action: Callable[[Proposal], None],
        hear_chunk: Callable[[ReadChunk], None],
        stop: Callable[[str], None],
    ) -> None:
        """Subscribe.

        Args:
          node: That listens.
          action_names: The task's, in its order.
          hear_action: Called with each proposal that is whole.
          hear_chunk: Called with each chunk that is whole.
          stop: Called with the reason when no message can be believed any longer.
        """
        self._node, self._order, self._stop = node, JointOrder(action_names), stop
        self._hear_action, self._hear_chunk = hear_action, hear_chunk
        self._expected: topics.Topic | None = None
        for topic, take in ((topics.OUTSIDE_ACTION, self._on_action), (topics.OUTSIDE_CHUNK, self._on_chunk)):
            topic.listen(node, take, raw=True)

    def expect(self, *, chunks: bool | None) -> None:
        """Expect chunks, single actions, or nothing (None), from now on."""
        self._expected = None if chunks is None else topics.OUTSIDE_CHUNK if chunks else topics.OUTSIDE_ACTION

    def missing(self) -> str:
        """Reason why nothing can come of the process yet; empty where it is there, or not needed."""
        topic = self._expected
        if topic is None:
            return ""
        if self._node.count_publishers(topic.name) == 0:
            return f"the policy is a process of its own, and nothing publishes {topic.name} yet: start it"
        return second_publisher(self._node, topic.name) or ""

    def _on_action(self, data: bytes) -> None:
        if self._expected is not topics.OUTSIDE_ACTION or self._doubtful():
            return
        try:
            proposal = read_proposal(bounded.read(data, PolicyAction), self._order)
        except bounded.MessageError as error:
            self._refuse(error)
            return
        fault = proposal.fault or fault_of(proposal, len(self._order.names))
        if proposal.last:
            self._refuse("`last` is not its own to say: episodes end by the task's rules")
        elif fault:
            self._refuse(fault.name)
        else:
            self._hear_action(proposal)

    def _on_chunk(self, data: bytes) -> None:
        if self._expected is not topics.OUTSIDE_CHUNK or self._doubtful():
            return
        try:
            chunk = read_chunk(bounded.read(data, ActionChunk, CHUNK_BYTES), self._order)
        except ValueError as error:
            self._refuse(error)
        else:
            self._hear_chunk(chunk)

    def _doubtful(self) -> bool:
        """Whether somebody else publishes, too: then nobody is believed, and the episode ends."""
        assert self._expected is not None
        doubt = second_publisher(self._node, self._expected.name)
        if doubt:
            self._stop(doubt)
        return doubt is not None

    def _refuse(self, why: object) -> None:
        assert self._expected is not None
        self._node.get_logger().error(f"{self._expected.name} refused: {why}", throttle_duration_sec=1.0)
