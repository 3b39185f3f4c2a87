# SPDX-License-Identifier: Apache-2.0
"""When a message may have been received, for a process that may itself have stood still.

What arrives while a process does not run waits for it, and looks new when it is taken. Only that a process has looked
lately tells that nothing had been waiting: after a gap between two looks, what is taken counts from the look before.

On a busy machine short gaps follow each other, and what is taken between them could have waited since before the
first. Not so for the states of a robot whose stamps run steadily: each was sent after the one before.
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


class StateReceipt:
    """Estimator of the earliest receipt of a robot's states, which come in order and have stamps.

    A state came after the one before it; and that one no earlier than its stamp by the robot's clock says, plus the
    least delay between stamp and receipt that was seen while the process ran. A stamp tells so only as long as it
    follows the last one by a period, as it always did: after a jump, or a lost state, a delay has to be seen anew. So
    the robot's clock keeps nothing alive; it tells which of several gaps a state was sent after.
    """

    def __init__(self, period_s: float, window_s: float = 0.5) -> None:
        """Start without a state.

        Args:
          period_s: Nominal time between two states, s.
          window_s: Delays are remembered for one to two of it, s: clocks drift.
        """
        self._longest_step_ns = round(1.5e9 * period_s)
        self._window_ns = round(window_s * 1e9)
        self._stamp_ns: int | None = None
        self._came_ns = 0  # the state of that stamp, at the earliest
        self._delays: list[int] = []  # the least one of the present window, and of the one before
        self._window_began_ns = 0

    def take(self, stamp_ns: int, since_ns: int, now_ns: int) -> int:
        """Process a state that is taken; the earliest time of its receipt, ns, no earlier than `since_ns`.

        Args:
          stamp_ns: The robot's.
          since_ns: When what is taken now can have come at the earliest (`ReceiptClock.look`).
          now_ns: Steady time.
        """
        before = self._stamp_ns
        steady = before is not None and 0 < stamp_ns - before <= self._longest_step_ns
        if not steady or now_ns - self._window_began_ns > 2 * self._window_ns:
            self._delays.clear()
            self._came_ns = since_ns
        self._stamp_ns = stamp_ns
        received_ns = max(since_ns, self._came_ns)
        if since_ns == now_ns:
            self._see(now_ns - stamp_ns, now_ns)
        if self._delays:
            self._came_ns = max(received_ns, min(now_ns, stamp_ns + min(self._delays)))
        return received_ns

    def _see(self, delay_ns: int, now_ns: int) -> None:
        if not self._delays or now_ns - self._window_began_ns > self._window_ns:
            self._delays[:] = [delay_ns, *self._delays[:1]]
            self._window_began_ns = now_ns
        elif delay_ns < self._delays[0]:
            self._delays[0] = delay_ns
