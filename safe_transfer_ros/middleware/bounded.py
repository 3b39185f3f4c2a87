# SPDX-License-Identifier: Apache-2.0
"""Messages bounded before any work is done with them: one of a stranger's must not hold a control loop up.

Making a Python message of 24 MB takes 175 ms, and of 20,000 joint names seconds; its size is known before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

from safe_transfer_ros.middleware.topics import Topic

Message = TypeVar("Message")

LARGEST_BYTES = 64 * 1024
"""Largest message that a control loop looks at: a humanoid's 100 joints with long names take a tenth of it."""


class MessageError(ValueError):
    """A message that is not read, and why; `oversized` where its size alone was the reason."""

    def __init__(self, problem: str, *, oversized: bool = False) -> None:
        super().__init__(problem)
        self.oversized = oversized


def read(data: bytes, kind: type[Message], max_bytes: int = LARGEST_BYTES) -> Message:
    """A message from its serialised form.

    Args:
      data: As it came.
      kind: Its type.
      max_bytes: Largest size that is looked at at all.

    Raises:
      MessageError: if it is larger, or its bytes are not such a message.
    """
    name = kind.__name__
    if len(data) > max_bytes:
        article = "an" if name[0] in "AEIOU" else "a"
        problem = f"{article} {name} of {len(data)} bytes, expected at most {max_bytes}: is it another robot's topic?"
        raise MessageError(problem, oversized=True)
    try:
        message: Message = deserialize_message(data, kind)
    except Exception as error:  # the middleware's own, of any kind
        raise MessageError(f"no {name}: {error}") from None
    return message


def listen(
    node: Node,
    topic: Topic,
    callback: Callable[[Any], None],
    *,
    max_bytes: int = LARGEST_BYTES,
    refused: Callable[[MessageError], None] | None = None,
    profile: QoSProfile | None = None,
) -> Subscription:
    """Subscribe to a topic whose messages are bounded in size.

    Args:
      node: Whose subscription it is.
      topic: What is listened to, with the quality of service it is heard with.
      callback: Called with each message.
      max_bytes: Larger messages are dropped unread.
      refused: Called for each that is dropped; by default the node logs it, once a second at most.
      profile: Quality of service, in the place of the topic's own.
    """

    def log(error: MessageError) -> None:
        node.get_logger().error(f"{topic.name}: {error}", throttle_duration_sec=1.0)

    tell = refused or log

    def take(data: bytes) -> None:
        try:
            message = read(data, topic.kind, max_bytes)
        except MessageError as error:
            tell(error)
        else:
            callback(message)

    return topic.listen(node, take, profile, raw=True)
