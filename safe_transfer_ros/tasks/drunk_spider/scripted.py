# SPDX-License-Identifier: Apache-2.0
"""Ways to the goal by rule: over the bridge and around the pits; and one that ends in lava."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.tasks.drunk_spider.map import GOAL, PIT_ROWS, Array

_SIDE = 1.0  # column of the way round, in the middle of columns 0 and 1


def over_the_bridge(position: Array) -> Array:
    """Actions along the bridge's middle, shape (E, 2), at positions (E, 2)."""
    return _toward(position, np.stack([position[:, 0] + 1.0, np.full(len(position), GOAL[1])], axis=1))


def around(position: Array) -> Array:
    """Actions around the pits by the low columns, shape (E, 2), at positions (E, 2)."""
    row, column = position[:, 0], position[:, 1]
    past = row >= PIT_ROWS[1] + 0.25
    aside = ~past & (column > _SIDE + 0.25)
    wanted = np.stack([np.where(aside, 0.5, row + 1.0), np.full(len(position), _SIDE)], axis=1)
    return _toward(position, np.where(past[:, None], GOAL, wanted))


def into_lava(position: Array) -> Array:
    """Actions to the middle of a pit, shape (E, 2), at positions (E, 2)."""
    return _toward(position, np.array([4.0, 2.5]))


def _toward(position: Array, wanted: Array) -> Array:
    return np.asarray(np.clip(wanted - position, -1.0, 1.0))
