# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C for a program that turns a middleware on its main thread."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """SIGINT and SIGTERM as KeyboardInterrupt, only where it is looked for; use as a context manager.

    Raised wherever the signal happens to come, it would at times be raised in a callback of the middleware's C++, which
    makes another exception of it, or none.
    """

    def __init__(self) -> None:
        """Prepare; nothing is caught until the context is entered."""
        self._came = self._at_once = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        """Catch both signals."""
        self._previous = {number: signal.signal(number, self._catch) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give both signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt, once, if a signal has come."""
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise a signal as soon as it comes within the block: for calls that wait, such as for a person's answer."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        if self._at_once:
            self.check()
