# SPDX-License-Identifier: Apache-2.0
"""Width of the widest way along a hallway, from the distances of what stands in it."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.tasks.hallway.course import Hall

HALLS = (Hall(half_width=1.0, length=34.0, passage=0.5), Hall(half_width=1.5, length=34.0, passage=0.9))


def boxes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Distances of boxes from each other, shape (n, n)."""
    apart = np.maximum(low[:, None] - high[None], low[None] - high[:, None])
    return np.hypot(*np.moveaxis(np.maximum(apart, 0.0), -1, 0))


def widest(apart: np.ndarray, sides: np.ndarray) -> float:
    """Width of the widest way along the hallway: what would close it is a chain from side to side.

    Of every chain the widest gap counts, and of all chains the one whose widest gap is the least.
    """
    n = len(apart)
    best, done = np.maximum(sides[:, 0], 0.0), np.zeros(n, dtype=bool)
    for _ in range(n):
        at = int(np.where(done, np.inf, best).argmin())
        done[at] = True
        best = np.where(done, best, np.minimum(best, np.maximum(best[at], apart[at])))
    return float(np.maximum(best, sides[:, 1]).min())
