# SPDX-License-Identifier: Apache-2.0
"""Speed that an FR3 bears by joint position: beyond it, whatever drives it, it stops by a reflex.

Franka publishes it with the limits of the arm, and libfranka computes it ("position-based joint velocity limits"):

    dq_max(q) = min(v, max(0, -o + sqrt(max(0, 2 a (q_max - q)))))

and dq_min(q) the same from the other end. The speed that the description names is v, and holds far from both ends only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Of each joint: v, rad/s; o, rad/s; a, rad/s2; and the positions at which the formula ends, rad.
_SPEED: Final = np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
_OFFSET: Final = np.array([0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35])
_DECELERATION: Final = np.array([6.0, 2.585, 3.5, 4.0, 17.0, 5.5, 17.0])
_LOWER: Final = np.array([-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196])
_UPPER: Final = np.array([2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196])


def speed_bounds(position: Array) -> tuple[Array, Array]:
    """Velocities between which an FR3 goes on.

    Args:
      position: Of joints 1 to 7, shape (..., 7), rad.

    Returns:
      Lower bound, <= 0, and upper bound, >= 0, shape (..., 7) each, rad/s.
    """
    return -_towards(position - _LOWER), _towards(_UPPER - position)


def _towards(distance: Array) -> Array:
    """Speed that is borne towards an end of travel at that distance."""
    return np.clip(-_OFFSET + np.sqrt(2.0 * _DECELERATION * np.maximum(distance, 0.0)), 0.0, _SPEED)
