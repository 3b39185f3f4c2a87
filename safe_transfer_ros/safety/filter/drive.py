# SPDX-License-Identifier: Apache-2.0
"""Conversion of proposals that are not torques into torques, per joint state, before the envelope."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Drive(Protocol):
    """Follows one accepted action at a time. What it does wrong costs the torque, not the bounds: see `driven`.

    Attributes:
      action_size: Length of an action.
    """

    action_size: int

    def begin(self, action: Array, position: Array, *, anew: bool) -> None:
        """Begin an accepted action.

        Args:
          action: Shape (action_size,), finite.
          position: Newest joint positions, shape (n_joints,), rad.
          anew: Whether the arm was not being driven until now, so that nothing from before may go on.
        """
        ...

    def torque(self, position: Array, velocity: Array, elapsed_s: float) -> Array:
        """Torque for a joint state, shape (n_joints,), N·m.

        Args:
          position: Shape (n_joints,), rad.
          velocity: Same shape, rad/s.
          elapsed_s: Time since the action was received, s, >= 0.
        """
        ...


def begun(drive: Drive, action: Array, position: Array, *, anew: bool) -> bool:
    """Have a drive take up an action; whether it did without raising."""
    try:
        drive.begin(action, position, anew=anew)
    except Exception:  # an action that cannot be converted to torque is refused
        return False
    return True


def driven(drive: Drive, position: Array, velocity: Array, elapsed_s: float) -> Array:
    """The drive's torque, shape (n_joints,), N·m; all NaN, which the envelope refuses whole, if it raises or its answer
    has another shape.
    """
    try:
        torque = np.asarray(drive.torque(position, velocity, elapsed_s), dtype=np.float64)
    except Exception:  # whatever a drive does wrong, there is no torque to be had from it
        return np.full(position.shape, np.nan)
    return torque if torque.shape == position.shape else np.full(position.shape, np.nan)
