# SPDX-License-Identifier: Apache-2.0
"""Speed that an FR3 bears by joint position: beyond it, whatever drives it, it stops by a reflex.

Franka publishes it with the limits of the arm, and libfranka computes it ("position-based joint velocity limits"):

    dq_max(q) = min(v, max(0, -o + sqrt(max(0, 2 a (q_max - q)))))

and dq_min(q) the same from the other end. The speed that the description names is v, and holds far from both ends only.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeedByPosition:
    """The formula's numbers, one for each joint from base to tool.

    Attributes:
      velocity: v, rad/s.
      offset: o, rad/s.
      deceleration: a, rad/s2.
      lower: Position at which the speed towards the lower end has come to zero at the latest, rad.
      upper: The same, above, rad.
    """

    velocity: tuple[float, ...]
    offset: tuple[float, ...]
    deceleration: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def bounds(self, position: Array) -> tuple[Array, Array]:
        """Velocities between which the arm goes on.

        Args:
          position: Shape (..., n_joints), rad.

        Returns:
          Lower bound, <= 0, and upper bound, >= 0, shape (..., n_joints) each, rad/s.
        """
        return -self._towards(position - np.array(self.lower)), self._towards(np.array(self.upper) - position)

    def _towards(self, distance: Array) -> Array:
        """Speed that is borne towards an end of travel at that distance."""
        grown = np.sqrt(2.0 * np.array(self.deceleration) * np.maximum(distance, 0.0))
        return np.clip(grown - np.array(self.offset), 0.0, np.array(self.velocity))


FR3_SPEED: Final = SpeedByPosition(
    velocity=(2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26),
    offset=(0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35),
    deceleration=(6.0, 2.585, 3.5, 4.0, 17.0, 5.5, 17.0),
    lower=(-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196),
    upper=(2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196),
)
"""As Franka publishes it for the FR3."""
