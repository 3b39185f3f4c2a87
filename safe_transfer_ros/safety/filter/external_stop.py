# SPDX-License-Identifier: Apache-2.0
"""Source that may forbid motion over a topic, such as a supervisor, and the meaning of its silence."""

from __future__ import annotations


class ExternalStop:
    """State of one publisher that may forbid motion. Buttons, of which there may be several: `StopButtons`.

    With a lease he must be heard again and again: a cable that came off, a process that died, and one who forbids look
    the same from here, and are treated the same. Without one, only his word counts.
    """

    def __init__(self, lease_s: float = 0.0, who: str = "the external stop", pressed: str = "is pressed") -> None:
        """Start having heard nothing.

        Args:
          lease_s: Longest silence allowed, s; 0 when no button is required.
          who: What it is called in sentences.
          pressed: What it does when it forbids motion.

        Raises:
          ValueError: if the lease is negative or not finite.
        """
        if not 0.0 <= lease_s < float("inf"):
            raise ValueError(f"lease_s must be finite and >= 0, got {lease_s}")
        self._lease_s, self._who, self._words = lease_s, who, pressed
        self._lease_ns = round(lease_s * 1e9)
        self._pressed = False
        self._heard_ns: int | None = None

    def hear(self, pressed: bool, now_ns: int) -> None:
        """Process one message of the button, received at steady time `now_ns`."""
        self._pressed = pressed
        self._heard_ns = now_ns

    def problem(self, now_ns: int) -> str | None:
        """Reason why the arm must not move at steady time `now_ns`; None when it may."""
        if self._pressed:
            return f"{self._who} {self._words}"
        if not self._lease_ns:
            return None
        if self._heard_ns is None:
            return f"{self._who} has not been heard (wanted at least every {self._lease_s:g} s)"
        # A clock that went back tells no age: that is silence too.
        if not 0 <= now_ns - self._heard_ns <= self._lease_ns:
            return f"{self._who} is silent (wanted at least every {self._lease_s:g} s)"
        return None
