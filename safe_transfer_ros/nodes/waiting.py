# SPDX-License-Identifier: Apache-2.0
"""Waiting inside coroutines, on the wall clock, with a sentence for when it takes too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

_STEADY = Clock(clock_type=ClockType.STEADY_TIME)


class PeerTimeout(RuntimeError):
    """Another node did not answer in time."""


async def sleep(node: Node, seconds: float) -> None:
    """Let other callbacks run for `seconds` of wall-clock time."""
    future: Future = Future()
    timer = node.create_timer(seconds, lambda: future.done() or future.set_result(None), clock=_STEADY)
    try:
        await future
    finally:
        node.destroy_timer(timer)


async def answer(node: Node, future: Future, seconds: float, what: str) -> Any:
    """The result of `future`, or PeerTimeout naming `what` was awaited."""
    either: Future = Future()
    timer = node.create_timer(seconds, lambda: either.done() or either.set_result(False), clock=_STEADY)
    future.add_done_callback(lambda _: either.done() or either.set_result(True))
    try:
        arrived = await either
    finally:
        node.destroy_timer(timer)
    if not arrived:
        raise PeerTimeout(f"no answer within {seconds:g} s: {what}")
    return future.result()


async def until(node: Node, condition: Callable[[], bool], seconds: float, what: str, period: float = 0.005) -> None:
    """Wait until `condition()` holds, polling; PeerTimeout naming `what` otherwise.

    For conditions that no single event announces, such as "every peer is in the graph".
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise PeerTimeout(f"still not so after {seconds:g} s: {what}")
        await sleep(node, period)
