# SPDX-License-Identifier: Apache-2.0
"""Messages with the numbers their publishers gave them, looked for instead of waited for.

rclpy's EventsExecutor cannot hand a message's number to a callback, so these subscriptions belong to a node of their
own that no executor turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

_MOST = 256  # messages taken by one look, of one subscription
SETTLING_S = 0.05  # after somebody came: what was latched and what is said now come by different ways

Mark = tuple[int, int]
"""Number and time of sending of a message: that of no other on the topic."""


class Numbered(NamedTuple):
    """A message or its bytes, its number among those of its publisher, and times, ns.

    When it was sent and received is on the system's clock, when it was found on the looker's.
    """

    message: Any
    sequence: int
    sent_ns: int
    received_ns: int
    found_ns: int

    @property
    def mark(self) -> Mark:
        """See `Mark`."""
        return self.sequence, self.sent_ns


class Marks:
    """The latest marks, by which a message that comes a second time is known."""

    def __init__(self, most: int = 16_384) -> None:
        """Remember none, and never more than `most`."""
        self._most = most
        self._marks: dict[Mark, None] = {}

    def __contains__(self, mark: Mark) -> bool:
        return mark in self._marks

    def add(self, mark: Mark) -> None:
        """Remember one; the oldest is forgotten for it."""
        self._marks[mark] = None
        if len(self._marks) > self._most:
            del self._marks[next(iter(self._marks))]


def silent_node(beside: Node, name: str) -> Node:
    """A node for subscriptions that no executor turns."""
    return Node(
        name,
        context=beside.context,
        namespace=beside.get_namespace(),
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
    )


def take(subscription: Subscription, kind: type, now_ns: int, *, raw: bool) -> Iterator[Numbered]:
    """Messages that wait in a subscription, a bounded number of them.

    Args:
      subscription: Of a `silent_node`.
      kind: Type of its messages.
      now_ns: Time on the looker's clock.
      raw: Leave messages as bytes.
    """
    for _ in range(_MOST):
        with subscription.handle:
            taken = subscription.handle.take_message(kind, raw)
        if taken is None:
            return
        message, info = taken
        yield Numbered(
            message,
            info["publication_sequence_number"],
            info["source_timestamp"],
            info["received_timestamp"],
            now_ns,
        )


class NumberedMessages:
    """Messages of one topic, received under several qualities of service, each once, in the order of sending."""

    def __init__(
        self, beside: Node, name: str, kind: type, topic: str, profiles: Sequence[QoSProfile], *, raw: bool = False
    ) -> None:
        """Begin to listen.

        Args:
          beside: The node that looks for them.
          name: Of the node that listens.
          kind: Type of the messages.
          topic: Full name.
          profiles: A publisher is heard that fits one of them.
          raw: Leave messages as bytes.
        """
        self._node = silent_node(beside, name)
        self._kind, self._raw = kind, raw
        self._heard = [self._node.create_subscription(kind, topic, nobody, profile, raw=raw) for profile in profiles]
        self._seen = Marks()
        self._waiting: list[Numbered] = []
        self._settled_ns = 0

    def settle(self, now_ns: int) -> None:
        """Wait after a new publisher, so that its latched message arrives before its next one."""
        self._settled_ns = now_ns + round(SETTLING_S * 1e9)

    def look(self, now_ns: int) -> list[Numbered]:
        """Messages received since the last call, and settled."""
        for subscription in self._heard:
            for one in take(subscription, self._kind, now_ns, raw=self._raw):
                if one.mark not in self._seen:
                    self._seen.add(one.mark)
                    self._waiting.append(one)
        if not self._waiting or (now_ns < self._settled_ns and len(self._waiting) < _MOST):
            return []
        settled, self._waiting = sorted(self._waiting, key=lambda one: one.sent_ns), []
        return settled

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_node()


def nobody(message: Any) -> None:
    """Never called: no executor turns the node."""
