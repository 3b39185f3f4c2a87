# SPDX-License-Identifier: Apache-2.0
"""The filter's modes: operator requests, trips, and the check that our own clock goes forward."""

from __future__ import annotations

from safe_transfer_ros.safety.filter.proposal_watch import ProposalWatch
from safe_transfer_ros.safety.filter.robot_watch import RobotWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings, laxer, stopping_problem
from safe_transfer_ros.safety.filter.stop_torque import StopTorque
from safe_transfer_ros.safety.filter.torque_output import TorqueOutput
from safe_transfer_ros.safety.filter.transitions import Event, after
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict, split

_DISARMED, _ARMED, _HOLDING, _TRIPPED = Mode.DISARMED, Mode.ARMED, Mode.HOLDING, Mode.TRIPPED
_NONE = Reason.NONE
_PROPOSAL_TIMEOUT = Reason.PROPOSAL_TIMEOUT


class FilterModes:
    """State machine of `SafetyFilter`, which adds inputs and outputs.

    Attributes:
      settings: As given.
      guard: Holds the torque limit and its lease.
      mode: What the filter is doing.
      cause: Why it is HOLDING or TRIPPED; NONE otherwise. Latched while TRIPPED.
      verdict: What became of the latest proposal.
      own_limit: Limit of the motion under way where that is not the guard's, N·m; None otherwise.
    """

    def __init__(
        self,
        settings: FilterSettings,
        guard: TorqueLimitGuard,
        robot: RobotWatch,
        output: TorqueOutput,
    ) -> None:
        """Start DISARMED.

        Args:
          settings: Timeouts and bounds.
          guard: Judges the torque limits offered.
          robot: What is measured.
          output: The torque.

        Raises:
          ValueError: if a stop from the guard's ceiling would take longer than the action timeout.
        """
        problem = stopping_problem(settings, guard.ceiling)
        if problem:
            raise ValueError(problem)
        self.settings = settings
        self.guard = guard
        self._robot = robot
        self._output = output
        self._proposals = ProposalWatch(settings)
        self._stop = StopTorque(len(output.applied), settings)
        self.mode = _DISARMED
        self.cause = _NONE
        self.verdict = Verdict.STOPPED
        self.own_limit: float | None = None
        self._pending = 0  # reasons since the last cycle
        self._now_ns: int | None = None
        self._trip_ns = 0

    @property
    def moving(self) -> bool:
        """Whether it is ARMED or HOLDING: a fresh proposal would move the arm."""
        return self.mode is _ARMED or self.mode is _HOLDING

    @property
    def stopped(self) -> bool:
        """Whether the torque of the last cycle was zero."""
        return self._output.stopped

    @property
    def damping(self) -> bool:
        """Whether the stop torque of the last cycle went by the joint velocities."""
        return self._stop.damping

    def state_age_s(self, now_ns: int) -> float:
        """Time since the newest joint state was received, s; infinite before the first."""
        return self._robot.state.age_ns(now_ns) * 1e-9

    def proposal_age_s(self, now_ns: int) -> float:
        """Time since the proposal in force was accepted, s; infinite when none is."""
        return self._proposals.age_s(now_ns)

    # What an operator or a supervisor does ---

    def tighten(self, settings: FilterSettings) -> str | None:
        """Take new timeouts, in any mode, if none is longer than before.

        The other settings must be as they were: a lower torque rate would make every stop slower.

        Returns:
          None when taken, else why not.
        """
        problem = laxer(self.settings, settings) or stopping_problem(settings, self.guard.ceiling)
        if problem:
            return problem
        self.settings = settings
        self._proposals.set_timeouts(settings)
        self._robot.set_timeouts(settings)
        return None

    def arm(self, now_ns: int, standing: Reason = Reason.NONE, own_limit: float | None = None) -> str | None:
        """Let proposals through from now on; nothing changes where they already pass.

        Args:
          now_ns: Steady time.
          standing: Causes the caller sees against it: a second publisher, a stop that is pressed.
          own_limit: Torque limit until the filter is no longer armed, N·m, > 0 and at most the guard's ceiling,
            instead of the guard's; for a motion that no policy proposes, and no critic judges.

        Returns:
          None when armed, else why not.
        """
        self._advance(now_ns)
        if self.mode is _TRIPPED:
            return f"tripped ({_names(self.cause)}): reset first"
        if self.mode is not _DISARMED:
            return None if own_limit == self.own_limit else "armed for another motion: disarm first"
        if standing:
            return f"must not be armed: {_names(standing)}"
        if own_limit is not None and not 0.0 < own_limit <= self.guard.ceiling:
            return f"a limit of {own_limit:g} N·m for this motion is not above 0 and at most {self.guard.ceiling:g} N·m"
        problem = self._robot.problem(now_ns, by_object=own_limit is None) or self._motion_problem()
        if problem:
            return problem
        self._proposals.begin(self._robot.state.stamp_ns, now_ns)
        self.own_limit = own_limit
        self._enter(Event.ARM)
        return None

    def disarm(self, now_ns: int) -> None:
        """Stop torque, proposals refused. A trip stays latched."""
        self._advance(now_ns)
        self._enter(Event.DISARM)

    def trip(self, reason: Reason, now_ns: int) -> None:
        """Stop torque, latched, from any mode; further causes add up. No reason given: OPERATOR_STOP."""
        self._advance(now_ns)
        self._trip(Event.TRIP, reason or Reason.OPERATOR_STOP, now_ns)

    def reset(self, now_ns: int, standing: Reason = Reason.NONE) -> str | None:
        """Leave TRIPPED for DISARMED.

        Args:
          now_ns: Steady time.
          standing: Causes the caller still sees: a second publisher, a stop that is still pressed.

        Returns:
          None when done or not tripped, else which cause stands.
        """
        self._advance(now_ns)
        if self.mode is not _TRIPPED:
            return None
        if standing:
            return f"the cause stands: {_names(standing)}"
        problem = self._robot.standing(self.cause, self._trip_ns, now_ns) or self._motion_problem()
        if problem:
            return problem
        self._enter(Event.RESET)
        return None

    # Rules ---

    def _advance(self, now_ns: int) -> None:
        """Follow the steady clock. If it went back, trip, and start measuring ages again."""
        if self._now_ns is not None and now_ns < self._now_ns:
            self._robot.forget_age(now_ns)
            self._trip_ns = now_ns
            self._output.forget_time()
            self._stop.expire(now_ns)
            self._note(Reason.CLOCK_WENT_BACK)
            self._trip(Event.CLOCK_FAULT, Reason.CLOCK_WENT_BACK, now_ns)
        self._now_ns = now_ns

    def _watch_robot(self, now_ns: int) -> None:
        fault = self._robot.fault(now_ns, self._output.since_ns, by_object=self.own_limit is None)
        if fault is not _NONE:
            self._trip(Event.STATE_FAULT, fault, now_ns)

    def _watch_proposals(self, now_ns: int) -> None:
        if self.mode is not _ARMED and self.mode is not _HOLDING:
            return
        overdue = self._proposals.overdue(now_ns)
        if overdue is Event.TRIP_TIMEOUT:
            self._trip(overdue, _PROPOSAL_TIMEOUT, now_ns)
        elif overdue is not None:
            self._enter(overdue)
            self.cause = _PROPOSAL_TIMEOUT

    def _note(self, reason: Reason) -> Reason:
        self._pending |= int(reason)
        return reason

    def _trip(self, event: Event, reason: Reason, now_ns: int) -> None:
        if self.mode is not _TRIPPED:
            self._enter(event)
            self._trip_ns = now_ns
        if self.mode is _TRIPPED:
            self.cause |= reason

    def _enter(self, event: Event) -> None:
        """Follow the table. Whatever the new mode, no earlier proposal is in force in it."""
        mode = after(self.mode, event)
        if mode is self.mode:
            return
        if self._proposals.in_force and self.verdict is not Verdict.REJECTED:
            self.verdict = Verdict.STOPPED
        self.mode = mode
        if mode is _DISARMED or mode is _TRIPPED:
            self.own_limit = None
        self.cause = _NONE
        self._proposals.in_force = False

    def _motion_problem(self) -> str | None:
        return None if self.stopped else "the torque has not come to zero yet: try again in the next cycle"


def _names(reasons: Reason) -> str:
    return ", ".join(reason.name or "" for reason in split(reasons))
