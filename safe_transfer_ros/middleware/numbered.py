# SPDX-License-Identifier: Apache-2.0
"""Messages with the numbers their publishers gave them, looked for instead of waited for.

rclpy's EventsExecutor cannot hand a message's number to a callback, so these subscriptions belong to a node of their
own that no executor turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import QoSProfile

_REMEMBERED = 256  # messages that may come by another of the subscriptions too
_MOST = 256  # messages taken by one look, of one subscription
SETTLING_S = 0.05  # after somebody came: what was latched and what is said now come by different ways


class Numbered(NamedTuple):
    """A message or its bytes, its number among those of its publisher, when it was sent, and when it was found, ns."""

    message: Any
    sequence: int
    sent_ns: int
    found_ns: int


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
        self._node = Node(
            name,
            context=beside.context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._kind, self._raw = kind, raw
        self._heard = [self._node.create_subscription(kind, topic, _nobody, profile, raw=raw) for profile in profiles]
        self._seen: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._waiting: list[Numbered] = []
        self._settled_ns = 0

    def settle(self, now_ns: int) -> None:
        """Wait after a new publisher, so that its latched message arrives before its next one."""
        self._settled_ns = now_ns + round(SETTLING_S * 1e9)

    def look(self, now_ns: int) -> list[Numbered]:
        """Messages received since the last call, and settled."""
        for subscription in self._heard:
            for _ in range(_MOST):
                with subscription.handle:
                    taken = subscription.handle.take_message(self._kind, self._raw)
                if taken is None:
                    break
                message, info = taken
                mark = (info["publication_sequence_number"], info["source_timestamp"])
                if mark not in self._seen:
                    self._seen.append(mark)
                    self._waiting.append(Numbered(message, *mark, now_ns))
        if not self._waiting or (now_ns < self._settled_ns and len(self._waiting) < _MOST):
            return []
        settled, self._waiting = sorted(self._waiting, key=lambda one: one.sent_ns), []
        return settled

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_node()


def _nobody(message: Any) -> None:
    """Never called: no executor turns the node."""
