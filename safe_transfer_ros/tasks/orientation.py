# SPDX-License-Identifier: Apache-2.0
"""Orientations of bodies that move about: matrices of quaternions, and vectors in a body's own frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def in_frame(rotation: Array, vector: Array) -> Array:
    """Vectors of the world's frame in a body's, shape (..., 3).

    Args:
      rotation: From the body's frame to the world's, shape (..., 3, 3).
      vector: Shape (..., 3).
    """
    return (rotation * vector[..., :, None]).sum(axis=-2)


def rotation_of(quaternion: Array) -> Array:
    """Rotation matrices, shape (..., 3, 3), of unit quaternions w, x, y, z, shape (..., 4)."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    rows = (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
        (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)),
        (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_about_z(angle: Array) -> Array:
    """Rotation matrices, shape (..., 3, 3), of angles about the z axis, shape (...), rad."""
    half, zero = 0.5 * angle, np.zeros_like(angle)
    return rotation_of(np.stack([np.cos(half), zero, zero, np.sin(half)], axis=-1))
