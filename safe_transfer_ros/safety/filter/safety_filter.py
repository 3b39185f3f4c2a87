# SPDX-License-Identifier: Apache-2.0
"""The safety filter: the one object that decides which torque is published.

It is told what arrived and when (`observe_state`, `propose`, `reject`, `offer_limit`) and asked, once a
control cycle, for the torque (`cycle`). Modes and what follows what are the table of transitions.py.

Stop torque is zero, or for a short while damping, reached as every other torque is: through the envelope, no
faster than the torque-rate limit. At 1000 N·m/s and a limit of 3 N·m that takes at most 3 ms; at the usual
200 Hz it is the very next torque. A stop that jumped would break the promise about the rate just when it
matters. `stopped` tells when it is zero, so that a process about to leave can publish until then.

Two kinds of time come in and are never compared. `now_ns` is the caller's steady clock, on which every age is
measured from receipt (simulated time in lockstep). Stamps are the robot's; they only order joint states and
the proposals that answer them. Stamps that stop, jump or lie can make the filter refuse data, never keep it
longer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.critic.gate import Gate, Observe, ask
from safe_transfer_ros.safety.filter.drive import Drive, begun, driven
from safe_transfer_ros.safety.filter.envelope import Envelope
from safe_transfer_ros.safety.filter.joint_state import JointStateWatch, read_only
from safe_transfer_ros.safety.filter.object_pose import ObjectPoseWatch
from safe_transfer_ros.safety.filter.proposal import Proposal, fault_of
from safe_transfer_ros.safety.filter.proposal_watch import ProposalWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings, laxer, stopping_problem
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.filter.stop_torque import StopTorque
from safe_transfer_ros.safety.filter.transitions import Event, after
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict, split

__all__ = ["FilterSettings", "Gate", "Proposal", "SafetyFilter"]

Array = npt.NDArray[np.float64]

_DISARMED, _ARMED, _HOLDING, _TRIPPED = Mode.DISARMED, Mode.ARMED, Mode.HOLDING, Mode.TRIPPED
_NONE = Reason.NONE
_LEASE_LOST = int(Reason.LIMIT_LEASE_LOST)
_PROPOSAL_TIMEOUT = Reason.PROPOSAL_TIMEOUT
_OBJECT_CAUSES = Reason.OBJECT_POSE_STALE | Reason.OBJECT_POSE_FROZEN | Reason.OBJECT_POSE_NOT_FINITE
_STATE_CAUSES = Reason.JOINT_STATE_STALE | Reason.JOINT_STATE_NOT_FINITE | Reason.CLOCK_WENT_BACK


class SafetyFilter:
    """State machine between proposals and motors. Not thread safe; nothing here reads a clock.

    Attributes:
      joint_names: Joints in the order of every array.
      settings: As given.
      guard: Holds the torque limit and its lease.
      mode: What the filter is doing.
      cause: Why it is HOLDING or TRIPPED; NONE otherwise. Latched while TRIPPED.
      torque_limit: Limit in force in the last cycle, N·m.
      chosen: What was taken of the latest proposal accepted, before any bound, shape (n_joints,), N·m, or of a drive's
        actions; a read-only view.
      applied: Torque of the last cycle, shape (n_joints,), N·m; a read-only view.
      last_reasons: Everything that intervened in the last cycle or was refused since the one before.
      verdict: What became of the latest proposal.
      risk: The critic's risk of it; NaN without a critic.
      critic_error: What the critic raised or got wrong last; empty if nothing.
      own_limit: Limit of the motion under way where that is not the guard's, N·m; None otherwise.
      position: Newest joint positions, shape (n_joints,), rad; a read-only view.
      velocity: Newest joint velocities, shape (n_joints,), rad/s; a read-only view.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        effort_limit: Array,
        settings: FilterSettings,
        guard: TorqueLimitGuard,
        gate: Gate | None = None,
        observe: Observe | None = None,
        soft_limits: SoftLimits | None = None,
        drive: Drive | None = None,
        *,
        tracks_object: bool = False,
    ) -> None:
        """Start DISARMED, at zero torque, having seen nothing.

        Args:
          joint_names: The robot's joints, in the order of every array.
          effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0.
          settings: Timeouts and bounds.
          guard: Judges the torque limits offered.
          gate: Safety critic; none by default.
          observe: The task's observe(position, velocity, torque_limit); needed with a gate, which never sees
            the policy's own observation.
          soft_limits: Bound a proposal's torque where the arm is near the end of its travel or its speed; none by
            default. They never move an arm that is being stopped.
          drive: Turns accepted actions into torques where a policy proposes no torques: a proposal's arrays then have
            the drive's size, the gate judges actions, and the envelope bounds the drive's torque. A motion under its
            own limit is proposed in torques all the same.
          tracks_object: The task has an object: without fresh and finite poses of it nothing may move.

        Raises:
          ValueError: if the numbers of joints differ, a gate comes without observe, or a stop from the guard's
            ceiling would take longer than the action timeout.
        """
        self.joint_names = tuple(joint_names)
        if np.shape(effort_limit) != (len(self.joint_names),):
            raise ValueError(
                f"expected one effort limit for each of {len(self.joint_names)} joints, got {effort_limit!r}"
            )
        if gate is not None and observe is None:
            raise ValueError("a gate needs observe, the task's own view of the state")
        self.settings = settings
        self.guard = guard
        problem = stopping_problem(settings, guard.ceiling)
        if problem:
            raise ValueError(problem)
        self._gate = gate
        self._observe = observe
        self._drive = drive
        self._envelope = Envelope(effort_limit, settings.envelope, soft_limits)
        n = len(self.joint_names)
        self._wanted: Array = np.zeros(n)
        self._action: Array = np.zeros(n if drive is None else drive.action_size)
        self.chosen = read_only(self._wanted if drive is None else self._action)
        self._before: Array = np.zeros(n)  # torque of the instant before this one
        self._applied: Array = np.zeros(n)
        self.applied = read_only(self._applied)
        self._state = JointStateWatch(n, settings.joint_state_timeout_s, settings.frozen_timeout_s)
        self._proposals = ProposalWatch(settings)
        self._stop = StopTorque(n, settings)
        self._object = (
            ObjectPoseWatch(settings.object_timeout_s, settings.object_frozen_timeout_s) if tracks_object else None
        )
        self.position = self._state.position
        self.velocity = self._state.velocity
        self._measured = (self.position, self.velocity)

        self.mode = _DISARMED
        self.cause = _NONE
        self.torque_limit = guard.accepted
        self.last_reasons = _NONE
        self.verdict = Verdict.STOPPED
        self.risk = math.nan
        self.critic_error = ""
        self._pending = 0  # reasons since the last cycle
        self._now_ns: int | None = None
        self._cycle_ns: int | None = None
        self._period_s = settings.state_period_s
        self._torque_since_ns: int | None = None
        self.own_limit: float | None = None
        self._trip_ns = 0

    @property
    def state_stamp_ns(self) -> int:
        """Stamp of the newest joint state; -1 before the first."""
        return self._state.stamp_ns

    @property
    def object_pose(self) -> Array | None:
        """Newest pose of the task's object, x y z, m, and quaternion x y z w, shape (7,); None where there is none."""
        return None if self._object is None or self._object.stamp_ns < 0 else self._object.pose

    @property
    def stopped(self) -> bool:
        """Whether the torque of the last cycle was zero."""
        return not self._applied.any()

    @property
    def damping(self) -> bool:
        """Whether the stop torque of the last cycle went by the joint velocities."""
        return self._stop.damping

    def state_age_s(self, now_ns: int) -> float:
        """Time since the newest joint state was received, s; infinite before the first."""
        return self._state.age_ns(now_ns) * 1e-9

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
        self._set_timeouts()
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
        problem = self._state.problem(now_ns) or self._motion_problem()
        if problem is None and own_limit is None:
            problem = self._object_problem(now_ns)
        if problem:
            return problem
        self._proposals.begin(self._state.stamp_ns, now_ns)
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
        problem = self._state.problem(now_ns) if self.cause & _STATE_CAUSES else None
        problem = problem or (self._object_problem(now_ns) if self.cause & _OBJECT_CAUSES else None)
        if problem:
            return problem
        if self.cause & Reason.JOINT_STATE_FROZEN and self._state.changed_ns <= self._trip_ns:
            return "joint states have not changed since they were found frozen: move the arm or mend its driver"
        problem = self._motion_problem()
        if problem:
            return problem
        self._enter(Event.RESET)
        return None

    # What arrives ---

    def observe_state(self, stamp_ns: int, position: Array, velocity: Array, now_ns: int) -> Reason:
        """Take in a joint state, matched to `joint_names` by the caller.

        Args:
          stamp_ns: The robot's stamp.
          position: Shape (n_joints,), rad; any floats whatever.
          velocity: Shape (n_joints,), rad/s; any floats whatever.
          now_ns: Steady time of receipt.

        Returns:
          NONE when taken, else why not. A non-finite one also trips an armed filter.
        """
        self._advance(now_ns)
        armed = self.mode is _ARMED or self.mode is _HOLDING
        reason = self._state.observe(stamp_ns, position, velocity, now_ns, ordered=armed)
        if reason is _NONE:
            return _NONE
        if reason is Reason.JOINT_STATE_NOT_FINITE:
            self._trip(Event.STATE_FAULT, reason, now_ns)
        return self._note(reason)

    def observe_object(self, stamp_ns: int, pose: Array, now_ns: int) -> Reason:
        """Take in a pose of the task's object.

        Args:
          stamp_ns: Its stamp.
          pose: Position x y z, m, and quaternion x y z w, shape (7,); any floats whatever.
          now_ns: Steady time of receipt.

        Returns:
          NONE when taken, else why not. One that is not finite, or no rotation, also trips an armed filter.
        """
        self._advance(now_ns)
        if self._object is None:
            return _NONE
        reason = self._object.observe(stamp_ns, pose, now_ns)
        if reason is Reason.OBJECT_POSE_NOT_FINITE:
            self._trip(Event.STATE_FAULT, reason, now_ns)
        return self._note(reason)

    def early(self, stamp_ns: int) -> bool:
        """Whether a proposal of that stamp answers a joint state that is not here yet; `propose` would refuse it."""
        return self._proposals.early(stamp_ns, self._state.stamp_ns)

    def propose(self, proposal: Proposal, now_ns: int, received_ns: int | None = None) -> Reason:
        """Take in a proposal, whole or not at all.

        Args:
          proposal: Its arrays in the order of `joint_names`.
          now_ns: Steady time.
          received_ns: Steady time of receipt, from which its age counts, where the caller kept it until the joint
            state it answers had come; now, by default.

        Returns:
          NONE when accepted (the gate may still have chosen another torque, see `verdict`), else why not; the
          proposal before it stands then, until it is too old.
        """
        self._advance(now_ns)
        self._watch_proposals(now_ns)
        fault = self._refusal(proposal)
        if fault is not _NONE:
            return self._refuse(fault)
        if proposal.last:
            self._proposals.ended(proposal.stamp_ns)
            self._enter(Event.LAST)
            self.verdict, self.risk = Verdict.EPISODE_END, math.nan
            return _NONE
        into = self._wanted if self._driving is None else self._action
        if self._gate is None or self.own_limit is not None:
            np.copyto(into, proposal.effort)
            self.verdict = Verdict.ACCEPTED
        elif not self._judge(self._gate, proposal, into):
            return self._refuse(Reason.CRITIC_FAILED)
        if self._driving is not None and not begun(
            self._driving, into, self.position, anew=not self._proposals.in_force
        ):
            return self._refuse(Reason.PROPOSAL_NOT_FINITE)
        self._enter(Event.PROPOSAL)
        self._proposals.accept(proposal.stamp_ns, now_ns if received_ns is None else received_ns)
        if self.own_limit is None:  # a reset move tells nothing about the limit
            self.guard.decide()
        return _NONE

    def reject(self, reason: Reason, now_ns: int) -> Reason:
        """Record a message the caller could not even hand over: wrong joint names or lengths, say.

        Returns:
          `reason`.
        """
        self._advance(now_ns)
        if reason & (Reason.PROPOSAL_WRONG_JOINTS | Reason.PROPOSAL_WRONG_LENGTH):
            return self._refuse(reason)
        return self._note(reason)

    def offer_limit(self, iteration: int, torque_limit: float, lease_s: float, now_ns: int) -> str | None:
        """Let the guard judge a torque-limit message; a refusal shows in `last_reasons`.

        Args:
          iteration: Iteration the limit is for.
          torque_limit: The limit, N·m.
          lease_s: How long it may stand without being renewed, s.
          now_ns: Steady time, the one `cycle` gets as its lease time.

        Returns:
          None when accepted, else why not.
        """
        moving = self.mode is _ARMED or self.mode is _HOLDING
        refusal = self.guard.offer(iteration, torque_limit, lease_s, now_ns, moving=moving)
        if refusal:
            self._note(Reason.LIMIT_REFUSED)
        return refusal

    # What goes out ---

    def cycle(self, now_ns: int, lease_now_ns: int | None = None) -> Array:
        """The torque to publish now. Call it once a control period, whether or not anything arrived.

        Called again in the same instant, the torque replaces that instant's.

        Args:
          now_ns: Steady time; simulated time in lockstep.
          lease_now_ns: Time on which limit leases are counted; `now_ns` by default. In lockstep the wall's
            steady clock, as the monitor renews by that.

        Returns:
          Torque, shape (n_joints,), N·m: finite, within min(torque limit, effort limits), within the rate of
          the torque before. A read-only view that the next call overwrites.
        """
        self._advance(now_ns)
        limit = self.guard.current(now_ns if lease_now_ns is None else lease_now_ns)
        if self.own_limit is not None:
            limit = self.own_limit
        self.torque_limit = limit
        if self.mode is _ARMED or self.mode is _HOLDING:
            self._watch_states(now_ns)
            self._watch_proposals(now_ns)
        passing = self._proposals.in_force
        self._measure_period(now_ns)
        if passing and self._driving is not None:
            elapsed_s = max(now_ns - self._proposals.received_ns, 0) * 1e-9
            np.copyto(self._wanted, driven(self._driving, self.position, self.velocity, elapsed_s))
        target = self._wanted if passing else self._stop.torque(self._state, self.mode, self.cause, now_ns)
        state = self._measured if passing else None
        bits = int(self._envelope.apply(target, limit, self._period_s, self._applied, state))
        if passing:
            self._stop.passed(now_ns)
            if bits and self.verdict is Verdict.ACCEPTED:
                self.verdict = Verdict.BOUNDED
            if np.count_nonzero(self._applied) == 0:
                self._torque_since_ns = None
            elif self._torque_since_ns is None:
                self._torque_since_ns = now_ns
        else:
            self._torque_since_ns = None
        bits |= self._pending | int(self.cause)
        if self.guard.lost:
            bits |= _LEASE_LOST
        self._pending = 0
        self.last_reasons = Reason(bits) if bits else _NONE
        return self.applied

    # Rules ---

    def _set_timeouts(self) -> None:
        settings = self.settings
        self._proposals.set_timeouts(settings)
        self._state.set_timeouts(settings.joint_state_timeout_s, settings.frozen_timeout_s)
        if self._object is not None:
            self._object.set_timeouts(settings.object_timeout_s, settings.object_frozen_timeout_s)

    def _advance(self, now_ns: int) -> None:
        """Follow the steady clock. If it went back, ages mean nothing: trip, and start to measure anew."""
        if self._now_ns is not None and now_ns < self._now_ns:
            self._state.forget_age(now_ns)
            if self._object is not None:
                self._object.forget_age(now_ns)
            self._trip_ns = now_ns
            self._cycle_ns = None
            self._stop.expire(now_ns)
            self._note(Reason.CLOCK_WENT_BACK)
            self._trip(Event.CLOCK_FAULT, Reason.CLOCK_WENT_BACK, now_ns)
        self._now_ns = now_ns

    def _measure_period(self, now_ns: int) -> None:
        if self._cycle_ns == now_ns:
            self._envelope.restore(self._before)
            return
        np.copyto(self._before, self._applied)
        self._period_s = self.settings.state_period_s
        if self._cycle_ns is not None:
            self._period_s = min((now_ns - self._cycle_ns) * 1e-9, self._period_s)
        self._cycle_ns = now_ns

    def _watch_states(self, now_ns: int) -> None:
        if self._state.stale(now_ns):
            self._trip(Event.STATE_FAULT, Reason.JOINT_STATE_STALE, now_ns)
            return
        since = self._torque_since_ns
        if since is not None and self._state.frozen(now_ns, since):
            self._trip(Event.STATE_FAULT, Reason.JOINT_STATE_FROZEN, now_ns)
        if self._object is not None and self.own_limit is None:
            fault = self._object.fault(now_ns, since)
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

    def _refusal(self, proposal: Proposal) -> Reason:
        if self.mode is not _ARMED and self.mode is not _HOLDING:
            return Reason.NOT_ARMED
        fault = self._proposals.out_of_order(proposal.stamp_ns, self._state.stamp_ns)
        if fault is not _NONE:
            return fault
        return fault_of(proposal, len(self.joint_names) if self._driving is None else self._driving.action_size)

    @property
    def _driving(self) -> Drive | None:
        """What turns proposals into torques in the motion under way."""
        return None if self.own_limit is not None else self._drive

    def _judge(self, gate: Gate, proposal: Proposal, into: Array) -> bool:
        """Ask the critic; False, with nothing changed, when its answer cannot be used."""
        assert self._observe is not None  # the constructor saw to it
        # The limit that the coming cycle goes by: that of the last one is an iteration old at an episode's first step.
        answer = ask(gate, self._observe, self.position, self.velocity, proposal, self.guard.in_force)
        if isinstance(answer, str):
            self.critic_error = answer
            return False
        np.copyto(into, answer.effort)
        self.risk, self.verdict = answer.risk, answer.verdict
        self._note(answer.reasons)
        return True

    def _note(self, reason: Reason) -> Reason:
        self._pending |= int(reason)
        return reason

    def _refuse(self, reason: Reason) -> Reason:
        self.verdict = Verdict.REJECTED
        self.risk = math.nan
        return self._note(reason)

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

    def _object_problem(self, now_ns: int) -> str | None:
        return None if self._object is None else self._object.problem(now_ns)

    def _motion_problem(self) -> str | None:
        return None if self.stopped else "the torque has not come to zero yet: try again in the next cycle"


def _names(reasons: Reason) -> str:
    return ", ".join(reason.name or "" for reason in split(reasons))
