# SPDX-License-Identifier: Apache-2.0
"""Independent check of the filter: the stream of its commands.

The filter publishes without pause, armed or not; silence means that it is dead, stopped, hung or cut off. Which of
them makes no difference to the arm, whose effort controller holds the last torque for ever.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence


class CommandStream:
    """Age, shape and rhythm of the commands on one topic.

    Attributes:
      zero_count: Commands of rest, all zeros where the arm carries itself, since the last other one.
    """

    def __init__(self, n_joints: int, timeout_s: float) -> None:
        """Start having heard nothing.

        Args:
          n_joints: Values a command must have.
          timeout_s: Longest silence allowed, s, > 0.

        Raises:
          ValueError: if the timeout is not a positive number.
        """
        if not 0.0 < timeout_s < math.inf:
            raise ValueError(f"timeout_s must be a positive number of seconds, got {timeout_s}")
        self._n_joints = n_joints
        self._timeout_ns = round(timeout_s * 1e9)
        self._heard_ns: int | None = None
        self._steady_ns: int | None = None  # since when commands come without a pause or a fault
        self._fault, self._fault_ns = "", 0
        self.zero_count = 0
        self._gaps = array("d")

    def hear(self, effort: Sequence[float], now_ns: int, rests: bool | None = None) -> None:
        """Process one command.

        Args:
          effort: N·m.
          now_ns: Steady time of receipt.
          rests: Whether it asks for no motion, where that is not all zeros.
        """
        if len(effort) != self._n_joints:  # looked at no further: it may be of any length
            self.refuse(f"a command had {len(effort)} values instead of {self._n_joints}", now_ns)
        elif not all(map(math.isfinite, effort)):
            self.refuse("a command was not finite", now_ns)
        else:
            self._came(now_ns)
            moves = any(effort) if rests is None else not rests
            self.zero_count = 0 if moves else self.zero_count + 1

    def refuse(self, fault: str, now_ns: int) -> None:
        """Process a command that cannot be right, at steady time `now_ns`.

        It is a problem for as long as a silence may last: what asks now and then would not see it behind a good one.
        """
        self._came(now_ns)
        self._fault, self._fault_ns = fault, now_ns
        self._steady_ns, self.zero_count = now_ns, 0

    def _came(self, now_ns: int) -> None:
        if self._heard_ns is not None and len(self._gaps) < 100_000:
            self._gaps.append((now_ns - self._heard_ns) * 1e-9)
        if self._heard_ns is None or not 0 <= now_ns - self._heard_ns <= self._timeout_ns:
            self._steady_ns = now_ns
        self._heard_ns = now_ns

    def problem(self, now_ns: int) -> str | None:
        """Reason why the stream cannot be trusted at steady time `now_ns`; None when it can."""
        if self._heard_ns is None:
            return "the filter sends no commands"
        age_ns = now_ns - self._heard_ns
        # A clock that went back tells no age: that is silence too.
        if not 0 <= age_ns <= self._timeout_ns:
            return f"the filter's commands have stopped (none for {age_ns * 1e-6:.0f} ms)"
        return self._fault if self._fault and now_ns - self._fault_ns <= self._timeout_ns else None

    def steady_s(self, now_ns: int) -> float:
        """Time for which commands have come without a pause or a fault, s; 0 while there is a problem."""
        if self._steady_ns is None or self.problem(now_ns) is not None:
            return 0.0
        return (now_ns - self._steady_ns) * 1e-9

    def rhythm(self) -> tuple[float, float, float] | None:
        """Rate, Hz, standard deviation and maximum of the gaps, s, since last asked; None with too few to tell."""
        gaps, self._gaps = self._gaps, array("d")
        if len(gaps) < 2:
            return None
        mean = sum(gaps) / len(gaps)
        spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
        return 1.0 / mean if mean > 0.0 else math.inf, spread, max(gaps)
