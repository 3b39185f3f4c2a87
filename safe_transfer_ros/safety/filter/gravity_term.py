# SPDX-License-Identifier: Apache-2.0
"""The torque that carries an arm whose hardware does not: added to a torque that is already bounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class GravityTerm:
    """g(q), on top of what the filter decided on.

    The torque limit bounds the torque that moves the arm; carrying it takes what it takes. The sum is bounded by each
    joint's effort limit, and g(q) itself changes no faster than the torque-rate limit. Where no position can be
    trusted, the last one stands: an arm that is blind must be stopped, and it must not be dropped for that.

    Attributes:
      torque: g(q) as added last, shape (n_joints,), N·m.
    """

    def __init__(self, gravity: Callable[[Array], Array], effort_limit: Array, torque_rate_limit: float) -> None:
        """Start without a position, at zero.

        Args:
          gravity: Torque that holds the arm at rest at a position, shape (n_joints,) each, N·m and rad.
          effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0.
          torque_rate_limit: N·m/s, > 0.
        """
        self._gravity, self._effort_limit, self._rate = gravity, np.array(effort_limit), torque_rate_limit
        self._placed = False
        self.torque: Array = np.zeros(len(self._effort_limit))

    def move(self, position: Array, period_s: float) -> None:
        """Follow the arm.

        Args:
          position: Shape (n_joints,), rad; one that is not finite is left out.
          period_s: Time since the call before, s.
        """
        if not np.isfinite(position).all():
            return
        held = self._gravity(position)
        if not np.isfinite(held).all():
            return
        # The first is taken as it is: the arm is held by something else until its controller becomes active.
        change = self._rate * max(period_s, 0.0) if self._placed else np.inf
        self.torque = np.clip(held, self.torque - change, self.torque + change)
        self._placed = True

    def carry(self, torque: Array) -> Array:
        """`torque` and g(q), within the effort limits, shape (n_joints,), N·m.

        Args:
          torque: What the filter decided on, same shape, finite.
        """
        carried: Array = np.clip(torque + self.torque, -self._effort_limit, self._effort_limit)
        return carried


def at_rest(command: Array, gravity: Array, effort_limit: Array, tolerance: float = 0.05) -> bool:
    """Whether a command does no more than carry the arm.

    Args:
      command: Shape (n_joints,), N·m.
      gravity: g(q) as somebody else reckons it, same shape.
      effort_limit: Same shape, N·m.
      tolerance: Share of the effort limit that the two may differ by: they go by different joint states.
    """
    wanted = np.clip(gravity, -effort_limit, effort_limit)
    return bool((np.abs(command - wanted) <= tolerance * effort_limit).all())
