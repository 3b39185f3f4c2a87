# SPDX-License-Identifier: Apache-2.0
"""A slow joint-space move: a smooth reference in time, and the torque that follows it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_SHORTEST = 0.5  # s; a move over nothing still takes time to settle


class SlowMove:
    """From one joint position to another along a minimum-jerk reference, all joints arriving together.

    Attributes:
      duration: Time from start to goal, s.
      goal: Shape (n_joints,), rad.
    """

    def __init__(self, start: Array, goal: Array, speed: float) -> None:
        """Plan the move.

        Args:
          start: Shape (n_joints,), rad.
          goal: Same shape, rad.
          speed: Largest joint speed of the reference, rad/s, > 0.

        Raises:
          ValueError: if shapes differ, a value is not finite, or the speed is not positive.
        """
        if np.shape(start) != np.shape(goal) or not np.isfinite(start).all() or not np.isfinite(goal).all():
            raise ValueError(f"start and goal must be finite and of one shape (rad), got {start} and {goal}")
        if not speed > 0.0:
            raise ValueError(f"speed must be positive, rad/s, got {speed}")
        self._start, self.goal = np.array(start), np.array(goal)
        distance = float(np.abs(self.goal - self._start).max(initial=0.0))
        # The fastest instant of a minimum-jerk move is 15/8 of its mean speed.
        self.duration = max(_SHORTEST, 1.875 * distance / speed)

    def reference(self, time_s: float) -> tuple[Array, Array]:
        """Position, rad, and velocity, rad/s, that the arm should have; each of shape (n_joints,)."""
        s = min(max(time_s / self.duration, 0.0), 1.0)
        blend = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
        rate = 30.0 * s**2 * (1.0 - s) ** 2 / self.duration
        way = self.goal - self._start
        return self._start + blend * way, rate * way


class MoveTime:
    """Time along a move, s: that of a clock, but it stands still while nobody follows.

    After a stall the reference must not be found far ahead: the arm would be thrown after it.
    """

    def __init__(self, longest_step: float = 0.05) -> None:
        """Begin at 0, with the first call.

        Args:
          longest_step: Most that a call can add, s.
        """
        self._longest, self._last, self._elapsed = longest_step, math.nan, 0.0

    def at(self, now: float) -> float:
        """Time along the move at a time of the clock, s, which does not go back."""
        step = now - self._last
        self._last = now
        self._elapsed += min(step, self._longest) if step > 0.0 else 0.0  # of the first call it is not a number
        return self._elapsed


def following_torque(
    position: Array, velocity: Array, reference: tuple[Array, Array], stiffness: Array, damping: Array
) -> Array:
    """PD torque towards a reference, shape (n_joints,), N·m.

    Args:
      position: Shape (n_joints,), rad.
      velocity: Shape (n_joints,), rad/s.
      reference: Position and velocity to follow, same shape each.
      stiffness: Shape (n_joints,), N·m/rad.
      damping: Shape (n_joints,), N·m·s/rad.
    """
    torque: Array = stiffness * (reference[0] - position) + damping * (reference[1] - velocity)
    return torque
