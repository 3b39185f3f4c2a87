# SPDX-License-Identifier: Apache-2.0
"""Plausibility of joint states: a joint far outside its range, or far faster than it can go, was not measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SPEED_FACTOR = 10.0
"""A joint may be measured at this many times its speed limit: beyond, the measurement is wrong, not the arm fast."""
SIMULATED_SPEED_FACTOR = 100.0
"""In lockstep: a simulated arm, light and without soft limits, was seen at 30 times its limit: that is its physics."""
MARGIN_RAD = 1.0
"""How far beyond its range a joint may be measured: less than what a wrap by a turn takes most joints out by."""
NOISE_RAD = 0.1
"""What two joint states may differ by though no time has passed between them."""
LARGEST = 1e4
"""Where a joint has no range or no speed limit, rad and rad/s: more than a thousand turns."""


class Plausibility:
    """Bounds on positions, velocities and jumps; plain lists, as the control loop goes through them each time."""

    def __init__(self, lower: Array, upper: Array, velocity: Array, speed_factor: float = SPEED_FACTOR) -> None:
        """From a robot's limits.

        Args:
          lower: Hard position limits, shape (n_joints,), rad; -inf where a joint has none.
          upper: The same, above.
          velocity: Speed limits, same shape, rad/s, > 0; inf where a joint has none.
          speed_factor: How many times its speed limit a joint may be measured at, >= 1.

        Raises:
          ValueError: if shapes differ, or a limit is NaN or senseless.
        """
        if not (lower.shape == upper.shape == velocity.shape and lower.ndim == 1):
            raise ValueError(f"limits must be vectors of one length, got {lower}, {upper} and {velocity}")
        if not ((lower < upper).all() and (velocity > 0.0).all() and 1.0 <= speed_factor < np.inf):
            raise ValueError(
                f"expected lower < upper, velocity > 0 and a factor >= 1, got {lower}, {upper}, {velocity}"
            )
        self._lower: list[float] = np.maximum(lower - MARGIN_RAD, -LARGEST).tolist()
        self._upper: list[float] = np.minimum(upper + MARGIN_RAD, LARGEST).tolist()
        self._speed: list[float] = np.minimum(speed_factor * velocity, LARGEST).tolist()

    def possible(self, position: Array, velocity: Array) -> bool:
        """Whether a joint state can be; never one with NaN or infinity.

        Args:
          position: Shape (n_joints,), rad; any floats whatever.
          velocity: Same shape, rad/s; any floats whatever.
        """
        joints = zip(position.tolist(), velocity.tolist(), self._lower, self._upper, self._speed, strict=True)
        for q, dq, lower, upper, speed in joints:
            if not (lower <= q <= upper and -speed <= dq <= speed):
                return False
        return True

    def reachable(self, before: Array, position: Array, elapsed_s: float) -> bool:
        """Whether a joint state can follow another.

        Args:
          before: Positions of the one, shape (n_joints,), rad.
          position: Positions of the other, same shape.
          elapsed_s: Time between them, s, >= 0.
        """
        for p, q, speed in zip(before.tolist(), position.tolist(), self._speed, strict=True):
            if abs(q - p) > speed * elapsed_s + NOISE_RAD:
                return False
        return True
