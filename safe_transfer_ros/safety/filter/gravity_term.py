# SPDX-License-Identifier: Apache-2.0
"""The torque that carries an arm whose hardware does not: added to a torque that is already bounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.proposal import all_finite

Array = npt.NDArray[np.float64]


class GravityTerm:
    """g(q), on top of what the filter decided on.

    The torque limit bounds the torque that moves the arm; carrying it takes what it takes. The sum is bounded by each
    joint's effort limit, and g(q) itself changes no faster than the torque-rate limit. Where g(q) cannot be told, the
    last one stands: an arm that is blind must be stopped, and it must not be dropped for that.

    Attributes:
      torque: g(q) as added last, shape (n_joints,), N·m, finite.
      failed: Whether g(q) could not be told at the newest position: it raised, or what it gave is not finite or of
        another shape. The filter trips then, see `SafetyFilter`.
    """

    def __init__(self, gravity: Callable[[Array], Array], effort_limit: Array, torque_rate_limit: float) -> None:
        """Start without a position, at zero.

        Args:
          gravity: Torque that holds the arm at rest at a position, shape (n_joints,) each, N·m and rad.
          effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0.
          torque_rate_limit: N·m/s, > 0.
        """
        self._gravity, self._effort_limit, self._rate = gravity, np.array(effort_limit), torque_rate_limit
        self._placed_ns: int | None = None
        self.torque: Array = np.zeros(len(self._effort_limit))
        self.failed = False

    def move(self, position: Array, now_ns: int, longest_s: float) -> None:
        """Follow the arm.

        Args:
          position: Shape (n_joints,), rad; one that is not finite is left out.
          now_ns: Steady time. One that went back earns no change.
          longest_s: The longest time that the rate may count since the call before, s: a stall earns no jump.
        """
        if not all_finite(position):
            return
        try:
            held = self._gravity(position)
            self.failed = held.shape != self.torque.shape or not all_finite(held)
        except Exception:  # whatever a model of the arm does wrong, there is no torque to be had from it
            self.failed = True
        if self.failed:
            return
        if self._placed_ns is None:
            # The first is taken as it is: the arm is held by something else until its controller becomes active.
            np.copyto(self.torque, held)
        else:
            change = self._rate * min(max((now_ns - self._placed_ns) * 1e-9, 0.0), longest_s)
            np.clip(held, self.torque - change, self.torque + change, out=self.torque)
        self._placed_ns = now_ns

    def carry(self, torque: Array, out: Array) -> Array:
        """`torque` and g(q), within the effort limits.

        Args:
          torque: What the filter decided on, shape (n_joints,), N·m, finite.
          out: Receives the sum, same shape.

        Returns:
          `out`.
        """
        np.add(torque, self.torque, out=out)
        return np.clip(out, -self._effort_limit, self._effort_limit, out=out)


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
