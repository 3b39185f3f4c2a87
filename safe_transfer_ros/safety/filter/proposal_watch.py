# SPDX-License-Identifier: Apache-2.0
"""Whether a proposal may be acted on, by its stamp, and for how long it has been without a fresh one."""

from __future__ import annotations

import math

from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.filter.transitions import Event
from safe_transfer_ros.safety.reasons import Reason


class ProposalWatch:
    """Orders proposals by the stamps of the joint states they answer, and counts their age from receipt.

    Attributes:
      in_force: Whether an accepted proposal stands.
      received_ns: Receipt of the newest accepted proposal, or arming, on the caller's steady clock.
    """

    def __init__(self, settings: FilterSettings) -> None:
        """Start having accepted nothing."""
        self.in_force = False
        self.received_ns = 0
        self._stamp_ns = -1  # of the newest accepted one
        self._future_ns = round(settings.future_tolerance_s * 1e9)
        self.set_timeouts(settings)

    def set_timeouts(self, settings: FilterSettings) -> None:
        """From now on these hold."""
        self._action_timeout_ns = round(settings.action_timeout_s * 1e9)
        self._trip_timeout_ns = round(settings.trip_timeout_s * 1e9)

    def begin(self, state_stamp_ns: int, now_ns: int) -> None:
        """The filter is armed: from now on proposals are due.

        Args:
          state_stamp_ns: Stamp of the newest joint state. Stamps may have been set back since the last episode: the
            last one accepted then means nothing.
          now_ns: Steady time.
        """
        self._stamp_ns = min(self._stamp_ns, state_stamp_ns - 1)
        self.received_ns = now_ns

    def early(self, stamp_ns: int, state_stamp_ns: int) -> bool:
        """Whether a proposal of that stamp answers a joint state that is not here yet."""
        return stamp_ns > state_stamp_ns + self._future_ns

    def out_of_order(self, stamp_ns: int, state_stamp_ns: int) -> Reason:
        """Reason why a proposal of that stamp must not be acted on, given the newest joint state's; NONE if it may."""
        if self.early(stamp_ns, state_stamp_ns):
            return Reason.PROPOSAL_FROM_FUTURE
        if stamp_ns <= self._stamp_ns or state_stamp_ns - stamp_ns > self._action_timeout_ns:
            return Reason.PROPOSAL_STALE
        return Reason.NONE

    def ended(self, stamp_ns: int) -> None:
        """The proposal of that stamp ended the episode."""
        self._stamp_ns = stamp_ns

    def accept(self, stamp_ns: int, received_ns: int) -> None:
        """Accept the proposal of that stamp."""
        self._stamp_ns, self.received_ns, self.in_force = stamp_ns, received_ns, True

    def overdue(self, now_ns: int) -> Event | None:
        """Consequence of the policy's silence while armed: ACTION_TIMEOUT, TRIP_TIMEOUT or none yet."""
        age_ns = now_ns - self.received_ns
        if age_ns > self._trip_timeout_ns:
            return Event.TRIP_TIMEOUT
        return Event.ACTION_TIMEOUT if age_ns > self._action_timeout_ns else None

    def age_s(self, now_ns: int) -> float:
        """Time since the proposal in force was received, s; infinite when none is."""
        return (now_ns - self.received_ns) * 1e-9 if self.in_force else math.inf
