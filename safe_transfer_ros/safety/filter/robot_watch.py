# SPDX-License-Identifier: Apache-2.0
"""Combined measurements of the robot: whether the arm may move, keep moving, or be reset."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.gravity_term import GravityTerm
from safe_transfer_ros.safety.filter.joint_state import JointStateWatch
from safe_transfer_ros.safety.filter.object_pose import ObjectPoseWatch
from safe_transfer_ros.safety.filter.plausibility import Plausibility
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]

_NONE = Reason.NONE
_OBJECT_CAUSES = Reason.OBJECT_POSE_STALE | Reason.OBJECT_POSE_FROZEN | Reason.OBJECT_POSE_NOT_FINITE
_STATE_CAUSES = (
    Reason.JOINT_STATE_STALE | Reason.JOINT_STATE_NOT_FINITE | Reason.JOINT_STATE_IMPLAUSIBLE | Reason.CLOCK_WENT_BACK
)
_NO_GRAVITY = (
    "the torque that carries the arm, g(q), cannot be computed: it raised or is not finite; check the description"
)


class RobotWatch:
    """The newest joint state, the newest pose of the task's object where it has one, and g(q) where it is added.

    Attributes:
      state: Joint states.
      object: Poses of the task's object; None where it has none.
    """

    def __init__(
        self,
        n_joints: int,
        settings: FilterSettings,
        gravity: GravityTerm | None,
        plausible: Plausibility | None,
        *,
        tracks_object: bool,
    ) -> None:
        """Start having seen nothing; see `SafetyFilter`."""
        self.state = JointStateWatch(n_joints, settings.joint_state_timeout_s, settings.frozen_timeout_s, plausible)
        self.object = (
            ObjectPoseWatch(settings.object_timeout_s, settings.object_frozen_timeout_s) if tracks_object else None
        )
        self._gravity = gravity

    def set_timeouts(self, settings: FilterSettings) -> None:
        """From now on these hold."""
        self.state.set_timeouts(settings.joint_state_timeout_s, settings.frozen_timeout_s)
        if self.object is not None:
            self.object.set_timeouts(settings.object_timeout_s, settings.object_frozen_timeout_s)

    def forget_age(self, now_ns: int) -> None:
        """Forget ages after the clock went back to `now_ns`: none is known until the next measurements."""
        self.state.forget_age(now_ns)
        if self.object is not None:
            self.object.forget_age(now_ns)

    @property
    def gravity_failed(self) -> bool:
        """Whether g(q) is to be added and cannot be computed."""
        return self._gravity is not None and self._gravity.failed

    def fault(self, now_ns: int, torque_since_ns: int | None, *, by_object: bool) -> Reason:
        """Reason why a moving arm must be stopped; NONE when it may keep moving.

        Args:
          now_ns: Steady time.
          torque_since_ns: Since when there has been torque; None where there is none, and nothing need change.
          by_object: Whether the motion goes by the object.
        """
        if self.state.stale(now_ns):
            return Reason.JOINT_STATE_STALE
        reasons = _NONE
        if torque_since_ns is not None and self.state.frozen(now_ns, torque_since_ns):
            reasons |= Reason.JOINT_STATE_FROZEN
        if self.object is not None and by_object:
            reasons |= self.object.fault(now_ns, torque_since_ns)
        if self.gravity_failed:
            reasons |= Reason.GRAVITY_FAILED
        return reasons

    def problem(self, now_ns: int, *, by_object: bool) -> str | None:
        """Reason why a motion must not begin; None when it may."""
        problem = self.state.problem(now_ns)
        if problem is None and by_object and self.object is not None:
            problem = self.object.problem(now_ns)
        return problem or (_NO_GRAVITY if self.gravity_failed else None)

    def standing(self, cause: Reason, since_ns: int, now_ns: int) -> str | None:
        """Reason why the cause of a stop still stands; None when the measurements permit a reset.

        Args:
          cause: Why it was stopped.
          since_ns: When.
          now_ns: Steady time.
        """
        problem = self.state.problem(now_ns) if cause & _STATE_CAUSES else None
        if problem is None and self.object is not None and cause & _OBJECT_CAUSES:
            problem = self.object.problem(now_ns)
        if problem:
            return problem
        if cause & Reason.JOINT_STATE_FROZEN and self.state.changed_ns <= since_ns:
            return "joint states have not changed since they were found frozen: move the arm or fix its driver"
        if cause & Reason.OBJECT_POSE_FROZEN and self.object is not None and self.object.changed_ns <= since_ns:
            return "poses of the object have not changed since they were found frozen: fix what estimates them"
        return _NO_GRAVITY if cause & Reason.GRAVITY_FAILED and self.gravity_failed else None
