# SPDX-License-Identifier: Apache-2.0
"""safety_filter: the only node that commands torques.

Thin on purpose: every rule is in safety/filter/ and safety/limit/guard.py. Here messages are matched to joints by name,
handed to those rules with a time, and what they answer is published.

Lockstep: the time is the robot's own (joint state stamps), and one command answers one joint state, as soon as the
proposal for that very state is here. Real time: the time is this machine's steady clock, and every joint state is
answered at once with the newest accepted proposal. A proposal that overtook the joint state it answers waits for it, no
longer than the action timeout, and its age counts from receipt all the same.

In the steady state nothing here logs or builds what lives longer than the call.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import time
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from safe_transfer_msgs.msg import FilterStatus, PolicyAction, SafetyDecision, TorqueLimit, UnsafetyEstimate
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros.configuration import ConfigurationError, build
from safe_transfer_ros.critics.file_gate import CriticFileGate
from safe_transfer_ros.critics.time_bound_gate import TimeBoundGate
from safe_transfer_ros.middleware import object_pose, qos, realtime
from safe_transfer_ros.middleware.filter_health import FilterHealth
from safe_transfer_ros.middleware.filter_messages import DecisionMessage, read_proposal, status_message
from safe_transfer_ros.middleware.joint_state_reader import JointStateError, JointStateReader
from safe_transfer_ros.middleware.lifecycle import ManagedNode
from safe_transfer_ros.middleware.listeners import COMMANDS, Listeners
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.middleware.standing_causes import StandingCauses
from safe_transfer_ros.parameters.settings import ExperimentSettings, FilterSettings
from safe_transfer_ros.safety.critic.gate import Gate
from safe_transfer_ros.safety.filter import safety_filter as rules
from safe_transfer_ros.safety.filter.gravity_term import GravityTerm
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict, describe
from safe_transfer_ros.tasks.deployment import in_graph

Array = npt.NDArray[np.float64]

_STOPPING = (Mode.HOLDING, Mode.TRIPPED)
_MOVING = (Mode.ARMED, Mode.HOLDING)
PROPOSALS, RESET_PROPOSALS = "policy_server/action", "episode_reset/action"
LIMITS, ESTIMATES = "unsafety_monitor/torque_limit", "unsafety_monitor/estimate"


class SafetyFilter(ManagedNode):
    """Proposals and joint states in; bounded torques and decisions out."""

    def __init__(self, gate: Gate | None = None) -> None:
        """Declare parameters.

        Args:
          gate: Safety critic; by default the one of parameter `critic`, if any. It gets a thread of its own and
            `critic_timeout` for an answer.
        """
        super().__init__("safety_filter")
        experiment, settings = declare(self, ExperimentSettings, FilterSettings)
        self._settings = settings
        self._graph = in_graph(experiment.task)
        self._task = self._graph.task
        self._lockstep: bool = experiment.lockstep
        self._view = self._graph.view(experiment.seed, lockstep=self._lockstep)
        self._nominal_period = self._graph.state_period_s(lockstep=self._lockstep)
        self._control_period_ns = round(self._task.control_period_s * 1e9)
        self._nodes = experiment.nodes
        self._commands_topic = f"{experiment.controller}/commands"
        self._gravity: GravityTerm | None = None
        self._carried_ns = 0  # when it last followed the arm
        if experiment.adds_gravity(self._task.robot.gravity_compensated):
            dynamics = importlib.import_module("safe_transfer_ros.robots.dynamics").ArmDynamics  # brings mujoco
            limits = self._task.robot.limits.effort
            self._gravity = GravityTerm(dynamics(self._task.robot).gravity_torque, limits, settings.torque_rate_limit)
        self._critic: CriticFileGate | None = None
        if gate is None and settings.critic:
            gate = self._critic = CriticFileGate(self._graph, settings, seed=experiment.seed)
        # In lockstep the robot's time stands still while the critic thinks: a busy machine must not change the run.
        patience = max(settings.critic_timeout, settings.lockstep_timeout if self._lockstep else 0.0)
        robot = self._task.robot
        self._order = JointOrder(robot.joint_names)
        self._action_order = JointOrder(self._graph.action_names)
        self._states = JointStateReader(robot.joint_names)
        self._command_order = JointOrder(experiment.command_joints(robot.joint_names)).indices(robot.joint_names)
        self._n_joints = len(robot.joint_names)
        self._filter = rules.SafetyFilter(
            robot.joint_names,
            robot.limits.effort,
            self._rule_settings(settings),
            TorqueLimitGuard(
                experiment.torque_limit_max if experiment.limit == "fixed" else experiment.torque_limit_min,
                experiment.torque_limit_max,
                iteration=experiment.first_iteration,
                torque_limit=experiment.starting_limit,
            ),
            gate=TimeBoundGate(gate, patience) if gate is not None else None,
            observe=self._view.observe,
            soft_limits=self._task.soft_limits if settings.soft_limits_hold(self._lockstep) else None,
            drive=self._graph.drive(),
            tracks_object=self._graph.tracks_object,
        )
        if self._lockstep and experiment.torque_limit_max > settings.torque_rate_limit * self._task.control_period_s:
            raise ConfigurationError(
                f"lockstep: from torque_limit_max, {experiment.torque_limit_max:g} N·m, to zero must take "
                f"no longer than a control period, {self._task.control_period_s:g} s: raise torque_rate_limit"
            )
        self._standing = StandingCauses(
            self,
            e_stop_lease_s=settings.e_stop_lease,
            permission_lease_s=settings.permission_lease,
            stop=self._on_forbidden,
        )
        self._active = False
        self._state_stamp: int | None = None  # of the newest joint state, ns
        self._answered_ns: int | None = None  # lockstep: stamp of the proposal that is being acted on
        self._waiting: PolicyAction | None = None  # a proposal whose joint state is not here yet
        self._waiting_since = 0
        self._judged: PolicyAction | None = None  # a proposal whose decision waits for the torque of the next cycle
        self._proposal: rules.Proposal | None = None  # its content; None if that was not whole
        self._unreadable = self._misplaced = ""  # why the newest joint state, or pose, was left out
        self._told = (Mode.DISARMED, Reason.NONE, -1, 0.0)  # mode, cause, limit iteration and limit last published
        self._recorded_mode = Mode.DISARMED  # of the last cycle; a stop is recorded where something could move
        self._unrecorded = 0  # reasons of the cycles since the last decision
        self._arrival_ns = self._published_ns = time.monotonic_ns()
        self.add_on_set_parameters_callback(self._on_parameters)

    def _rule_settings(self, settings: FilterSettings) -> rules.FilterSettings:
        return rules.FilterSettings(
            action_timeout_s=settings.action_timeout,
            trip_timeout_s=settings.trip_timeout,
            joint_state_timeout_s=max(settings.joint_state_timeout, self._nominal_period * 2.5),
            frozen_timeout_s=settings.frozen_timeout,
            object_timeout_s=settings.object_timeout,
            object_frozen_timeout_s=settings.object_frozen_timeout,
            state_period_s=self._nominal_period,
            torque_rate_limit=settings.torque_rate_limit,
            clamp=settings.clamp,
            stop_damping=0.0 if self._lockstep else settings.stop_damping,
            stop_damping_time_s=settings.stop_damping_time,
        )

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Shorter timeouts are taken at once, all or none; nothing can be made laxer while the filter runs."""
        values = dataclasses.asdict(self._settings) | {change.name: change.value for change in changes}
        try:
            settings = build(FilterSettings, values, where=self.get_name())
            refusal = self._filter.tighten(self._rule_settings(settings))
        except (ConfigurationError, ValueError) as error:
            refusal = str(error)
        if refusal is None:
            self._settings = settings
        return SetParametersResult(successful=refusal is None, reason=refusal or "")

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Create topics, services and timers."""
        self._commands = self.create_publisher(Float64MultiArray, self._commands_topic, qos.RECORD)
        self._decisions = self.create_publisher(SafetyDecision, "safety_filter/decision", qos.RECORD)
        self._status = self.create_publisher(FilterStatus, "safety_filter/status", qos.LATCHED_RECORD)
        listeners = [Listeners(self, self._commands, COMMANDS, self._nodes)]
        listeners.append(Listeners(self, self._decisions, "safety_filter/decision", self._nodes))
        estimates = (ESTIMATES,) * (self._critic is not None and self._critic.scheduled)
        poses = (object_pose.TOPIC,) * self._graph.tracks_object
        inputs = (PROPOSALS, RESET_PROPOSALS, LIMITS, *estimates, *poses)
        exclusive = (self._commands_topic, "safety_filter/decision", "safety_filter/status", *inputs)
        self._standing.watch(listeners, exclusive, self._task.robot.joint_names)
        self._diagnostics = self.create_publisher(DiagnosticArray, "diagnostics", qos.RECORD)
        self.create_subscription(JointState, "joint_states", self._on_joint_state, qos.STREAM, raw=True)
        if self._graph.tracks_object:
            self.create_subscription(PoseStamped, object_pose.TOPIC, self._on_object_pose, qos.STREAM)
        self.create_subscription(PolicyAction, PROPOSALS, self._on_action, qos.PROPOSALS)
        self.create_subscription(TorqueLimit, LIMITS, self._on_limit, qos.LATCHED)
        if estimates:
            self.create_subscription(UnsafetyEstimate, ESTIMATES, self._on_estimate, qos.LATCHED)
        self.create_subscription(PolicyAction, RESET_PROPOSALS, self._on_reset_action, qos.PROPOSALS)
        self.create_service(SetBool, "safety_filter/arm", self._on_arm)
        self.create_service(SetBool, "safety_filter/arm_reset", self._on_arm_reset)
        self.create_service(Trigger, "safety_filter/reset", self._on_reset)
        self.create_service(Trigger, "safety_filter/trip", self._on_trip)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.01, self._watch, clock=steady)
        self.create_timer(1.0, self._diagnose, clock=steady)
        self._command = Float64MultiArray(data=array("d", bytes(8 * self._n_joints)))
        self._decision = DecisionMessage(self._graph, self._view)
        self._health = FilterHealth()
        # The first line that a process logs costs it 15 ms of processor time, in which no torque is commanded: let that
        # be now, and not when a limit is refused or the arm was just stopped.
        self.get_logger().info(f"at most {self._filter.guard.ceiling:g} N·m; disarmed")
        for refusal in realtime.request(self._settings.realtime_priority, self._settings.lock_memory):
            self.get_logger().warning(refusal)
        gc.disable()  # collected once a second instead, between two cycles, see _diagnose

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
            gc.enable()

    def close(self) -> None:
        """Stop torque before the process ends."""
        self.deactivate()
        self._standing.close()

    def _stop(self) -> None:
        """Publish torques until they are zero; the rate limit makes that a few milliseconds at most."""
        period = round(self._filter.settings.state_period_s * 1e9)
        now = self._now()
        for _ in range(20):
            self._cycle(now)
            if self._filter.stopped or self._filter.damping:  # damping needs the joint states to come
                return
            if self._lockstep:
                now += period  # the robot's time stands still until it gets a command
            else:
                least = float(np.abs(self._filter.applied).max()) / self._settings.torque_rate_limit
                time.sleep(min(period * 1e-9, least + 1e-4))  # no longer than the rate asks for
                now = self._now()

    # What arrives ----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Nanoseconds on the clock that the rules go by: the robot's in lockstep, this machine's otherwise."""
        if not self._lockstep:
            return time.monotonic_ns()
        return self._state_stamp or 0

    def _on_joint_state(self, data: bytes) -> None:
        if not self._active:
            return
        try:
            state = self._states.read(data)
        except JointStateError as error:  # left out, and missed when no good one follows: it moves no clock either
            self._unreadable = f"joint states cannot be used: {error}"
            self.get_logger().error(self._unreadable, throttle_duration_sec=1.0)
            self._filter.reject(Reason.JOINT_STATE_WRONG_JOINTS, self._now())
            return
        self._arrival_ns = time.monotonic_ns()
        self._state_stamp = state.stamp_ns
        now = self._now()
        self._unreadable = ""
        self._filter.observe_state(state.stamp_ns, state.position, state.velocity, now)
        if not self._lockstep:
            self._judge_waiting(now)
        elif not self._under_way():
            self._pair()
            return
        self._cycle(now)
        self._health.time(self._published_ns - self._arrival_ns)

    def _under_way(self) -> bool:
        """Lockstep: whether the newest joint state comes before the one that the next proposal will answer."""
        since, state = self._answered_ns, self._state_stamp
        return since is not None and state is not None and since < state < since + self._control_period_ns

    def _on_object_pose(self, message: PoseStamped) -> None:
        if not self._active:
            return
        problem = object_pose.wrong_frame(message, self._task.robot.base_link)
        if problem:
            self._misplaced = problem
            self._filter.reject(Reason.OBJECT_POSE_STALE, self._now())
            return
        self._misplaced = ""
        stamp_ns, pose = to_ns(message.header.stamp), object_pose.pose_of(message)
        if self._filter.observe_object(stamp_ns, pose, self._now()) is Reason.NONE:
            self._view.see(stamp_ns, pose)
        if self._lockstep:
            self._pair()

    def _on_action(self, message: PolicyAction) -> None:
        if not self._active:
            return
        if self._filter.own_limit is not None:  # a reset move is under way, and the policy has no say in it
            self._filter.reject(Reason.NOT_ARMED, self._now())
            return
        self._arrival_ns = time.monotonic_ns()
        if self._lockstep:
            self._waiting = message
            self._pair()
        else:
            self._take(message)

    def _on_reset_action(self, message: PolicyAction) -> None:
        """The slow move to the start of an episode: bounded like any proposal, and no part of the policy's record."""
        if self._active and self._filter.own_limit is not None:
            self._take(message)

    def _take(self, message: PolicyAction) -> None:
        """Real time: judge a proposal, or let it wait for the joint state it answers."""
        now = self._now()
        self._judge_waiting(now, at_once=True)
        if self._judged is not None:  # two between two joint states: each gets its decision
            self._cycle(now)
        self._waiting, self._waiting_since = message, now
        self._judge_waiting(now)

    def _judge_waiting(self, now: int, *, at_once: bool = False) -> None:
        """Real time: judge the proposal that waits, if its joint state has come or it must not wait any longer.

        A busy machine may well deliver a joint state to the policy sooner than to the filter. Refusing what comes then
        would lose a step of the episode, or its end; acting on it would be acting blindly.
        """
        message, since = self._waiting, self._waiting_since
        if message is None:
            return
        late = (now - since) * 1e-9 > self._settings.action_timeout
        if at_once or late or not self._filter.early(to_ns(message.header.stamp)):
            self._waiting = None
            self._judge(message, now, since)

    def _pair(self) -> None:
        """Lockstep: answer a joint state once its own proposal is here, whichever came first."""
        state, proposal = self._state_stamp, self._waiting
        if state is None or proposal is None or to_ns(proposal.header.stamp) > state or not self._view.ready(state):
            return
        self._waiting = None
        self._answered_ns = state
        now = self._now()
        self._judge(proposal, now)
        self._cycle(now)
        self._health.time(self._published_ns - self._arrival_ns)

    def _judge(self, message: PolicyAction, now: int, received: int | None = None) -> None:
        """Hand one proposal to the rules, its joints matched by name."""
        resetting = self._filter.own_limit is not None
        self._judged = None if resetting else message
        read = read_proposal(message, self._order if resetting else self._action_order)
        if isinstance(read, Reason):
            self._proposal = None
            self._filter.reject(read, now)
        else:
            self._proposal = read
            if read.step == 0 and not resetting:
                self._view.begin(read.episode, read.stamp_ns)
            self._filter.propose(read, now, received)

    def _on_limit(self, message: TorqueLimit) -> None:
        lease = message.lease.sec + message.lease.nanosec * 1e-9
        refusal = self._standing.unbelievable(LIMITS) or self._filter.offer_limit(
            int(message.iteration), float(message.torque_limit), lease, time.monotonic_ns()
        )
        if refusal:
            self.get_logger().error(f"torque limit refused, the old one stands: {refusal}")
            self._tell(accepted=False, message=refusal)
        else:
            self._tell_changes()

    def _on_estimate(self, message: UnsafetyEstimate) -> None:
        assert self._critic is not None  # who else would listen
        if not self._standing.unbelievable(ESTIMATES):
            self._critic.hear(int(message.iteration), float(message.unsafety_rate))

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        return self._set_armed(request, response, None)

    def _on_arm_reset(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Arm for a move to the start of an episode, under its own limit; proposals come from episode_reset then."""
        if self._lockstep or not self._settings.reset_torque_limit:
            return _answer(response, "no moves here: they are for hardware, with reset_torque_limit above 0")
        return self._set_armed(request, response, self._settings.reset_torque_limit)

    def _set_armed(
        self, request: SetBool.Request, response: SetBool.Response, own_limit: float | None
    ) -> SetBool.Response:
        if not self._active:
            return _answer(response, "the filter is not active")
        self._waiting = self._waiting if self._lockstep else None  # of a motion that is over
        self._answered_ns = None
        if request.data:
            if self._critic and self._filter.mode is Mode.DISARMED:
                guard = self._filter.guard
                critic_problem = self._critic.refresh(None if guard.lost else guard.iteration)
                if critic_problem:
                    self.get_logger().error(f"new critic refused: {critic_problem}")
            refusal = self._standing.refusal() or self._filter.arm(self._now(), self._standing.reasons(), own_limit)
            refusal = refusal and "; ".join(filter(None, (refusal, self._unreadable, self._misplaced)))
        else:
            refusal = None
            self._filter.disarm(self._now())
            self._stop()
        self._tell_changes()
        return _answer(response, refusal)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        # Permission is for arming: the supervisor gives none to a filter that is tripped.
        standing = self._standing.reasons(moving=bool(self._filter.cause & Reason.SECOND_PUBLISHER))
        refusal = self._filter.reset(self._now(), standing & ~Reason.NO_PERMISSION)
        self._tell_changes()
        return _answer(response, refusal)

    def _on_trip(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._trip(Reason.OPERATOR_STOP)
        return _answer(response, None)

    def _on_forbidden(self, reason: Reason) -> None:
        """A stop was pressed, which is latched whatever the mode; or permission was withdrawn, which is for motion."""
        moving = self._filter.mode in _MOVING
        if self._active and (moving if reason is Reason.NO_PERMISSION else not self._filter.cause & reason):
            self._trip(reason)

    # What goes out ---------------------------------------------------------------------------------------------------

    def _cycle(self, now: int) -> None:
        """One control cycle: the torque; a decision if a proposal came since the last one or the arm was stopped."""
        torque = self._filter.cycle(now, time.monotonic_ns())
        if self._gravity is not None and self._filter.state_stamp_ns >= 0:
            period_s = min((now - self._carried_ns) * 1e-9, self._filter.settings.state_period_s)
            self._gravity.move(self._filter.position, period_s)
            self._carried_ns = now
            torque = self._gravity.carry(torque)
        self._publish_command(torque)
        self._published_ns = time.monotonic_ns()
        mode, reasons = self._filter.mode, int(self._filter.last_reasons)
        self._health.count(reasons)
        self._unrecorded |= reasons
        if self._judged is not None:
            self._publish_decision(self._filter.verdict, self._proposal)
            self._judged = None
        elif mode is not self._recorded_mode and mode in _STOPPING and self._recorded_mode in _MOVING:
            self._publish_decision(Verdict.STOPPED, None)
        self._recorded_mode = mode
        self._tell_changes()

    def _trip(self, reason: Reason) -> None:
        self._filter.trip(reason, self._now())
        self._stop()

    def _watch(self) -> None:
        """What has to happen although nothing arrives."""
        if not self._active:
            return
        if self._standing.heard_at_last():
            self._tell(accepted=True)
        silent = (time.monotonic_ns() - self._arrival_ns) * 1e-9
        moving = self._filter.mode in _MOVING
        standing = self._standing.reasons(moving=moving)
        # In DISARMED a silent stop button only forbids arming: nothing moves that would have to be stopped.
        new = standing & ~self._filter.cause if moving else standing & ~self._filter.cause & Reason.SECOND_PUBLISHER
        if new:
            self._trip(new)
        elif self._lockstep:
            if moving and silent > self._settings.lockstep_timeout:
                blind = not self._under_way() and not self._view.ready(self._now())
                missing = Reason.OBJECT_POSE_STALE if blind else Reason.JOINT_STATE_STALE
                self._trip(Reason.PROPOSAL_TIMEOUT | missing)
        else:
            now = self._now()
            self._judge_waiting(now)
            if silent > 2.0 * self._filter.settings.state_period_s:
                self._cycle(now)
        self._filter.guard.current(time.monotonic_ns())
        self._tell_changes()

    def _publish_command(self, torque: Array) -> None:
        self._command.data = array("d", torque[self._command_order].tobytes())
        self._commands.publish(self._command)

    def _publish_decision(self, verdict: Verdict, proposal: rules.Proposal | None) -> None:
        self._decisions.publish(
            self._decision.fill(
                self._filter,
                verdict,
                self._unrecorded,
                self._state_stamp or 0,
                answers=self._judged,
                proposal=proposal,
                critic_version=self._critic.version if self._critic else "",
            )
        )
        self._unrecorded = 0
        self._health.decisions += 1

    def _tell_changes(self) -> None:
        """Publish the status if the mode, its cause or the limit has changed since it was last published."""
        guard = self._filter.guard
        if self._told != (self._filter.mode, self._filter.cause, guard.iteration, guard.in_force):
            self._tell(accepted=True, message=describe(self._filter.cause))

    def _tell(self, *, accepted: bool, message: str = "") -> None:
        guard, mode = self._filter.guard, self._filter.mode
        status = status_message(self._filter, accepted=accepted, unheard=self._standing.unheard, text=message)
        status.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(status)
        if mode is Mode.TRIPPED and self._told[0] is not Mode.TRIPPED:
            self.get_logger().error(f"TRIPPED: {message}")
        self._told = (mode, self._filter.cause, guard.iteration, guard.in_force)

    def _diagnose(self) -> None:
        """What an operator's dashboard needs, once a second."""
        beside = self._standing.described() | (self._critic.diagnosis() if self._critic else {})
        message = DiagnosticArray(
            status=[self._health.diagnosis(self._filter, self._now(), self._task.robot.name, beside)]
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        if not gc.isenabled():
            gc.collect(1)


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
