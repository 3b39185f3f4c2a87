# SPDX-License-Identifier: Apache-2.0
"""Permission to move, given over a topic by the supervisor of the arm's controller, and the meaning of its silence."""

from __future__ import annotations

_WHO = "the controller supervisor"


class Permission:
    """State of the one publisher that may forbid motion. Stop buttons, of which there may be several: `StopButtons`.

    With a lease it must be heard again and again: a cable that came off, a process that died, and one that forbids look
    the same from here, and are treated the same. Without one, only its word counts.
    """

    def __init__(self, lease_s: float = 0.0) -> None:
        """Start having heard nothing.

        Args:
          lease_s: Longest silence allowed, s; 0 when no permission is required.

        Raises:
          ValueError: if the lease is negative or not finite.
        """
        if not 0.0 <= lease_s < float("inf"):
            raise ValueError(f"lease_s must be finite and >= 0, got {lease_s}")
        self._lease_s = lease_s
        self._lease_ns = round(lease_s * 1e9)
        self._given = True
        self._heard_ns: int | None = None

    def hear(self, given: bool, now_ns: int) -> None:
        """Process one message, received at steady time `now_ns`."""
        self._given = given
        self._heard_ns = now_ns

    def problem(self, now_ns: int) -> str | None:
        """Reason why the arm must not move at steady time `now_ns`; None when it may."""
        if not self._given:
            return f"{_WHO} permits no torque"
        if not self._lease_ns:
            return None
        if self._heard_ns is None:
            return f"{_WHO} has not been heard (wanted at least every {self._lease_s:g} s)"
        # A clock that went back tells no age: that is silence too.
        if not 0 <= now_ns - self._heard_ns <= self._lease_ns:
            return f"{_WHO} is silent (wanted at least every {self._lease_s:g} s)"
        return None
