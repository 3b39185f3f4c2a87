# SPDX-License-Identifier: Apache-2.0
"""The torque of an arm that is being stopped: zero, or for a short while damping."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.joint_state import JointStateWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.reasons import Mode, Reason

Array = npt.NDArray[np.float64]

# What rules out torque that goes by the joint states, or leaves no time for it.
_UNDAMPED = (
    Reason.JOINT_STATE_STALE
    | Reason.JOINT_STATE_NOT_FINITE
    | Reason.JOINT_STATE_FROZEN
    | Reason.JOINT_STATE_IMPLAUSIBLE
    | Reason.CLOCK_WENT_BACK
    | Reason.SHUTDOWN
)
_FASTEST = 1e9  # rad/s; torque against anything faster is as large, and not infinite


class StopTorque:
    """-K_d dq for `stop_damping_time_s` after a proposal's last torque, while joint states can be trusted; then zero.

    Attributes:
      damping: Whether the torque asked for last went by the joint velocities.
    """

    def __init__(self, n_joints: int, settings: FilterSettings) -> None:
        """Start with an arm that no proposal has moved.

        Args:
          n_joints: Number of joints.
          settings: K_d and for how long.
        """
        self.damping = False
        self._gain = settings.stop_damping
        self._damping_ns = round(settings.stop_damping_time_s * 1e9)
        self._zeros: Array = np.zeros(n_joints)
        self._damped: Array = np.zeros(n_joints)
        self.expire(0)

    def passed(self, now_ns: int) -> None:
        """A proposal's torque passes in this cycle; shape and time of the damping that may follow begin here."""
        self.damping = False
        self._passed_ns = now_ns

    def expire(self, now_ns: int) -> None:
        """Expire damping after the clock went back to `now_ns`: it must not begin again at an earlier time."""
        self._passed_ns = now_ns - self._damping_ns - 1

    def torque(self, state: JointStateWatch, mode: Mode, cause: Reason, now_ns: int) -> Array:
        """Torque, shape (n_joints,), N·m, to be bounded like any other; overwritten by the next call.

        Args:
          state: The newest joint state.
          mode: The filter's.
          cause: Why it is in it.
          now_ns: Steady time.
        """
        self.damping = (
            self._gain > 0.0
            and (mode is Mode.HOLDING or mode is Mode.TRIPPED)
            and not cause & _UNDAMPED
            and now_ns - self._passed_ns <= self._damping_ns
            and not state.stale(now_ns)
            and not state.frozen(now_ns)
        )
        if not self.damping:
            return self._zeros
        np.clip(state.velocity, -_FASTEST, _FASTEST, out=self._damped)
        return np.multiply(self._damped, -self._gain, out=self._damped)
