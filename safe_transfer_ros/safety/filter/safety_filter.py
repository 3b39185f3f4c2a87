# SPDX-License-Identifier: Apache-2.0
"""The safety filter: the one object that decides which torque is published.

It is told what arrived and when (`observe_state`, `propose`, `reject`, `offer_limit`) and asked, once a
control cycle, for the torque to publish (`cycle`). Modes are filter_modes.py, what follows what is the table of
transitions.py, and when which proposal is judged is control_loop.py.

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
from safe_transfer_ros.safety.filter.damage_watch import DamageWatch
from safe_transfer_ros.safety.filter.drive import Drive, begun, driven
from safe_transfer_ros.safety.filter.filter_modes import FilterModes
from safe_transfer_ros.safety.filter.gravity_term import GravityTerm
from safe_transfer_ros.safety.filter.joint_state import read_only
from safe_transfer_ros.safety.filter.plausibility import Plausibility
from safe_transfer_ros.safety.filter.proposal import Proposal, fault_of
from safe_transfer_ros.safety.filter.robot_watch import RobotWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.filter.torque_output import TorqueOutput
from safe_transfer_ros.safety.filter.transitions import Event
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

__all__ = ["FilterSettings", "Gate", "Proposal", "SafetyFilter"]

Array = npt.NDArray[np.float64]

_ARMED, _HOLDING = Mode.ARMED, Mode.HOLDING
_NONE = Reason.NONE
_LEASE_LOST = int(Reason.LIMIT_LEASE_LOST)
_BUDGET_SPENT = int(Reason.DAMAGE_BUDGET_SPENT)


class SafetyFilter(FilterModes):
    """State machine between proposals and motors. Not thread safe; nothing here reads a clock.

    Attributes, besides those of `FilterModes`:
      joint_names: Joints in the order of every array.
      torque_limit: Limit in force in the last cycle, N·m.
      chosen: What was taken of the latest proposal accepted, before any bound, shape (n_joints,), N·m, or of a drive's
        actions; a read-only view.
      applied: Torque of the last cycle that moves the arm, without what carries it, shape (n_joints,), N·m; a
        read-only view.
      command: What the last cycle returned: `applied`, and g(q) where that is added; a read-only view.
      last_reasons: Everything that intervened in the last cycle or was refused since the one before.
      risk: The critic's risk of it; NaN without a critic.
      critic_error: What the critic raised or got wrong last; empty if nothing.
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
        gravity: GravityTerm | None = None,
        plausible: Plausibility | None = None,
        tracks_object: bool = False,
        damage: DamageWatch | None = None,
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
          gravity: What carries an arm that does not carry itself, added behind every other bound; none by default.
          plausible: What a joint state can be at all; by default anything finite is believed.
          tracks_object: The task has an object: without fresh and finite poses of it nothing may move.
          damage: Counts unsafe states into the guard's budget; needed where it has one.

        Raises:
          ValueError: if the numbers of joints differ, a gate comes without observe, a budget without `damage`, or a
            stop from the guard's ceiling would take longer than the action timeout.
        """
        self.joint_names = tuple(joint_names)
        if np.shape(effort_limit) != (len(self.joint_names),):
            raise ValueError(
                f"expected one effort limit for each of {len(self.joint_names)} joints, got {effort_limit!r}"
            )
        if gate is not None and observe is None:
            raise ValueError("a gate needs observe, the task's own view of the state")
        if (guard.budget is None) is not (damage is None):
            raise ValueError("a guard's damage budget and what counts damage into it come together")
        n = len(self.joint_names)
        robot = RobotWatch(n, settings, gravity, plausible, tracks_object=tracks_object)
        super().__init__(settings, guard, robot, TorqueOutput(effort_limit, settings, soft_limits))
        self._gate = gate
        self._observe = observe
        self._drive = drive
        self._damage = damage
        self._gravity = gravity
        self._wanted: Array = np.zeros(n)
        self._action: Array = np.zeros(n if drive is None else drive.action_size)
        self.chosen = read_only(self._wanted if drive is None else self._action)
        self.applied = self._output.applied
        self._carried: Array = np.zeros(n)
        self.command = self.applied if gravity is None else read_only(self._carried)
        self._state = robot.state
        self.position = self._state.position
        self.velocity = self._state.velocity
        self._measured = (self.position, self.velocity)
        self.torque_limit = guard.accepted
        self.last_reasons = _NONE
        self.risk = math.nan
        self.critic_error = ""

    @property
    def state_stamp_ns(self) -> int:
        """Stamp of the newest joint state; -1 before the first."""
        return self._state.stamp_ns

    @property
    def object_pose(self) -> Array | None:
        """Newest pose of the task's object, x y z, m, and quaternion x y z w, shape (7,); None where there is none."""
        watch = self._robot.object
        return None if watch is None or watch.stamp_ns < 0 else watch.pose

    # What arrives ---

    def observe_state(
        self, stamp_ns: int, position: Array, velocity: Array, now_ns: int, received_ns: int | None = None
    ) -> Reason:
        """Process a joint state, matched to `joint_names` by the caller.

        Args:
          stamp_ns: The robot's stamp.
          position: Shape (n_joints,), rad; any floats whatever.
          velocity: Shape (n_joints,), rad/s; any floats whatever.
          now_ns: Steady time.
          received_ns: Steady time from which its age counts, where it may have waited; now, by default.

        Returns:
          NONE when taken, else why not. One that is not finite, or cannot be, also trips an armed filter.
        """
        self._advance(now_ns)
        moving = self.mode is _ARMED or self.mode is _HOLDING
        reason = self._state.observe(stamp_ns, position, velocity, now_ns, ordered=moving, received_ns=received_ns)
        if reason is _NONE:
            if self._damage is not None:
                self._damage.state(stamp_ns, self.position)
            return _NONE
        if reason in (Reason.JOINT_STATE_NOT_FINITE, Reason.JOINT_STATE_IMPLAUSIBLE):
            self._trip(Event.STATE_FAULT, reason, now_ns)
        return self._note(reason)

    def observe_object(self, stamp_ns: int, pose: Array, now_ns: int, received_ns: int | None = None) -> Reason:
        """Process a pose of the task's object.

        Args:
          stamp_ns: Its stamp.
          pose: Position x y z, m, and quaternion x y z w, shape (7,); any floats whatever.
          now_ns: Steady time.
          received_ns: Steady time from which its age counts; now, by default.

        Returns:
          NONE when taken, else why not. One that is not finite, or no rotation, also trips an armed filter.
        """
        self._advance(now_ns)
        if self._robot.object is None:
            return _NONE
        reason = self._robot.object.observe(stamp_ns, pose, now_ns, received_ns)
        if reason is _NONE and self._damage is not None:
            self._damage.pose(stamp_ns, pose)
        if reason is Reason.OBJECT_POSE_NOT_FINITE:
            self._trip(Event.STATE_FAULT, reason, now_ns)
        return self._note(reason)

    def early(self, stamp_ns: int) -> bool:
        """Whether a proposal of that stamp answers a joint state that is not here yet; `propose` would refuse it."""
        return self._proposals.early(stamp_ns, self._state.stamp_ns)

    def propose(self, proposal: Proposal, now_ns: int, received_ns: int | None = None) -> Reason:
        """Process a proposal, as a whole or not at all.

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
            if self._damage is not None:
                self._damage.ended(self._state.stamp_ns, proposal.episode)
            self._enter(Event.LAST)
            self.verdict, self.risk = Verdict.EPISODE_END, math.nan
            return _NONE
        if self.own_limit is None:
            if self._damage is not None:
                self._damage.settle(self.guard.in_force)
            self.guard.prepare()
        into = self._wanted if self._driving is None else self._action
        if self._gate is None or self.own_limit is not None:
            np.copyto(into, proposal.effort)
            self.verdict = Verdict.ACCEPTED
        else:
            fault = self._judge(self._gate, proposal, into)
            if fault is not _NONE:
                return fault
        if self._driving is not None and not begun(
            self._driving, into, self.position, anew=not self._proposals.in_force
        ):
            return self._refuse(Reason.PROPOSAL_NOT_FINITE)
        self._enter(Event.PROPOSAL)
        self._proposals.accept(proposal.stamp_ns, now_ns if received_ns is None else received_ns)
        if self.own_limit is None:  # a reset move tells nothing about the limit
            self.guard.decide(self._state.stamp_ns)
            if self._damage is not None:
                self._damage.decided(self._state.stamp_ns, proposal.episode)
        return _NONE

    def reject(self, reason: Reason, now_ns: int) -> Reason:
        """Record a message the caller could not hand over, such as another robot's joint state. No verdict changes.

        Returns:
          `reason`.
        """
        self._advance(now_ns)
        return self._note(reason)

    def offer_limit(
        self, iteration: int, torque_limit: float, lease_s: float, now_ns: int, received_ns: int | None = None
    ) -> str | None:
        """Let the guard judge a torque-limit message; a refusal shows in `last_reasons`.

        Args:
          iteration: Iteration the limit is for.
          torque_limit: The limit, N·m.
          lease_s: How long it may stand without being renewed, s.
          now_ns: Steady time, the one `cycle` gets as its lease time.
          received_ns: Steady time from which the lease counts, where the message may have waited; now, by default.

        Returns:
          None when accepted, else why not.
        """
        if received_ns is not None:
            lease_s -= (now_ns - received_ns) * 1e-9
        refusal = self.guard.offer(iteration, torque_limit, lease_s, now_ns, moving=self.moving)
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
          `command`, shape (n_joints,), N·m: finite, within the effort limits; without g(q) within
          min(torque limit, effort limits) and within the rate of the torque before. A read-only view that the next
          call overwrites.
        """
        self._advance(now_ns)
        limit = self.guard.current(now_ns if lease_now_ns is None else lease_now_ns)
        if self.own_limit is not None:
            limit = self.own_limit
        self.torque_limit = limit
        if self._gravity is not None and self._state.stamp_ns >= 0:
            self._gravity.move(self.position, now_ns, self.settings.state_period_s)
            if self._gravity.failed:
                self._note(Reason.GRAVITY_FAILED)
        if self.mode is _ARMED or self.mode is _HOLDING:
            self._watch_robot(now_ns)
            self._watch_proposals(now_ns)
        passing = self._proposals.in_force
        if passing and self._driving is not None:
            elapsed_s = max(now_ns - self._proposals.received_ns, 0) * 1e-9
            np.copyto(self._wanted, driven(self._driving, self.position, self.velocity, elapsed_s))
        target = self._wanted if passing else self._stop.torque(self._state, self.mode, self.cause, now_ns)
        bits = self._output.apply(target, limit, now_ns, self._measured if passing else None)
        if passing:
            self._stop.passed(now_ns)
            if self.guard.exhausted and self.own_limit is None:
                bits |= _BUDGET_SPENT
            if bits and self.verdict is Verdict.ACCEPTED:
                self.verdict = Verdict.BOUNDED
        bits |= self._pending | int(self.cause)
        if self.guard.lost:
            bits |= _LEASE_LOST
        self._pending = 0
        self.last_reasons = Reason(bits) if bits else _NONE
        if self._gravity is not None:
            self._gravity.carry(self.applied, self._carried)
        return self.command

    # Rules ---

    def _refusal(self, proposal: Proposal) -> Reason:
        if proposal.fault is not _NONE:
            return proposal.fault
        if self.mode is not _ARMED and self.mode is not _HOLDING:
            return Reason.NOT_ARMED
        fault = self._proposals.out_of_order(proposal.stamp_ns, self._state.stamp_ns)
        if fault is not _NONE:
            return fault
        return fault_of(proposal, len(self.joint_names) if self._driving is None else self._driving.action_size)

    @property
    def _driving(self) -> Drive | None:
        """Drive of the motion under way, which turns proposals into torques."""
        return None if self.own_limit is not None else self._drive

    def _judge(self, gate: Gate, proposal: Proposal, into: Array) -> Reason:
        """Ask the critic; why the proposal is refused where there is nothing to apply, and nothing has changed then."""
        assert self._observe is not None  # the constructor saw to it
        # The limit that the coming cycle goes by: that of the last one is an iteration old at an episode's first step.
        answer = ask(gate, self._observe, self.position, self.velocity, proposal, self.guard.in_force)
        if isinstance(answer, str):
            self.critic_error = answer
            return self._refuse(Reason.CRITIC_FAILED)
        if answer.verdict is Verdict.REJECTED:
            refused = self._refuse(answer.reasons)
            self.risk = answer.risk
            return refused
        np.copyto(into, answer.effort)
        self.risk, self.verdict = answer.risk, answer.verdict
        self._note(answer.reasons)
        return _NONE

    def _refuse(self, reason: Reason) -> Reason:
        self.verdict = Verdict.REJECTED
        self.risk = math.nan
        return self._note(reason)
