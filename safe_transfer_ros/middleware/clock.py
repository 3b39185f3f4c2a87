# SPDX-License-Identifier: Apache-2.0
"""The steady clock of every age: one that a suspended machine does not stop."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Time since boot, ns. CLOCK_MONOTONIC stands still while a machine is suspended: what is old then is young."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
