# SPDX-License-Identifier: Apache-2.0
"""Waiting inside coroutines, on the wall clock, with a sentence for when it takes too long."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
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


class _DoneOrLate:
    """Awaitable until a future is done or its time is up.

    Polls the future itself: EventsExecutor looks at waiting coroutines after every event, but runs a future's done
    callbacks as tasks of their own that it then forgets until the spin times out.
    """

    def __init__(self, future: Future) -> None:
        self._future = future
        self.late = False

    def expire(self) -> None:
        self.late = True

    def __await__(self) -> Generator[None, None, None]:
        while not (self._future.done() or self.late):
            yield


async def answer(node: Node, future: Future, seconds: float, what: str) -> Any:
    """The result of `future`, or PeerTimeout naming `what` was awaited."""
    waiting = _DoneOrLate(future)
    timer = node.create_timer(seconds, waiting.expire, clock=_STEADY)
    try:
        await waiting
    finally:
        node.destroy_timer(timer)
    if not future.done():
        raise PeerTimeout(f"no answer within {seconds:g} s: {what}")
    return future.result()


async def until(
    node: Node, condition: Callable[[], bool], seconds: float, what: str | Callable[[], str], period: float = 0.005
) -> None:
    """Wait until `condition()` holds, polling; PeerTimeout naming `what`, as it is then, otherwise.

    For conditions that no single event announces, such as "every peer is in the graph".
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise PeerTimeout(f"still not so after {seconds:g} s: {what if isinstance(what, str) else what()}")
        await sleep(node, period)
