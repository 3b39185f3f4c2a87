# SPDX-License-Identifier: Apache-2.0
"""Whether bodies touch, from their poses alone: what a robot has in the place of a simulator's touch sensor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def ball_gap(ball: Array, radius: float, centre: Array, half: Array) -> Array:
    """Distance between a ball and an upright box, shape (...), m; negative where the centre is near enough to touch.

    Args:
      ball: The ball's centre, shape (..., 3), m.
      radius: m.
      centre: The box's centre, shape (..., 3), m.
      half: Its half edges, shape (3,), m.
    """
    beyond = np.maximum(np.abs(ball - centre) - half, 0.0)
    return np.asarray(np.sqrt(np.square(beyond).sum(axis=-1)) - radius)


def box_gap(first: Array, orientation: Array, first_half: Array, second: Array, second_half: Array) -> Array:
    """Widest gap between a turned box and an upright one along any axis that can part them, shape (...), m.

    Not above 0 exactly where the boxes overlap (separating axis theorem).

    Args:
      first: Centre of the turned box, shape (..., 3), m.
      orientation: Its unit quaternion w, x, y, z, shape (..., 4).
      first_half: Its half edges, shape (3,), m.
      second: Centre of the upright box, shape (..., 3), m.
      second_half: Its half edges, shape (3,), m.
    """
    edges = _edges(orientation)
    upright = np.broadcast_to(np.eye(3), edges.shape)
    crossed = np.cross(edges[..., :, None, :], upright[..., None, :, :]).reshape(*edges.shape[:-2], 9, 3)
    axes = np.concatenate([edges, upright, crossed], axis=-2)
    length = np.sqrt(np.square(axes).sum(axis=-1))
    reach = np.abs(axes @ edges.swapaxes(-1, -2)) @ first_half + np.abs(axes) @ second_half
    apart = np.abs((axes * (first - second)[..., None, :]).sum(axis=-1)) - reach
    # Edges in parallel have no cross product, and the others part them.
    gaps = np.where(length > 1e-9, apart / np.maximum(length, 1e-9), -np.inf)
    return np.asarray(np.where(np.isfinite(apart).all(axis=-1), gaps.max(axis=-1), np.nan))


def _edges(quaternion: Array) -> Array:
    """Directions of a body's x, y and z axis, shape (..., 3, 3), a row each."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
        [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
        [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
