# SPDX-License-Identifier: Apache-2.0
"""Whether the torque at the arm has ended with the controller that applied it.

That a controller is inactive says nothing of the torque it has left: ros2_control writes once when it deactivates, and
what arrives at the motors may be something else than the zero that was meant. So the effort that the arm measures is
held against rest after every deactivation.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Rest(enum.Enum):
    """Known state of the torque at the arm."""

    UNWATCHED = "UNWATCHED"  # a controller is active: there may be torque
    AT_REST = "AT_REST"
    PENDING = "PENDING"  # it has time to end
    TORQUE_HELD = "TORQUE_HELD"
    EFFORT_UNKNOWN = "EFFORT_UNKNOWN"
    UNTOLD = "UNTOLD"  # an override says that the arm cannot tell: nobody watches


class RestEffort:
    """Holds measured efforts against rest, from a deactivation on.

    Every state counts, not only the first at rest: a torque may come back with the deactivation itself.
    """

    def __init__(self, joints: Sequence[str], tolerance: float, timeout_s: float) -> None:
        """Start unwatched.

        Args:
          joints: Names of the joints whose efforts are heard, in that order.
          tolerance: Largest distance from rest that is rest, N·m, > 0: above the noise of the measurement.
          timeout_s: Time for the torque to end, and greatest age of a measurement, s, > 0.

        Raises:
          ValueError: if one of the two is not a positive number.
        """
        for name, value in (("tolerance", tolerance), ("timeout_s", timeout_s)):
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, got {value}")
        self._joints = tuple(joints)
        self._tolerance, self._timeout_ns = tolerance, round(timeout_s * 1e9)
        self._since_ns: int | None = None
        self._heard_ns: int | None = None
        self._beyond: Array = np.full(len(self._joints), math.nan)
        self._doubt = ""

    def watch(self, now_ns: int) -> None:
        """The controller is inactive since `now_ns`, and no other drives these joints; no effect if watched already."""
        if self._since_ns is None:
            self._since_ns = now_ns

    def unwatch(self) -> None:
        """A controller drives these joints: there may be torque."""
        self._since_ns = None

    def hear(self, beyond: Array, heard_ns: int, doubt: str = "") -> None:
        """Process one measurement.

        Args:
          beyond: Measured effort less that of rest, shape (n_joints,), N·m; NaN where it is not told.
          heard_ns: Steady time of its receipt; 0: there was none yet.
          doubt: Reason why it may not be the arm's at all; it tells nothing then.
        """
        self._beyond = np.full(len(self._joints), math.nan) if doubt else beyond
        self._heard_ns, self._doubt = heard_ns, doubt

    def verdict(self, now_ns: int) -> Rest:
        """Verdict at steady time `now_ns`."""
        if self._since_ns is None:
            return Rest.UNWATCHED
        # A clock that went back tells no age: then nothing is known.
        fresh = self._heard_ns is not None and 0 <= now_ns - self._heard_ns <= self._timeout_ns
        told = fresh and bool(np.isfinite(self._beyond).all())
        if not 0 <= now_ns - self._since_ns <= self._timeout_ns:
            if not told:
                return Rest.EFFORT_UNKNOWN
            return Rest.AT_REST if bool((np.abs(self._beyond) <= self._tolerance).all()) else Rest.TORQUE_HELD
        return Rest.PENDING

    def settled(self, since_ns: int) -> bool:
        """Whether the newest measurement is of after `since_ns`, and is rest: under a zero that is commanded, say."""
        after = self._heard_ns is not None and self._heard_ns > since_ns
        return after and bool((np.abs(self._beyond) <= self._tolerance).all())  # false for NaN

    def describe(self, now_ns: int) -> str:
        """The verdict for an operator; empty where there is nothing to tell."""
        verdict = self.verdict(now_ns)
        if verdict is Rest.TORQUE_HELD:
            joint = int(np.argmax(np.abs(self._beyond)))
            return (
                f"TORQUE_HELD: no controller drives {self._joints[joint]}, and the arm measures "
                f"{self._beyond[joint]:+.2g} N·m beyond rest there: USE THE HARDWARE EMERGENCY STOP"
            )
        if verdict is Rest.EFFORT_UNKNOWN:
            return (
                f"EFFORT_UNKNOWN: {self._doubt or self._silence(now_ns)}, so it is not known whether the torque has "
                "ended with the controller: keep the hardware emergency stop in hand"
            )
        return ""

    def _silence(self, now_ns: int) -> str:
        """Reason, other than a doubt, why no effort is known."""
        if not self._heard_ns:
            return "no joint state of its joints has come yet"
        age_ns = now_ns - self._heard_ns
        if age_ns < 0:
            return "the clock went back, so no joint state has an age"
        if age_ns > self._timeout_ns:
            return f"no joint state of its joints has come for {age_ns * 1e-9:.1f} s"
        return "joint_states tell no effort"
