# SPDX-License-Identifier: Apache-2.0
"""When a message may have been received, for a process that may itself have stood still.

What arrives while a process does not run waits for it, and looks new when it is taken. Only that a process has looked
lately tells that nothing had been waiting: after a gap between two looks, what is taken counts from the look before.
"""

from __future__ import annotations

GAP_S = 0.015  # the watch looks every 10 ms
SETTLE_S = 0.01  # that a process which runs again needs to take all that had waited for it


class ReceiptClock:
    """Estimator of the earliest time at which the current message may have come."""

    def __init__(self, gap_s: float = GAP_S, settle_s: float = SETTLE_S) -> None:
        """Start without a look.

        Args:
          gap_s: Time between two looks beyond which the process stood still, s.
          settle_s: Time after a gap within which what had waited is taken, s.
        """
        self._gap_ns, self._settle_ns = round(gap_s * 1e9), round(settle_s * 1e9)
        self._looked_ns: int | None = None
        self._since_ns = 0  # when the queue was last known to hold nothing old
        self._until_ns = -1  # till when what is taken may have waited since then

    def look(self, now_ns: int) -> int:
        """A message is taken, or nothing was there to take; the earliest time of its receipt, ns.

        Args:
          now_ns: Steady time.
        """
        before = self._looked_ns
        self._looked_ns = now_ns
        if before is not None and now_ns - before > self._gap_ns:
            if before > self._until_ns:  # what waited through two gaps has waited since before the first
                self._since_ns = before
            self._until_ns = now_ns + self._settle_ns
        return self._since_ns if now_ns <= self._until_ns else now_ns
