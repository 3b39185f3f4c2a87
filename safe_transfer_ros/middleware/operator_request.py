# SPDX-License-Identifier: Apache-2.0
"""An operator's requests to the filter and their confirmation. No ROS here: sending is a function handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from safe_transfer_ros.untrusted import printable

ASK_AGAIN_SECONDS = 0.5
ALARM_SECONDS = 1.0
"""A filter that works answers in milliseconds; after this long a person must be told to act."""
_REMEMBERED = 20  # calls whose answers are still looked for; a filter that comes back answers the newest ones too


class Call(Protocol):
    """A service call under way: a future, polled."""

    def done(self) -> bool:
        """Whether the answer is here."""

    def result(self) -> Any:
        """The answer, with `success` and `message`."""


Send = Callable[[], Call | None]
"""Sends the request once; None when the service is not there (yet)."""


@dataclass(kw_only=True)
class Request:
    """One request, repeated until it is answered (a trip) or sent once (a reset).

    A trip can be repeated without harm, so it is: a request sent before the two sides have found each other is lost.
    A reset that arrives late would surprise, so it is sent once or never.
    """

    name: str
    send: Send
    since: float  # s on the caller's steady clock
    insistent: bool
    times_sent: int = 0
    answered: float | None = None  # when, same clock
    success: bool = False
    message: str = ""
    _sent: list[Call] = field(default_factory=list)
    _last_sent: float = 0.0

    def poll(self, now: float) -> None:
        """Process an answer; send, or send again, when it is time to."""
        if not self.pending():
            return
        for call in self._sent:
            if call.done():
                result = call.result()
                self._end(now, bool(result.success), printable(result.message))
                return
        if self.times_sent and (not self.insistent or now - self._last_sent < ASK_AGAIN_SECONDS):
            return
        sent = self.send()
        if sent is not None:
            self.times_sent, self._last_sent = self.times_sent + 1, now
            self._sent = [*self._sent[1 - _REMEMBERED :], sent]
        elif not self.insistent:
            self._end(now, False, "not sent, the service is not there")

    def pending(self) -> bool:
        """Whether an answer is still awaited."""
        return self.answered is None

    def overdue(self, now: float) -> bool:
        """Whether a filter that works would have answered by now."""
        return self.pending() and now - self.since > ALARM_SECONDS

    def _end(self, now: float, success: bool, message: str) -> None:
        self.answered, self.success, self.message = now, success, message
