# SPDX-License-Identifier: Apache-2.0
"""What the filter counts and times for /diagnostics; a cycle costs it a few assignments and no allocation."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict

import numpy as np

from safe_transfer_ros.safety.reasons import Reason, split

_KEPT = 4096  # latest latencies, for the percentiles


class FilterHealth:
    """Counters and latencies since the filter was configured.

    Attributes:
      cycles: Torques published.
      decisions: SafetyDecisions published.
    """

    def __init__(self) -> None:
        """Start from zero."""
        self.cycles = 0
        self.decisions = 0
        self._timed = 0
        self._latencies = array("q", bytes(8 * _KEPT))
        self._combinations: defaultdict[int, int] = defaultdict(int)

    def count(self, reasons: int) -> None:
        """One cycle with these reasons."""
        self.cycles += 1
        if reasons:
            self._combinations[reasons] += 1

    def time(self, nanoseconds: int) -> None:
        """One joint state answered by a command this much later, ns."""
        self._latencies[self._timed % _KEPT] = nanoseconds
        self._timed += 1

    def reasons(self) -> Counter[Reason]:
        """Cycles with each reason."""
        counts: Counter[Reason] = Counter()
        for combination, cycles in list(self._combinations.items()):
            for reason in split(combination):
                counts[reason] += cycles
        return counts

    def latency_us(self) -> tuple[float, float, float] | None:
        """Median, 99th percentile and maximum of the latest latencies, µs; None before the first."""
        count = min(self._timed, _KEPT)
        if not count:
            return None
        values = np.frombuffer(self._latencies, dtype=np.int64)[:count] * 1e-3
        middle, late = np.percentile(values, [50.0, 99.0])
        return float(middle), float(late), float(values.max())
