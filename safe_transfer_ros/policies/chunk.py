# SPDX-License-Identifier: Apache-2.0
"""Chunks of future actions, followed row by row: open loop for a few rows, then the next chunk is due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

JITTER_NS = 500_000
"""How far stamps of a real robot may be from where they should be, ns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Actions of one moment; row k is for the time stamp_ns + k * period_ns, until the next.

    Attributes:
      stamp_ns: Of the joint state that it answers, ns.
      period_ns: Time between two rows, ns.
      rows: Shape (length, action_size).
    """

    stamp_ns: int
    period_ns: int
    rows: Array


class ChunkFollower:
    """Follows the chunk it has begun, as far as it may; then the newest takes its place.

    In lockstep the next one has to answer the very state at which it is needed, so that numbers do not depend on how
    fast the policy was. In real time it is the newest there is, whose rows for the time that it took are skipped.
    """

    def __init__(self, *, follow: int, exact: bool) -> None:
        """Start without a chunk.

        Args:
          follow: Rows of a chunk that may be followed, counted from its stamp.
          exact: Whether a chunk must be begun at the state that it answers.
        """
        self._follow, self._exact = follow, exact
        self._current: Chunk | None = None
        self._offered: Chunk | None = None
        self._began_ns = 0

    def begin(self, stamp_ns: int) -> None:
        """Begin an episode with the state of that stamp: chunks that answer one before it are not followed."""
        self._current, self._began_ns = None, stamp_ns - JITTER_NS
        if self._offered is not None and self._offered.stamp_ns < self._began_ns:
            self._offered = None

    def offer(self, chunk: Chunk) -> None:
        """Keep a chunk for when the one that is followed is over; one that is older than the last is ignored."""
        newest = self._offered or self._current
        if chunk.stamp_ns >= self._began_ns and (newest is None or chunk.stamp_ns > newest.stamp_ns):
            self._offered = chunk

    def row(self, stamp_ns: int) -> Array | None:
        """Action for the state of that stamp, shape (action_size,); None where no chunk may be followed there."""
        if self._current is not None:
            found = self._row_of(self._current, stamp_ns)
            if found is not None:
                return found
        offered = self._offered
        if offered is None or (self._exact and abs(stamp_ns - offered.stamp_ns) > JITTER_NS):
            return None
        found = self._row_of(offered, stamp_ns)
        if found is not None:
            self._current, self._offered = offered, None
        return found

    def _row_of(self, chunk: Chunk, stamp_ns: int) -> Array | None:
        since_ns = stamp_ns - chunk.stamp_ns + JITTER_NS
        index = since_ns // chunk.period_ns
        return chunk.rows[index] if since_ns >= 0 and index < min(self._follow, len(chunk.rows)) else None
