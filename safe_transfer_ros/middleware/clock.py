# SPDX-License-Identifier: Apache-2.0
"""The steady clock of every age: one that a suspended machine does not stop."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Time since boot, ns. CLOCK_MONOTONIC stops while a machine is suspended, which would make old data look new."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def now_s() -> float:
    """The same in seconds."""
    return now_ns() * 1e-9
