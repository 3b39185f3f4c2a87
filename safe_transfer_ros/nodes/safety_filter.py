# SPDX-License-Identifier: Apache-2.0
"""safety_filter: the only node that commands torques.

Thin on purpose: every rule is in safety/filter.py, safety/envelope.py and safety/limit_guard.py. Here messages are
matched to joints by name, handed to those rules with a time, and what they answer is published.

Lockstep: the time is the robot's own (joint state stamps), and one command answers one joint state, as soon as the
proposal for that very state is here. Real time: the time is this machine's steady clock, and every joint state is
answered at once with the newest accepted proposal.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.nodes import qos
from safe_transfer_ros.nodes.managed import ManagedNode
from safe_transfer_ros.nodes.parameters import declare
from safe_transfer_ros.nodes.process import Lifetime, run
from safe_transfer_ros.nodes.settings import ExperimentSettings, FilterSettings
from safe_transfer_ros.nodes.stamps import to_ns
from safe_transfer_ros.safety import filter as rules
from safe_transfer_ros.safety.joint_order import JointOrder, JointOrderError
from safe_transfer_ros.safety.limit_guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import MODE_TEXT, Mode, Reason, Verdict, describe, split
from safe_transfer_ros.tasks.task import make

Array = npt.NDArray[np.float64]

_EMPTY = array("d")
_STOPPING = (Mode.HOLDING, Mode.TRIPPED)


class SafetyFilter(ManagedNode):
    """Proposals and joint states in; bounded torques and decisions out."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__("safety_filter")
        experiment, settings = declare(self, ExperimentSettings, FilterSettings)
        self._settings = settings
        self._task = make(experiment.task)
        self._lockstep: bool = experiment.lockstep
        robot = self._task.robot
        self._order = JointOrder(robot.joint_names)
        self._n_joints = len(robot.joint_names)
        self._filter = rules.SafetyFilter(
            robot.joint_names,
            robot.limits.effort,
            rules.FilterSettings(
                action_timeout_s=settings.action_timeout,
                trip_timeout_s=settings.trip_timeout,
                joint_state_timeout_s=max(settings.joint_state_timeout, self._period(experiment) * 2.5),
                frozen_timeout_s=settings.frozen_timeout,
                state_period_s=self._period(experiment),
                torque_rate_limit=settings.torque_rate_limit,
            ),
            TorqueLimitGuard(
                experiment.torque_limit_max if experiment.limit == "fixed" else experiment.torque_limit_min,
                experiment.torque_limit_max,
                iteration=experiment.first_iteration,
                torque_limit=experiment.starting_limit,
            ),
        )
        self._active = False
        self._state_message: JointState | None = None
        self._waiting: PolicyAction | None = None  # lockstep: a proposal whose joint state is not here yet
        self._judged: PolicyAction | None = None  # a proposal whose decision waits for the torque of the next cycle
        self._usable = False  # its arrays are whole and in order
        self._unreadable = ""  # why the newest joint state could not be used
        self._told = (Mode.DISARMED, -1, 0.0)  # mode, limit iteration and limit last published
        self._last_arrival = time.monotonic()

    def _period(self, experiment: ExperimentSettings) -> float:
        """Nominal time between joint states, s."""
        return self._task.control_period_s if experiment.lockstep else self._task.timestep_s

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Create topics, services and timers."""
        self._commands = self.create_publisher(Float64MultiArray, "effort_controller/commands", qos.RECORD)
        self._decisions = self.create_publisher(SafetyDecision, "safety_filter/decision", qos.RECORD)
        self._status = self.create_publisher(FilterStatus, "safety_filter/status", qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "diagnostics", qos.STREAM)
        self.create_subscription(JointState, "joint_states", self._on_joint_state, qos.STREAM)
        self.create_subscription(PolicyAction, "policy_server/action", self._on_action, qos.STREAM)
        self.create_subscription(TorqueLimit, "unsafety_monitor/torque_limit", self._on_limit, qos.LATCHED)
        self.create_service(SetBool, "safety_filter/arm", self._on_arm)
        self.create_service(Trigger, "safety_filter/reset", self._on_reset)
        self.create_service(Trigger, "safety_filter/trip", self._on_trip)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.01, self._watch, clock=steady)
        self.create_timer(1.0, self._diagnose, clock=steady)
        self._command = Float64MultiArray(data=array("d", bytes(8 * self._n_joints)))
        self._decision = SafetyDecision(joint_names=list(self._task.robot.joint_names))
        self._counts: Counter[Reason] = Counter()
        self._decided = 0

    def activate(self) -> None:
        """Accept proposals once armed; tell everyone the limit in force."""
        self._active = True
        self._tell(accepted=True)

    def deactivate(self) -> None:
        """Stop torque first, then silence."""
        if self._active:
            self._filter.trip(Reason.SHUTDOWN, self._now())
            self._stop()
            self._active = False

    def close(self) -> None:
        """Stop torque before the process ends."""
        self.deactivate()

    def _stop(self) -> None:
        """Publish torques until they are zero; the rate limit makes that a few milliseconds at most."""
        now = self._now()
        period = round(self._filter.settings.state_period_s * 1e9)
        for _ in range(20):
            self._publish_command(self._filter.cycle(now, time.monotonic_ns()))
            if self._filter.stopped:
                return
            now += period
            if not self._lockstep:
                time.sleep(period * 1e-9)

    # What arrives ----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Nanoseconds on the clock that the rules go by: the robot's in lockstep, this machine's otherwise."""
        if not self._lockstep:
            return time.monotonic_ns()
        return to_ns(self._state_message.header.stamp) if self._state_message is not None else 0

    def _on_joint_state(self, message: JointState) -> None:
        if not self._active:
            return
        self._last_arrival = time.monotonic()
        self._state_message = message
        now = self._now()
        try:
            indices = self._order.indices(message.name)
            position = np.frombuffer(message.position)[indices]
            velocity = np.frombuffer(message.velocity)[indices]
        except (JointOrderError, IndexError, ValueError) as error:
            self._unreadable = f"joint states cannot be used: {error}"
            self.get_logger().error(self._unreadable, throttle_duration_sec=1.0)
            self._filter.reject(Reason.JOINT_STATE_WRONG_JOINTS, now)
        else:
            self._unreadable = ""
            self._filter.observe_state(to_ns(message.header.stamp), position, velocity, now)
        if self._lockstep:
            self._pair()
        else:
            self._cycle(now)

    def _on_action(self, message: PolicyAction) -> None:
        if not self._active:
            return
        self._last_arrival = time.monotonic()
        if self._lockstep:
            self._waiting = message
            self._pair()
        else:
            self._judge(message, self._now())

    def _pair(self) -> None:
        """Lockstep: answer a joint state once its own proposal is here, whichever came first."""
        state, proposal = self._state_message, self._waiting
        if state is None or proposal is None or to_ns(proposal.header.stamp) > to_ns(state.header.stamp):
            return
        self._waiting = None
        now = self._now()
        self._judge(proposal, now)
        self._cycle(now)

    def _judge(self, message: PolicyAction, now: int) -> None:
        """Hand one proposal to the rules, its joints matched by name."""
        self._judged, self._usable = message, False
        try:
            indices = self._order.indices(message.joint_names)
            mean, stddev = np.frombuffer(message.mean), np.frombuffer(message.stddev)
            effort = np.frombuffer(message.effort)
            if not message.last:
                if not len(mean) == len(stddev) == len(effort) == len(message.joint_names):
                    raise IndexError
                mean, stddev, effort = mean[indices], stddev[indices], effort[indices]
        except JointOrderError:
            self._filter.reject(Reason.PROPOSAL_WRONG_JOINTS, now)
            return
        except (IndexError, ValueError):
            self._filter.reject(Reason.PROPOSAL_WRONG_LENGTH, now)
            return
        self._usable = True
        self._proposal = rules.Proposal(
            stamp_ns=to_ns(message.header.stamp),
            iteration=message.iteration,
            episode=message.episode,
            step=message.step,
            last=message.last,
            policy_version=message.policy_version,
            mean=mean,
            stddev=stddev,
            effort=effort,
        )
        self._filter.propose(self._proposal, now)

    def _on_limit(self, message: TorqueLimit) -> None:
        lease = message.lease.sec + message.lease.nanosec * 1e-9
        refusal = self._filter.offer_limit(
            int(message.iteration), float(message.torque_limit), lease, time.monotonic_ns()
        )
        if refusal:
            self.get_logger().error(f"torque limit refused, the old one stands: {refusal}")
            self._tell(accepted=False, message=refusal)
        else:
            self._tell_changes()

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not self._active:
            return _answer(response, "the filter is not active")
        if request.data:
            refusal = self._unreadable or self._filter.arm(self._now())
        else:
            refusal = None
            self._filter.disarm(self._now())
            self._stop()
        self._tell_changes()
        return _answer(response, refusal)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = self._filter.reset(self._now())
        self._tell_changes()
        return _answer(response, refusal)

    def _on_trip(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._filter.trip(Reason.OPERATOR_STOP, self._now())
        self._stop()
        self._tell_changes()
        return _answer(response, None)

    # What goes out ---------------------------------------------------------------------------------------------------

    def _cycle(self, now: int) -> None:
        """One control cycle: the torque, and the decision of a proposal that came since the last one."""
        mode = self._filter.mode
        self._publish_command(self._filter.cycle(now, time.monotonic_ns()))
        if self._judged is not None:
            self._publish_decision(self._filter.verdict)
            self._judged = None
        elif self._filter.mode is not mode and self._filter.mode in _STOPPING:
            self._usable = False
            self._publish_decision(Verdict.STOPPED)
        self._tell_changes()

    def _watch(self) -> None:
        """What has to happen although nothing arrives."""
        if not self._active:
            return
        silent = time.monotonic() - self._last_arrival
        if self._lockstep:
            if silent > self._settings.lockstep_timeout and self._filter.mode in (Mode.ARMED, Mode.HOLDING):
                self._filter.trip(Reason.PROPOSAL_TIMEOUT | Reason.JOINT_STATE_STALE, self._now())
                self._stop()
        elif silent > 2.0 * self._filter.settings.state_period_s:
            self._cycle(self._now())
        self._filter.guard.current(time.monotonic_ns())
        self._tell_changes()

    def _publish_command(self, torque: Array) -> None:
        self._command.data = array("d", torque.tobytes())
        self._commands.publish(self._command)

    def _publish_decision(self, verdict: Verdict) -> None:
        rules_, decision, proposal = self._filter, self._decision, self._judged
        if self._state_message is not None:
            decision.header.stamp = self._state_message.header.stamp
        if proposal is not None:
            decision.iteration, decision.episode, decision.step = proposal.iteration, proposal.episode, proposal.step
            decision.policy_version = proposal.policy_version
        decision.last = verdict is Verdict.EPISODE_END
        carries = self._usable and not (proposal is not None and proposal.last)
        decision.mode, decision.verdict, decision.reasons = rules_.mode, verdict, int(rules_.last_reasons)
        decision.position = array("d", rules_.position.tobytes())
        decision.velocity = array("d", rules_.velocity.tobytes())
        observation = self._task.observe(rules_.position, rules_.velocity, rules_.torque_limit)
        decision.observation = array("d", observation.tobytes())
        decision.proposed_mean = array("d", self._proposal.mean.tobytes()) if carries else _EMPTY
        decision.proposed_stddev = array("d", self._proposal.stddev.tobytes()) if carries else _EMPTY
        decision.proposed_effort = array("d", self._proposal.effort.tobytes()) if carries else _EMPTY
        decision.applied_effort = array("d", rules_.applied.tobytes())
        decision.torque_limit = rules_.torque_limit
        decision.limit_iteration = rules_.guard.iteration
        decision.risk = rules_.risk
        self._decisions.publish(decision)
        self._decided += 1
        if rules_.last_reasons:
            self._counts.update(split(rules_.last_reasons))

    def _tell_changes(self) -> None:
        """Publish the status if the mode or the limit has changed since it was last published."""
        guard = self._filter.guard
        if self._told != (self._filter.mode, guard.iteration, _in_force(guard)):
            self._tell(accepted=True, message=describe(self._filter.cause))

    def _tell(self, *, accepted: bool, message: str = "") -> None:
        guard, mode = self._filter.guard, self._filter.mode
        status = FilterStatus(
            mode=mode,
            cause=int(self._filter.cause),
            iteration=guard.iteration,
            torque_limit=_in_force(guard),
            accepted=accepted,
            lease_lost=guard.lost,
            message=message,
        )
        status.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(status)
        if mode is Mode.TRIPPED and self._told[0] is not Mode.TRIPPED:
            self.get_logger().error(f"TRIPPED: {message}")
        self._told = (mode, guard.iteration, _in_force(guard))

    def _diagnose(self) -> None:
        """What an operator's dashboard needs, once a second."""
        mode, guard = self._filter.mode, self._filter.guard
        level = DiagnosticStatus.ERROR if mode is Mode.TRIPPED else DiagnosticStatus.OK
        if level == DiagnosticStatus.OK and (mode is Mode.HOLDING or guard.lost):
            level = DiagnosticStatus.WARN
        values = {
            "mode": mode.name,
            "torque_limit": f"{_in_force(guard):.4f} N·m",
            "limit_iteration": str(guard.iteration),
            "limit_lease_lost": str(guard.lost),
            "decisions": str(self._decided),
            **{f"reason {reason.name}": str(count) for reason, count in sorted(self._counts.items())},
        }
        status = DiagnosticStatus(
            level=level,
            name="safety_filter",
            hardware_id=self._task.robot.name,
            message=describe(self._filter.cause) or MODE_TEXT[mode],
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _in_force(guard: TorqueLimitGuard) -> float:
    """The torque limit as of the last look at the lease, N·m."""
    return guard.t_min if guard.lost else guard.accepted


def _answer(response: Any, refusal: str | None) -> Any:
    """Fill in a SetBool or Trigger response."""
    response.success, response.message = refusal is None, refusal or ""
    return response


def main() -> None:
    """Console entry point."""

    def create(lifetime: Lifetime) -> SafetyFilter:
        node = SafetyFilter()
        node.bring_up()
        return node

    raise SystemExit(run("safety_filter", create))


if __name__ == "__main__":
    main()
