# SPDX-License-Identifier: Apache-2.0
"""Unit quaternions w, x, y, z of bodies: how far they lean, and by what they were turned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def upright(quaternion: Array) -> Array:
    """The quaternion of the same rotation whose w is not negative, shape (..., 4)."""
    return np.where(quaternion[..., :1] < 0.0, -quaternion, quaternion)


def tilt_deg(quaternion: Array) -> Array:
    """Angle between the body's z axis and the vertical, shape (...), degrees; quaternions of shape (..., 4)."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    # Well conditioned everywhere, and not a number if any of the four is none.
    return np.asarray(np.degrees(2.0 * np.arctan2(np.hypot(x, y), np.hypot(w, z))))


def rotation_vector(quaternion: Array) -> Array:
    """Axis times angle, shape (..., 3), rad, the angle at most pi; quaternions of shape (..., 4)."""
    quaternion = upright(quaternion)
    sine = np.sqrt(np.square(quaternion[..., 1:]).sum(axis=-1))
    half = np.arctan2(sine, quaternion[..., 0])
    # sin(a) / a is 1 to the last bit where the quotient would be 0 / 0.
    factor = np.where(sine > 1e-12, 2.0 * half / np.maximum(sine, 1e-12), 2.0)
    return np.asarray(quaternion[..., 1:] * factor[..., None])


def quaternion_of(rotation: Array) -> Array:
    """The unit quaternion of axis times angle (..., 3), rad: the inverse of `rotation_vector`, shape (..., 4)."""
    angle = np.sqrt(np.square(rotation).sum(axis=-1, keepdims=True))
    # sin(a / 2) / a, without a quotient of 0 / 0
    return np.concatenate([np.cos(0.5 * angle), rotation * (0.5 * np.sinc(angle / (2.0 * np.pi)))], axis=-1)


def turned_by(before: Array, after: Array) -> Array:
    """Rotation vector, in the world's frame, that turns one orientation into the other; shape (..., 3), rad."""
    w, x, y, z = np.moveaxis(before, -1, 0)
    a, b, c, d = np.moveaxis(after, -1, 0)
    # after times the conjugate of before
    product = np.stack(
        [
            a * w + b * x + c * y + d * z,
            -a * x + b * w - c * z + d * y,
            -a * y + b * z + c * w - d * x,
            -a * z - b * y + c * x + d * w,
        ],
        axis=-1,
    )
    return rotation_vector(product)
