# SPDX-License-Identifier: Apache-2.0
"""Map of the drunk spider: 8 x 7 cells of side 1, two pits of lava with a bridge between (SQRL's short map).

A position is (row, column), continuous, in [0, 8] x [0, 7]. The pits are rows 2 to 5 of columns 2 and 4, so the bridge
is column 3: 1 wide and 4 long. The ways round are columns 0 to 1 and 5 to 6.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SIZE = np.array([8.0, 7.0])
"""Rows and columns."""

START = np.array([0.5, 3.5])
GOAL = np.array([7.5, 3.5])
GOAL_RADIUS = 1.0
"""Distance from the goal at which it is reached."""

PIT_ROWS, PIT_COLUMNS = (2, 6), (2, 4)
"""First row and the one after the last of both pits; their columns."""


def outside(position: Array) -> Flags:
    """Whether positions are off the map, shape (...), for positions (..., 2); its border belongs to it."""
    return np.asarray(((position < 0.0) | (position > SIZE)).any(axis=-1))


def in_lava(position: Array) -> Flags:
    """Whether positions are in a pit, shape (...), for positions (..., 2)."""
    row, column = np.floor(position[..., 0]), np.floor(position[..., 1])
    return np.asarray((row >= PIT_ROWS[0]) & (row < PIT_ROWS[1]) & np.isin(column, PIT_COLUMNS))


def distance_to_goal(position: Array) -> Array:
    """Euclidean distance, shape (...), for positions (..., 2)."""
    return np.asarray(np.linalg.norm(position - GOAL, axis=-1))
