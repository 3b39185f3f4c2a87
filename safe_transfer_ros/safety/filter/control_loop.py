# SPDX-License-Identifier: Apache-2.0
"""Schedule of judging proposals and of torques due, for any order of messages.

Lockstep: the rules go by the robot's own time (joint state stamps), and one torque answers one joint state, as soon as
the proposal for that very state is here. Where several joint states belong to one proposal, those between two
proposals are answered at once.

Real time: the rules go by the steady clock, and every joint state is answered at once with the newest accepted
proposal. A proposal that overtook the joint state it answers waits for it, no longer than the action timeout and no
longer than the next proposal is away, and its age counts from receipt all the same. What may have waited while this
process itself stood still is as old as it may be, see receipt.py.

What goes out is what `publish` is handed, in that order. Nothing here reads a clock: each call brings the steady time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.proposal import Proposal
from safe_transfer_ros.safety.filter.receipt import SETTLE_S, ReceiptClock, StateReceipt
from safe_transfer_ros.safety.filter.safety_filter import SafetyFilter
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

Array = npt.NDArray[np.float64]

_STOPPING = (Mode.HOLDING, Mode.TRIPPED)
_MOVING = (Mode.ARMED, Mode.HOLDING)


class Sight(Protocol):
    """The task's view of the robot as the loop needs it, besides joint states."""

    def begin(self, episode: int, stamp_ns: int) -> None:
        """Begin an episode with the state of that stamp; a second call changes nothing."""
        ...

    def ready(self, stamp_ns: int) -> bool:
        """Whether all that is needed beside the joint state of that stamp is there."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Decision to be recorded with a torque.

    Attributes:
      proposal: That was judged; None for a stop that nobody proposed.
      verdict: What became of it.
      reasons: Bits of all cycles since the decision before.
      stamp_ns: Of the joint state it was decided on.
    """

    proposal: Proposal | None
    verdict: Verdict
    reasons: int
    stamp_ns: int


class Publish(Protocol):
    """Publisher of the loop's results."""

    def __call__(self, command: Array, decision: Decision | None) -> None:
        """Publish a torque, shape (n_joints,), N·m, which the next cycle overwrites; and a decision, if there is."""
        ...


class ControlLoop:
    """Feeds a `SafetyFilter` and asks it for torques.

    Attributes:
      lockstep: Whether the rules go by the robot's time.
      state_stamp_ns: Stamp of the newest joint state of this robot; None before the first.
    """

    def __init__(
        self,
        rules: SafetyFilter,
        sight: Sight,
        publish: Publish,
        *,
        lockstep: bool,
        control_period_s: float,
        lockstep_timeout_s: float,
    ) -> None:
        """Start having heard nothing.

        Args:
          rules: The filter.
          sight: The task's view.
          publish: Called with every torque that is due.
          lockstep: Whether simulated time is the only clock of the rules.
          control_period_s: Time from one proposal to the next, s.
          lockstep_timeout_s: In lockstep, longest silence on the steady clock while armed, s.
        """
        self._rules, self._sight, self._publish = rules, sight, publish
        self.lockstep = lockstep
        self._control_period_ns = round(control_period_s * 1e9)
        self._lockstep_timeout_ns = round(lockstep_timeout_s * 1e9)
        self.state_stamp_ns: int | None = None
        self._answered_ns: int | None = None  # lockstep: stamp of the state whose proposal is being acted on
        self._waiting: Proposal | None = None  # one whose joint state is not here yet
        self._waiting_since = 0
        self._judged: Proposal | None = None  # one whose decision waits for the torque of the next cycle
        self._recorded_mode = rules.mode  # of the last cycle; a stop is recorded where something could move
        self._unrecorded = 0  # reasons of the cycles since the last decision
        self._receipt = ReceiptClock()
        self._state_receipt = StateReceipt(rules.settings.state_period_s)
        self._heard_ns: int | None = None  # when a joint state or a proposal came last

    def time(self, steady_ns: int) -> int:
        """Time on the clock that the rules go by, ns: the robot's in lockstep, the steady one otherwise."""
        return (self.state_stamp_ns or 0) if self.lockstep else steady_ns

    # What arrives ---

    def joint_state(self, stamp_ns: int, position: Array, velocity: Array, steady_ns: int) -> None:
        """Process a joint state; see `SafetyFilter.observe_state`."""
        self.state_stamp_ns, self._heard_ns = stamp_ns, steady_ns
        received_ns = self._received(steady_ns)
        if not self.lockstep:
            received_ns = self._state_receipt.take(stamp_ns, received_ns, steady_ns)
        self._rules.observe_state(stamp_ns, position, velocity, self.time(steady_ns), received_ns)
        self._answer(steady_ns)

    def unusable_joint_state(self, steady_ns: int) -> None:
        """Process a joint state whose joints could not be matched: it is left out.

        It may be another robot's, so it moves no clock and is not a sign of life; missed when no good one follows.
        """
        self.reject(Reason.JOINT_STATE_WRONG_JOINTS, steady_ns)

    def reject(self, reason: Reason, steady_ns: int) -> None:
        """Record a message that could not even be handed over; see `SafetyFilter.reject`."""
        self._receipt.look(steady_ns)
        self._rules.reject(reason, self.time(steady_ns))

    def object_pose(self, stamp_ns: int, pose: Array, steady_ns: int) -> Reason:
        """Process a pose of the task's object; see `SafetyFilter.observe_object`. `sight` must see it first."""
        received_ns = self._received(steady_ns)
        return self._rules.observe_object(stamp_ns, pose, self.time(steady_ns), received_ns)

    def sighted(self, steady_ns: int) -> None:
        """Process a change of what `sight` sees: in lockstep a proposal may have waited for it."""
        if self.lockstep:
            self._pair(steady_ns)

    def propose(self, proposal: Proposal, steady_ns: int) -> None:
        """Process a policy's proposal. During a motion under its own limit it is ignored and not recorded."""
        if self._rules.own_limit is not None:
            self._rules.reject(Reason.NOT_ARMED, self.time(steady_ns))
            return
        self._heard_ns = steady_ns
        if self.lockstep:
            self._receipt.look(steady_ns)
            self._waiting = proposal
            self._pair(steady_ns)
        else:
            self._take(proposal, steady_ns)

    def propose_motion(self, proposal: Proposal, steady_ns: int) -> None:
        """Process a proposal of a motion under its own limit: bounded like any other, and not recorded."""
        if self._rules.own_limit is not None:
            self._take(proposal, steady_ns)

    def offer_limit(self, iteration: int, torque_limit: float, lease_s: float, steady_ns: int) -> str | None:
        """Process a torque limit, whose lease is on the steady clock in both modes; see `SafetyFilter.offer_limit`."""
        received_ns = self._receipt.look(steady_ns)
        return self._rules.offer_limit(iteration, torque_limit, lease_s, steady_ns, received_ns)

    # What an operator or a supervisor does ---

    def arm(self, steady_ns: int, standing: Reason = Reason.NONE, own_limit: float | None = None) -> str | None:
        """See `SafetyFilter.arm`; refused as well where joint states yet to be taken would count as stale."""
        self._motion_over()
        stood_s = 0.0 if self.lockstep else (steady_ns - self._receipt.look(steady_ns)) * 1e-9
        if stood_s and stood_s + SETTLE_S > self._rules.settings.joint_state_timeout_s:
            return f"the filter itself stood still for {stood_s:.3g} s: joint states have no age yet, try again"
        return self._rules.arm(self.time(steady_ns), standing, own_limit)

    def disarm(self, steady_ns: int) -> None:
        """See `SafetyFilter.disarm`; then `stop`."""
        self._motion_over()
        self._rules.disarm(self.time(steady_ns))

    def stop(self, steady_ns: int, turn: int) -> float | None:
        """Next torque that brings the arm to a stop, due after the time that the one before returned.

        Args:
          steady_ns: Steady time.
          turn: How many there have been before.

        Returns:
          How long to wait before the next, s, no longer than the torque rate asks for; None when no more is to be
          done: the torque is zero, or damping, which goes by the joint states to come.
        """
        period_s = self._rules.settings.state_period_s
        # The robot's time stands still in lockstep until it gets a command.
        self._cycle(self.time(steady_ns) + (turn * round(period_s * 1e9) if self.lockstep else 0), steady_ns)
        if self._rules.stopped or self._rules.damping:
            return None
        least = float(np.abs(self._rules.applied).max()) / self._rules.settings.torque_rate_limit
        return 0.0 if self.lockstep else min(period_s, least + 1e-4)

    def watch(self, steady_ns: int) -> Reason:
        """Do what has to happen although nothing arrives; to be called every few milliseconds.

        Returns:
          Why the filter must be tripped and the arm stopped; NONE where nothing is wrong. Only in lockstep, where the
          rules' own timeouts stand still with the robot's time.
        """
        self._receipt.look(steady_ns)
        silent_ns = 0 if self._heard_ns is None else steady_ns - self._heard_ns
        if self.lockstep:
            if not self._rules.moving or silent_ns <= self._lockstep_timeout_ns:
                return Reason.NONE
            blind = not self._under_way() and not self._sight.ready(self.time(steady_ns))
            return Reason.PROPOSAL_TIMEOUT | (Reason.OBJECT_POSE_STALE if blind else Reason.JOINT_STATE_STALE)
        self._judge_waiting(steady_ns)
        if self._heard_ns is None or silent_ns * 1e-9 > 2.0 * self._rules.settings.state_period_s:
            self._cycle(steady_ns, steady_ns)
        return Reason.NONE

    # Rules ---

    def _received(self, steady_ns: int) -> int:
        """Earliest receipt of the current message, on the rules' clock, which stands still meanwhile in lockstep."""
        received_ns = self._receipt.look(steady_ns)
        return self.time(steady_ns) if self.lockstep else received_ns

    def _motion_over(self) -> None:
        """A motion ends or begins: in real time a proposal that still waits belongs to the one before."""
        # In lockstep it may be that motion's last, which is paired by stamp and belongs to no other.
        if not self.lockstep:
            self._waiting = None
        self._answered_ns = None

    def _answer(self, steady_ns: int) -> None:
        """A joint state has come: in real time it is answered at once, in lockstep when its proposal is here."""
        if not self.lockstep:
            self._judge_waiting(steady_ns)
        elif not self._under_way():
            self._pair(steady_ns)
            return
        self._cycle(self.time(steady_ns), steady_ns)

    def _under_way(self) -> bool:
        """Lockstep: whether the newest joint state comes before the one that the next proposal will answer."""
        since, state = self._answered_ns, self.state_stamp_ns
        return since is not None and state is not None and since < state < since + self._control_period_ns

    def _pair(self, steady_ns: int) -> None:
        """Lockstep: answer a joint state once its own proposal is here, whichever came first."""
        state, proposal = self.state_stamp_ns, self._waiting
        if state is None or proposal is None or proposal.stamp_ns > state or not self._sight.ready(state):
            return
        self._waiting = None
        self._answered_ns = state
        now = self.time(steady_ns)
        self._judge(proposal, now)
        self._cycle(now, steady_ns)

    def _take(self, proposal: Proposal, now: int) -> None:
        """Real time: judge a proposal, or let it wait for the joint state it answers."""
        self._judge_waiting(now, at_once=True)
        if self._judged is not None:  # two between two joint states: each gets its decision
            self._cycle(now, now)
        self._waiting, self._waiting_since = proposal, self._receipt.look(now)
        self._judge_waiting(now)

    def _judge_waiting(self, now: int, *, at_once: bool = False) -> None:
        """Real time: judge the proposal that waits, if its joint state has come or it must not wait any longer.

        A busy machine may well deliver a joint state to the policy sooner than to the filter. Refusing what comes then
        would lose a step of the episode, or its end; acting on it would be acting blindly.
        """
        proposal, since = self._waiting, self._waiting_since
        if proposal is None:
            return
        late = (now - since) * 1e-9 > self._rules.settings.action_timeout_s
        if at_once or late or not self._rules.early(proposal.stamp_ns):
            self._waiting = None
            self._judge(proposal, now, since)

    def _judge(self, proposal: Proposal, now: int, received: int | None = None) -> None:
        """Hand one proposal to the rules; one of a policy is on record."""
        self._judged = proposal if self._rules.own_limit is None else None
        if self._judged is not None and proposal.step == 0 and not proposal.fault:
            self._sight.begin(proposal.episode, proposal.stamp_ns)
        self._rules.propose(proposal, now, received)

    def _cycle(self, now: int, steady_ns: int) -> None:
        """Run one control cycle: a torque, and a decision if a proposal came since or the arm was stopped."""
        rules = self._rules
        command = rules.cycle(now, steady_ns)
        mode, before = rules.mode, self._recorded_mode
        self._recorded_mode = mode
        self._unrecorded |= int(rules.last_reasons)
        proposal, verdict = self._judged, rules.verdict
        if proposal is None:
            if mode is before or mode not in _STOPPING or before not in _MOVING:
                self._publish(command, None)
                return
            verdict = Verdict.STOPPED
        reasons, self._judged, self._unrecorded = self._unrecorded, None, 0
        self._publish(
            command,
            Decision(proposal=proposal, verdict=verdict, reasons=reasons, stamp_ns=self.state_stamp_ns or 0),
        )
