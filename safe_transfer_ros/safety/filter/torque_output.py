# SPDX-License-Identifier: Apache-2.0
"""The torque of each instant: through the envelope, at the rate that the time since the instant before allows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.envelope import Envelope, State
from safe_transfer_ros.safety.filter.joint_state import read_only
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits

Array = npt.NDArray[np.float64]


class TorqueOutput:
    """Bounds one torque per instant of the clock.

    Attributes:
      applied: Torque of the newest instant, shape (n_joints,), N·m; a read-only view.
      since_ns: Since when a proposal's torque has been applied without a break; None where there is none.
    """

    def __init__(self, effort_limit: Array, settings: FilterSettings, soft_limits: SoftLimits | None) -> None:
        """Start at zero torque; see `Envelope`."""
        self._envelope = Envelope(effort_limit, settings.envelope, soft_limits)
        self._longest_s = self._period_s = settings.state_period_s
        self._applied: Array = np.zeros(len(effort_limit))
        self._before: Array = np.zeros(len(effort_limit))  # torque of the instant before this one
        self.applied = read_only(self._applied)
        self.since_ns: int | None = None
        self._now_ns: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether the newest torque is zero."""
        return not self._applied.any()

    def apply(self, torque: Array, torque_limit: float, now_ns: int, state: State | None) -> int:
        """Bound the torque of this instant; a second one in the same instant replaces the first.

        Args:
          torque: Wanted, shape (n_joints,), N·m; any floats whatever.
          torque_limit: In force, N·m.
          now_ns: Steady time.
          state: Position and velocity where the torque is a proposal's, by which the soft limits hold; None where it
            is stop torque.

        Returns:
          Bits of the reasons why `applied` differs from `torque`.
        """
        self._measure_period(now_ns)
        bits = int(self._envelope.apply(torque, torque_limit, self._period_s, self._applied, state))
        if state is None or np.count_nonzero(self._applied) == 0:
            self.since_ns = None
        elif self.since_ns is None:
            self.since_ns = now_ns
        return bits

    def forget_time(self) -> None:
        """Forget the time of the newest torque, after the clock went back."""
        self._now_ns = None

    def _measure_period(self, now_ns: int) -> None:
        if self._now_ns == now_ns:
            self._envelope.restore(self._before)
            return
        np.copyto(self._before, self._applied)
        self._period_s = self._longest_s
        if self._now_ns is not None:
            self._period_s = min((now_ns - self._now_ns) * 1e-9, self._period_s)
        self._now_ns = now_ns
