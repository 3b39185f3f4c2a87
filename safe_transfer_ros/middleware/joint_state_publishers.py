# SPDX-License-Identifier: Apache-2.0
"""Publishers of joint states: a gripper's driver may share the topic, a second driver of the arm may not.

While one publishes, nothing is looked at. As soon as there are more, each must have been heard, and one alone may have
named a joint of ours; until that is known, and whenever it is not so, there is a second publisher.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import bounded, qos
from safe_transfer_ros.middleware.numbered import NumberedMessages
from safe_transfer_ros.middleware.publishers import identities
from safe_transfer_ros.safety.filter.speakers import Speakers
from safe_transfer_ros.topic_names import JOINT_STATES


class JointStatePublishers:
    """Tells a second driver of the arm from one of something else."""

    def __init__(self, node: Node, names: Sequence[str]) -> None:
        """Know nothing yet.

        Args:
          node: That acts on the joint states.
          names: Our joints.
        """
        self._node, self._names = node, frozenset(names)
        self._messages: NumberedMessages | None = None
        self._present: frozenset[tuple[int, ...]] = frozenset()
        self._speakers = Speakers(0, 0)

    def look(self, now_ns: int) -> None:
        """Process publishers and messages up to steady time `now_ns`."""
        if self._node.count_publishers(JOINT_STATES) <= 1:
            self.close()
            return
        present = identities(self._node, JOINT_STATES)
        if self._messages is None:
            profile = (qos.PROPOSALS, qos.VIEW)
            name, topic = (
                f"{self._node.get_name()}_joint_states",
                self._node.resolve_topic_name(JOINT_STATES),
            )
            self._messages = NumberedMessages(self._node, name, JointState, topic, profile, raw=True)
        if present != self._present:
            self._present = present
            self._speakers = Speakers(len(present), now_ns)
        for said in self._messages.look(now_ns):
            self._speakers.hear(said.sequence, self._ours(said.message), now_ns)

    @property
    def several(self) -> bool:
        """Whether two publishers of our joints were found."""
        return self._messages is not None and self._speakers.mixed

    def doubt(self, now_ns: int) -> str | None:
        """Reason why it is not known that only one publishes our joints; None where it is known."""
        if self._messages is None or self._speakers.told_apart(now_ns):
            return None
        count = len(self._present)
        return f"{JOINT_STATES} has {count} publishers, and not each was heard to speak of other joints than ours"

    def _ours(self, data: bytes) -> bool:
        try:
            return not self._names.isdisjoint(bounded.read(data, JointState).name)
        except bounded.MessageError as error:
            return error.oversized  # what is too long to be looked into is taken for ours; no joint state at all is not

    def close(self) -> None:
        """Listen no more."""
        if self._messages is not None:
            self._messages.close()
            self._messages, self._present = None, frozenset()
