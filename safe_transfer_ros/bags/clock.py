# SPDX-License-Identifier: Apache-2.0
"""Jumps of a recording's clock: it was set while the recorder ran, or came only after the first messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from safe_transfer_ros.bags.scan import RawMessage

BACK_NS = 1_000_000_000
"""A topic's receipt times that go back by more are not explained by threads that write out of turn."""

FORWARD_NS = 3600 * 1_000_000_000
"""Within one recording, an hour without any message."""


class RecordingClock:
    """Follows receipt times in the order of recording.

    Attributes:
      back: Jumps back so far.
      forward: Jumps forward so far.
      largest_ns: The largest of them, ns, either way.
    """

    def __init__(self) -> None:
        """Start before the first message."""
        self.back = self.forward = self.largest_ns = 0
        self._newest: int | None = None  # since the last jump
        self._last: dict[int | str, int] = {}  # of each topic

    @property
    def jumps(self) -> int:
        """Jumps of both kinds."""
        return self.back + self.forward

    def jumped(self, topic: int | str, time_ns: int) -> bool:
        """Process a message and return whether the clock jumped before it."""
        last, newest = self._last.get(topic), self._newest
        step = 0
        if last is not None and time_ns < last - BACK_NS:
            self.back, step = self.back + 1, last - time_ns
        elif newest is not None and time_ns > newest + FORWARD_NS:
            self.forward, step = self.forward + 1, time_ns - newest
        if step:
            self.largest_ns = max(self.largest_ns, step)
            self._last.clear()
            newest = None
        self._last[topic] = time_ns
        self._newest = time_ns if newest is None else max(newest, time_ns)
        return step > 0

    def unbroken(self, chunk: list[RawMessage]) -> Iterator[list[RawMessage]]:
        """Messages of a chunk, cut where the clock jumped; all pieces but the first begin after a jump.

        The first piece is empty where the jump is before the first message.
        """
        if not chunk:
            return
        times = np.fromiter((raw.log_time_ns for raw in chunk), dtype=np.int64, count=len(chunk))
        newest = np.maximum.accumulate(times)
        before = np.concatenate([[times[0] if self._newest is None else self._newest], newest[:-1]])
        step = times - np.maximum(before, before[0])
        if step.min() >= -BACK_NS and step.max() <= FORWARD_NS:  # no topic can have jumped
            self._newest = int(max(newest[-1], before[0]))
            for raw in self._last_of_each(chunk):
                self._last[raw.channel] = raw.log_time_ns
            yield chunk
            return
        piece: list[RawMessage] = []
        for raw in chunk:
            if self.jumped(raw.channel, raw.log_time_ns):
                yield piece
                piece = []
            piece.append(raw)
        yield piece

    @staticmethod
    def _last_of_each(chunk: list[RawMessage]) -> Iterable[RawMessage]:
        return {raw.channel: raw for raw in chunk}.values()

    def describe(self) -> str:
        """One line for a person; empty when there is nothing to tell."""
        if not self.jumps:
            return ""
        ways = [f"back {self.back} times"] * bool(self.back) + [f"forward {self.forward} times"] * bool(self.forward)
        size = _duration(self.largest_ns / 1e9)
        return f"the clock of the recording was set {' and '.join(ways)}, by up to {size} (or nothing came for so long)"


def _duration(seconds: float) -> str:
    for unit, name in ((365.25 * 86400, "years"), (86400, "days"), (3600, "hours")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
