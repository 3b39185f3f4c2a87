# SPDX-License-Identifier: Apache-2.0
"""The newest pose of the task's object, and whether it can be trusted: as a joint state, lost means stop."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.joint_state import read_only
from safe_transfer_ros.safety.filter.proposal import all_finite
from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]

_NORM_TOLERANCE = 1e-3  # how far from 1 a quaternion's length may be


class ObjectPoseWatch:
    """Keeps the newest pose and its ages on the caller's steady clock; see `JointStateWatch`.

    Attributes:
      pose: Newest position x y z, m, and quaternion x y z w, shape (7,); a read-only view.
      stamp_ns: Its stamp; -1 before the first.
      changed_ns: Receipt of the newest pose that differed in any bit from the one before.
    """

    def __init__(self, timeout_s: float, frozen_timeout_s: float) -> None:
        """Start having seen nothing.

        Args:
          timeout_s: Age beyond which a pose is stale, s.
          frozen_timeout_s: Time after which poses that stay bit-identical are not measurements, s.
        """
        self._pose: Array = np.zeros(7)
        self.pose = read_only(self._pose)
        self.stamp_ns = -1
        self.changed_ns = 0
        self._received_ns: int | None = None
        self._finite = True
        self.set_timeouts(timeout_s, frozen_timeout_s)

    def set_timeouts(self, timeout_s: float, frozen_timeout_s: float) -> None:
        """Set the times beyond which a pose is stale and poses are frozen, s."""
        self._timeout_ns, self._frozen_ns = round(timeout_s * 1e9), round(frozen_timeout_s * 1e9)

    def observe(self, stamp_ns: int, pose: Array, now_ns: int, received_ns: int | None = None) -> Reason:
        """Process a pose.

        Args:
          stamp_ns: Its stamp. One set back is a new order: a camera's clock may have been corrected.
          pose: Position and quaternion x y z w, shape (7,); any floats whatever.
          now_ns: Steady time.
          received_ns: Steady time from which its age counts; now, by default.

        Returns:
          NONE when taken, else why not.
        """
        if pose.shape != (7,) or not all_finite(pose) or abs(math.hypot(*pose[3:].tolist()) - 1.0) > _NORM_TOLERANCE:
            self._finite = False
            return Reason.OBJECT_POSE_NOT_FINITE
        if stamp_ns == self.stamp_ns:
            return Reason.OBJECT_POSE_STALE
        if not np.array_equal(pose, self._pose):
            self.changed_ns = now_ns
            np.copyto(self._pose, pose)
        self._received_ns = now_ns if received_ns is None else received_ns
        self.stamp_ns, self._finite = stamp_ns, True
        return Reason.NONE

    def forget_age(self, now_ns: int) -> None:
        """Forget ages after the clock went back to `now_ns`: none is known until the next pose."""
        self._received_ns = None
        self.changed_ns = now_ns

    def fault(self, now_ns: int, torque_since_ns: int | None) -> Reason:
        """Reason why an arm must not keep moving by this pose; NONE when it may.

        Args:
          now_ns: Steady time.
          torque_since_ns: Since when there has been torque; None where there is none, and nothing need change.
        """
        if self._received_ns is None or now_ns - self._received_ns > self._timeout_ns:
            return Reason.OBJECT_POSE_STALE
        if torque_since_ns is not None and now_ns - max(torque_since_ns, self.changed_ns) > self._frozen_ns:
            return Reason.OBJECT_POSE_FROZEN
        return Reason.NONE

    def problem(self, now_ns: int) -> str | None:
        """Reason why the arm must not move on this pose; None when it may."""
        if not self._finite:
            return "the newest pose of the object is not finite, or no rotation"
        if self._received_ns is None:
            return "no pose of the object has come"
        if self.fault(now_ns, None):
            age_s, allowed_s = (now_ns - self._received_ns) * 1e-9, self._timeout_ns * 1e-9
            return f"the newest pose of the object is {age_s:.3g} s old (at most {allowed_s:g} s)"
        return None
