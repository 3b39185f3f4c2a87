# SPDX-License-Identifier: Apache-2.0
"""Episodes as a ledger is told of them."""

from __future__ import annotations

import numpy as np

LIMIT = 15.0
MS = 1_000_000


def step(ledger, stamp, *, iteration=0, episode=0, last=False, limit=0.5):
    mean = np.zeros(0) if last else np.full(2, stamp / 1e9)
    ledger.add_step(iteration, episode, stamp, last, mean, mean + 1.0, limit)


def run_episode(ledger, values, *, start=0, period=50 * MS, iteration=0, episode=0):
    """Decisions at s_0 .. s_T with the unsafety of s_0 .. s_T; the last one carries no proposal."""
    for index, value in enumerate(values):
        ledger.add_state(start + index * period, value)
        last = index == len(values) - 1
        step(ledger, start + index * period, iteration=iteration, episode=episode, last=last)
