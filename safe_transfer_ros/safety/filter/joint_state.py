# SPDX-License-Identifier: Apache-2.0
"""The newest joint state, and whether it can be trusted."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.plausibility import Plausibility
from safe_transfer_ros.safety.filter.proposal import all_finite
from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]


def read_only(values: Array) -> Array:
    """A view of `values` that follows it and cannot be written to."""
    view = values.view()
    view.flags.writeable = False
    return view


class JointStateWatch:
    """Keeps the newest joint state and its ages on the caller's steady clock.

    Stamps order the states, they never tell an age: a driver that died may go on stamping the same values afresh.

    Attributes:
      position: Newest joint positions, shape (n_joints,), rad; a read-only view.
      velocity: Newest joint velocities, shape (n_joints,), rad/s; a read-only view.
      stamp_ns: Its stamp; -1 before the first.
      changed_ns: Receipt of the newest state that differed in any bit of value from the one before.
    """

    def __init__(
        self, n_joints: int, timeout_s: float, frozen_timeout_s: float, plausible: Plausibility | None = None
    ) -> None:
        """Start having seen nothing.

        Args:
          n_joints: Number of joints.
          timeout_s: Age beyond which a state is stale, s.
          frozen_timeout_s: Time without any change beyond which states are frozen, s.
          plausible: What a state can be at all; without it, anything finite.
        """
        self._plausible = plausible
        self._position: Array = np.zeros(n_joints)
        self._velocity: Array = np.zeros(n_joints)
        self.position = read_only(self._position)
        self.velocity = read_only(self._velocity)
        self.stamp_ns = -1
        self.changed_ns = 0
        self._shape = (n_joints,)
        self.set_timeouts(timeout_s, frozen_timeout_s)
        self._received_ns: int | None = None
        self._taken_ns = 0
        self._fault = ""

    def observe(
        self,
        stamp_ns: int,
        position: Array,
        velocity: Array,
        now_ns: int,
        *,
        ordered: bool,
        received_ns: int | None = None,
    ) -> Reason:
        """Process a joint state.

        Args:
          stamp_ns: The robot's stamp.
          position: Shape (n_joints,), rad; any floats whatever.
          velocity: Shape (n_joints,), rad/s; any floats whatever.
          now_ns: Steady time.
          ordered: Refuse a stamp that was set back, and a jump. Without torque at stake they become the new order
            instead, or a robot whose clock was fixed, or that was put elsewhere, could never be used again. A stamp
            that stands still is never a new state.
          received_ns: Steady time from which its age counts; now, by default.

        Returns:
          NONE when taken, else why not.
        """
        if position.shape != self._shape or velocity.shape != self._shape:
            return Reason.JOINT_STATE_WRONG_JOINTS
        plausible = self._plausible
        possible = plausible is not None and plausible.possible(position, velocity)  # then it is finite too
        if not possible and not (all_finite(position) and all_finite(velocity)):
            self._fault = "the newest joint state is not finite"
            return Reason.JOINT_STATE_NOT_FINITE
        if plausible is not None and not possible:
            self._fault = "the newest joint state cannot be: far outside a joint's range or speed"
            return Reason.JOINT_STATE_IMPLAUSIBLE
        if stamp_ns == self.stamp_ns or (ordered and stamp_ns < self.stamp_ns):
            return Reason.JOINT_STATE_STALE
        if plausible is not None and ordered and self._received_ns is not None:
            elapsed_s = max(now_ns - self._taken_ns, stamp_ns - self.stamp_ns) * 1e-9
            if not plausible.reachable(self._position, position, elapsed_s):
                self._fault = "the newest joint state cannot be: too far from the one before"
                return Reason.JOINT_STATE_IMPLAUSIBLE
        if self._differs(position, velocity):
            self.changed_ns = now_ns
            np.copyto(self._position, position)
            np.copyto(self._velocity, velocity)
        self.stamp_ns = stamp_ns
        self._taken_ns = now_ns
        self._received_ns = now_ns if received_ns is None else received_ns
        self._fault = ""
        return Reason.NONE

    def set_timeouts(self, timeout_s: float, frozen_timeout_s: float) -> None:
        """Set the age beyond which a state is stale, and the time without change after which states are frozen, s."""
        self._timeout_ns = round(timeout_s * 1e9)
        self._frozen_timeout_ns = round(frozen_timeout_s * 1e9)

    def age_ns(self, now_ns: int) -> float:
        """Time since the newest state was received, ns; infinite before the first."""
        return math.inf if self._received_ns is None else now_ns - self._received_ns

    def forget_age(self, now_ns: int) -> None:
        """Forget ages after the clock went back to `now_ns`: none is known until the next state."""
        self._received_ns = None
        self.changed_ns = now_ns

    def stale(self, now_ns: int) -> bool:
        """Whether the newest state is too old, or there is none."""
        return self._received_ns is None or now_ns - self._received_ns > self._timeout_ns

    def frozen(self, now_ns: int, since_ns: int | None = None) -> bool:
        """Whether states have come without any change for too long, counted from `since_ns` at the earliest."""
        changed = self.changed_ns if since_ns is None else max(since_ns, self.changed_ns)
        return now_ns - changed > self._frozen_timeout_ns

    def problem(self, now_ns: int) -> str | None:
        """Reason why the arm must not move on this state; None when it may."""
        if self._fault:
            return self._fault
        if self._received_ns is None:
            return "no joint state has come"
        if self.stale(now_ns):
            age_s, allowed_s = (now_ns - self._received_ns) * 1e-9, self._timeout_ns * 1e-9
            return f"the newest joint state is {age_s:.3g} s old (at most {allowed_s:g} s)"
        return None

    def _differs(self, position: Array, velocity: Array) -> bool:
        # A moving arm differs in its first joint already; only a still one needs the whole comparison.
        if position.item(0) != self.position.item(0):
            return True
        return not (np.array_equal(position, self.position) and np.array_equal(velocity, self.velocity))
