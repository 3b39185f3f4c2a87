# SPDX-License-Identifier: Apache-2.0
"""One torque per cycle of the arm: newest command in, what the motors get out.

The filter before it holds all of the rules; these few are held again in the process that writes to the motors, at the
arm's own rate, from nothing but the newest command and the newest state. So they hold while the filter, its executor or
the middleware hangs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.joint_state import read_only
from safe_transfer_ros.safety.motion.causes import Cause

Array = npt.NDArray[np.float64]

LOST_CYCLES = 20
"""An arm that gets no command for so many of its cycles stops by itself."""

_ROUNDING = 1.0 + 1e-9
_SAME = 1e-6  # N·m: a torque that the arm names is one of those sent to it


@dataclass(frozen=True, kw_only=True)
class CycleSettings:
    """Bounds of one cycle.

    Attributes:
      torque_step: Largest change of a joint's torque from one cycle to the next, N·m. An FR3 stops by a reflex above
        1000 N·m/s, which is 1 N·m in its cycle of 1 ms.
      command_timeout_s: Longest age of the newest command; beyond it the motion ends.
      state_timeout_s: Longest time between two states whose time differs; beyond it the motion ends.
      permission_timeout_s: Longest time at zero torque from the beginning of a motion to its first permission.
    """

    torque_step: float = 1.0
    command_timeout_s: float = 0.05
    state_timeout_s: float = 0.02
    permission_timeout_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what would switch a rule off.

        Raises:
          ValueError: if a value is not a positive number.
        """
        for name, value in vars(self).items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, got {value}")


@dataclass(kw_only=True, slots=True)
class Command:
    """Newest command, and what goes with it.

    Attributes:
      torque: Wanted, shape (n_joints,), N·m; any floats whatever.
      torque_limit: T_lim in force, N·m.
      received_ns: Steady time at which it was received.
      permitted: Whether the supervisor permits torque.
    """

    torque: Array
    torque_limit: float = 0.0
    received_ns: int = 0
    permitted: bool = False


class TorqueCycle:
    """Bounds, slews and ends; deterministic, no clock.

    A torque is at most min(T_lim, effort limit), and changes by at most `torque_step` from one cycle to the next. Where
    a limit that falls sets the two against each other, the step decides, because the arm would stop by a reflex: a
    torque beyond the new limit comes down by a step per cycle. Once a motion ends for any cause, torque goes to zero in
    steps, and no command counts until the next `begin`.

    A torque may be lost on its way, or come a cycle late, and the arm then goes on with the one before. So the step
    counts from what the arm says it has accepted, as in libfranka's own `limitRate`, and from everything sent since:
    each of these may be what the arm has when the next torque reaches it. Where it is not clear which of two equal
    torques it has accepted, it is the older one; where it names none of those sent, only the newest counts beside its
    word. All that never moves a torque, it only keeps it where it is: within its bound, for at most LOST_CYCLES in a
    row, and not once the motion ends.

    Attributes:
      torque: What the motors get now, shape (n_joints,), N·m; a read-only view.
      cause: Why the motion ends or has ended; NONE while it goes on.
    """

    def __init__(self, effort_limit: Array, settings: CycleSettings) -> None:
        """Start with no motion.

        Args:
          effort_limit: Of each joint, shape (n_joints,), N·m.
          settings: See the class.

        Raises:
          ValueError: if an effort limit is not a positive number.
        """
        self._effort_limit = np.array(effort_limit, dtype=np.float64)
        if self._effort_limit.ndim != 1 or not ((self._effort_limit > 0.0) & np.isfinite(self._effort_limit)).all():
            raise ValueError(f"effort limits must be positive numbers, N·m, one a joint, got {effort_limit}")
        self._step = settings.torque_step
        self._command_timeout_ns = round(settings.command_timeout_s * 1e9)
        self._state_timeout_ns = round(settings.state_timeout_s * 1e9)
        self._permission_timeout_ns = round(settings.permission_timeout_s * 1e9)
        self._torque: Array = np.zeros_like(self._effort_limit)
        self._target: Array = np.zeros_like(self._effort_limit)
        self._bound: Array = np.zeros_like(self._effort_limit)
        self._wanted: Array = np.zeros_like(self._effort_limit)
        self._lower: Array = np.zeros_like(self._effort_limit)
        self._upper: Array = np.zeros_like(self._effort_limit)
        self._under_way: Array = np.zeros((LOST_CYCLES, len(self._effort_limit)))
        self._distance: Array = np.zeros_like(self._under_way)
        self._n_under_way = 1  # the oldest is what the arm has, or had
        self.torque = read_only(self._torque)
        self.cause = Cause.ORDERED
        self._permitted = False  # at least once in this motion
        self._kept = 0  # cycles in a row in which the arm was waited for
        self._began_ns = self._now_ns = self._changed_ns = 0
        self._state_time = -1

    @property
    def ended(self) -> bool:
        """Whether the motion is over: it has a cause to end, and torque has come to zero."""
        return self.cause is not Cause.NONE and not self._torque.any()

    def begin(self, now_ns: int) -> None:
        """Begin a motion, at zero torque.

        Args:
          now_ns: Steady time.

        Raises:
          RuntimeError: if the last one has not ended.
        """
        if not self.ended:
            raise RuntimeError("a motion was begun before the last one had come to zero torque")
        self.cause, self._permitted, self._state_time, self._kept = Cause.NONE, False, -1, 0
        self._began_ns = self._now_ns = self._changed_ns = now_ns
        self._under_way[0], self._n_under_way = 0.0, 1

    def stop(self, cause: Cause) -> None:
        """End the motion; the first cause stands."""
        if self.cause is Cause.NONE:
            self.cause = cause

    def abandon(self, cause: Cause) -> None:
        """End the motion at once: the motors have been taken from us, and get nothing of this any more.

        Args:
          cause: Why; the first cause stands.
        """
        self.stop(cause)
        self._torque[:] = 0.0

    def step(
        self, command: Command, state_time: int, position: Array, velocity: Array, accepted: Array, now_ns: int
    ) -> None:
        """Work out `torque` for this cycle.

        Args:
          command: The newest there is.
          state_time: The arm's own time of its newest state, any unit; it rises from state to state.
          position: Of that state, shape (n_joints,), rad.
          velocity: The same, rad/s.
          accepted: Torque that the arm has from us now, by its own word, shape (n_joints,), N·m; any floats whatever.
          now_ns: Steady time, taken after command and state were read.
        """
        if self.cause is Cause.NONE:
            self.cause = (
                self._late(state_time, now_ns)
                or (
                    Cause.NONE
                    if np.isfinite(position).all() and np.isfinite(velocity).all()
                    else Cause.STATE_NOT_FINITE
                )
                or self._refused(command, now_ns)
                or self._forbidden(command, now_ns)
            )
        self._target[:] = self._bound[:] = 0.0
        if self.cause is Cause.NONE and command.permitted:
            np.minimum(self._effort_limit, command.torque_limit, out=self._bound)
            np.clip(command.torque, -self._bound, self._bound, out=self._target)
        np.subtract(self._torque, self._step, out=self._lower)
        np.add(self._torque, self._step, out=self._upper)
        np.clip(self._target, self._lower, self._upper, out=self._wanted)
        if self.cause is Cause.NONE:
            known = self._arrived(accepted)
            if self._kept < LOST_CYCLES:
                self._keep_near(accepted, self._under_way[: self._n_under_way] if known else self._torque[np.newaxis])
        self._torque[:] = self._wanted
        self._send()

    def _arrived(self, accepted: Array) -> bool:
        """Forget what was sent before the torque that the arm has; whether that is one of those sent."""
        count = self._n_under_way
        distance = self._distance[:count]
        np.subtract(self._under_way[:count], accepted, out=distance)
        np.abs(distance, out=distance)
        same = np.less_equal(distance.max(axis=1), _SAME)  # false for NaN
        oldest = int(same.argmax())
        if oldest:
            self._under_way[: count - oldest] = self._under_way[oldest:count]
            self._n_under_way = count - oldest
        return bool(same[oldest])

    def _send(self) -> None:
        """Note that `torque` is on its way; what has been so for LOST_CYCLES comes no more."""
        if self._n_under_way == LOST_CYCLES:
            self._under_way[:-1] = self._under_way[1:]
            self._n_under_way -= 1
        self._under_way[self._n_under_way] = self._torque
        self._n_under_way += 1

    def _keep_near(self, accepted: Array, sent: Array) -> None:
        """Have `_wanted` within a step of what the arm has accepted and of all that may reach it before.

        Args:
          accepted: See `step`.
          sent: What may be on its way, shape (count, n_joints), the newest last.
        """
        sent.max(axis=0, out=self._lower)
        sent.min(axis=0, out=self._upper)
        np.maximum(self._lower, accepted, out=self._lower)
        np.minimum(self._upper, accepted, out=self._upper)
        near = self._lower - self._upper <= self._step * _ROUNDING  # false for NaN
        near &= np.abs(self._torque) <= self._bound
        self._lower -= self._step
        self._upper += self._step
        np.maximum(self._wanted, self._lower, out=self._lower, where=near)
        np.copyto(self._lower, self._wanted, where=~near)
        np.minimum(self._lower, self._upper, out=self._upper, where=near)
        np.copyto(self._upper, self._wanted, where=~near)
        self._kept = 0 if np.array_equal(self._upper, self._wanted) else self._kept + 1
        self._wanted[:] = self._upper

    def _late(self, state_time: int, now_ns: int) -> Cause:
        """The clock, and the age of the state before this one: a late cycle is seen even if it brings a new state."""
        if now_ns < self._now_ns:
            return Cause.CLOCK_WENT_BACK
        self._now_ns = now_ns
        if now_ns - self._changed_ns > self._state_timeout_ns:
            return Cause.STATE_STALE
        if state_time > self._state_time:
            self._state_time, self._changed_ns = state_time, now_ns
        return Cause.NONE

    def _refused(self, command: Command, now_ns: int) -> Cause:
        # A command from the future tells no age either.
        if not 0 <= now_ns - command.received_ns <= self._command_timeout_ns:
            return Cause.COMMAND_STALE
        if command.torque.shape != self._torque.shape or not np.isfinite(command.torque).all():
            return Cause.COMMAND_NOT_FINITE
        return Cause.NONE if 0.0 <= command.torque_limit < math.inf else Cause.LIMIT_UNUSABLE

    def _forbidden(self, command: Command, now_ns: int) -> Cause:
        """Before its first permission in a motion torque is zero; after it, the motion ends without."""
        if command.permitted:
            self._permitted = True
            return Cause.NONE
        waits = not self._permitted and now_ns - self._began_ns <= self._permission_timeout_ns
        return Cause.NONE if waits else Cause.NO_PERMISSION
