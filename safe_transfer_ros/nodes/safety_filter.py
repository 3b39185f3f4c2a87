# SPDX-License-Identifier: Apache-2.0
"""safety_filter: the only node that commands torques.

Thin on purpose: every rule is in safety/filter/ (which proposal is judged when: control_loop.py) and
safety/limit/guard.py. Here messages are matched to joints by name, handed to those rules with a time, and what they
answer is published.

In the steady state nothing here logs or builds what lives longer than the call.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from safe_transfer_msgs.msg import CriticWeights, PolicyAction, TorqueLimit, UnsafetyEstimate
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from safe_transfer_ros import realtime
from safe_transfer_ros.configuration import ConfigurationError, build, seconds
from safe_transfer_ros.critics.gate import CriticGate
from safe_transfer_ros.critics.time_bound_gate import TimeBoundGate
from safe_transfer_ros.middleware import bounded, clock, object_pose, topics
from safe_transfer_ros.middleware.filter_health import FilterHealth
from safe_transfer_ros.middleware.filter_messages import CRITIC_REFUSED, DecisionMessage, read_proposal
from safe_transfer_ros.middleware.filter_rules import filter_rules
from safe_transfer_ros.middleware.filter_status import FilterStatusPublisher
from safe_transfer_ros.middleware.incompatible import unheard
from safe_transfer_ros.middleware.joint_state_reader import JointStateError, JointStateReader, OtherJointStateError
from safe_transfer_ros.middleware.lifecycle import ManagedNode
from safe_transfer_ros.middleware.listeners import Listeners
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.middleware.standing_causes import StandingCauses
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.safety_filter import FilterParameters
from safe_transfer_ros.safety.critic.gate import Gate
from safe_transfer_ros.safety.filter.control_loop import ControlLoop, Decision
from safe_transfer_ros.safety.joint_order import JointOrder
from safe_transfer_ros.safety.reasons import Mode, Reason
from safe_transfer_ros.tasks.deployment import in_graph

Array = npt.NDArray[np.float64]

_LARGEST_CRITIC = 4 * 1024 * 1024  # bytes: what is larger would hold the control loop up while it is read


class SafetyFilterNode(ManagedNode):
    """Proposals and joint states in; bounded torques and decisions out."""

    def __init__(self, gate: Gate | None = None) -> None:
        """Declare parameters.

        Args:
          gate: Safety critic; by default the one that is sent, where parameter `critic` requires one. It gets a thread
            of its own and `critic_timeout` for an answer.
        """
        super().__init__("safety_filter")
        experiment, settings = declare(self, ExperimentParameters, FilterParameters)
        self._settings = settings
        self._graph = in_graph(experiment.task, experiment.robot_overrides)
        self._task = self._graph.task
        self._lockstep: bool = experiment.lockstep
        self._view = self._graph.view(experiment.seed, lockstep=self._lockstep)
        self._nodes = experiment.nodes
        self._controller = experiment.controller
        self._critic: CriticGate | None = None
        if gate is None and settings.critic == "required":
            gate = self._critic = CriticGate(self._graph, settings, seed=experiment.seed)
        # In lockstep the robot's time stands still while the critic thinks: a busy machine must not change the run.
        patience = max(settings.critic_timeout, settings.lockstep_timeout if self._lockstep else 0.0)
        robot = self._task.robot
        self._order = JointOrder(robot.joint_names)
        self._action_order = JointOrder(self._graph.action_names)
        self._states = JointStateReader(robot.joint_names)
        self._command_order = JointOrder(experiment.command_joints(robot.joint_names)).indices(robot.joint_names)
        self._n_joints = len(robot.joint_names)
        bounded_gate = TimeBoundGate(gate, patience) if gate is not None else None
        self._filter = filter_rules(experiment, settings, self._graph, self._view, bounded_gate)
        self._loop = ControlLoop(
            self._filter,
            self._view,
            self._publish,
            lockstep=self._lockstep,
            control_period_s=self._task.control_period_s,
            lockstep_timeout_s=settings.lockstep_timeout,
        )
        self._standing = StandingCauses(
            self,
            e_stop_lease_s=seconds(settings.e_stop_lease),
            permission_lease_s=seconds(settings.permission_lease),
            stop=self._on_forbidden,
        )
        self._active = False
        self._unreadable = self._misplaced = ""  # why the newest joint state, or pose, was left out
        self._published_ns = clock.now_ns()
        self.add_on_set_parameters_callback(self._on_parameters)

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Shorter timeouts are taken at once, all or none; nothing can be made laxer while the filter runs."""
        values = dataclasses.asdict(self._settings) | {change.name: change.value for change in changes}
        try:
            settings = build(FilterParameters, values, where=self.get_name())
            refusal = self._filter.tighten(
                settings.rule_settings(lockstep=self._lockstep, state_period_s=self._filter.settings.state_period_s)
            )
        except (ConfigurationError, ValueError) as error:
            refusal = str(error)
        if refusal is None:
            self._settings = settings
        return SetParametersResult(successful=refusal is None, reason=refusal or "")

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Create topics, services and timers."""
        commands = topics.commands(self._controller)
        self._commands = commands.advertise(self)
        self._decisions = topics.DECISIONS.advertise(self)
        self._status = FilterStatusPublisher(
            self,
            self._filter,
            unheard=lambda: self._standing.unheard,
            arm=lambda: self._standing.arm,
            critic_version=lambda: self._critic.offered_version if self._critic else "",
        )
        listeners = [Listeners(self, self._commands, commands, self._nodes)]
        listeners.append(Listeners(self, self._decisions, topics.DECISIONS, self._nodes))
        listeners.append(self._status.listeners(self._nodes))
        own = (commands, topics.DECISIONS, topics.FILTER_STATUS, topics.FILTER_STATUS.history)
        listened = self._listen()
        self._inputs = (topics.JOINT_STATES, *listened)
        exclusive = [topic.name for topic in (*own, *listened)]
        self._standing.watch(listeners, exclusive, self._task.robot.joint_names)
        self.keep(self._standing)
        self._diagnostics = topics.DIAGNOSTICS.advertise(self)
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
        # What is done for the first time, diagnostics and a log line, takes 15 ms in which no torque is commanded: let
        # that be now, and not when a limit is refused or the arm was just stopped.
        self._health.warm(self._filter)
        self.get_logger().info(f"at most {self._filter.guard.ceiling:g} N·m; disarmed", throttle_duration_sec=1.0)
        for refusal in realtime.request(self._settings.realtime_priority, self._settings.lock_memory):
            self.get_logger().warning(refusal)
        gc.disable()  # collected once a second instead, between two cycles, see _diagnose

    def _listen(self) -> list[topics.Topic]:
        """Listen to the robot, the policy and the monitor; returns the topics that one node at most may publish."""
        topics.JOINT_STATES.listen(self, self._on_joint_state, raw=True)
        heard: list[tuple[topics.Topic, Callable[[Any], None], dict[str, Any]]] = [
            (topics.PROPOSALS, self._on_action, {"refused": self._on_unread_action}),
            (topics.RESET_PROPOSALS, self._on_reset_action, {"refused": self._on_unread_action}),
            (topics.TORQUE_LIMIT, self._on_limit, {}),
        ]
        if self._graph.tracks_object:
            heard.append((topics.OBJECT_POSE, self._on_object_pose, {}))
        if self._critic is not None:
            heard.append((topics.CRITIC_WEIGHTS, self._on_critic, {"max_bytes": _LARGEST_CRITIC}))
        if self._critic is not None and self._critic.scheduled:
            heard.append((topics.UNSAFETY_ESTIMATE, self._on_estimate, {}))
        for topic, take, options in heard:
            bounded.listen(self, topic, take, **options)
        return [topic for topic, _, _ in heard]

    def activate(self) -> None:
        """Accept proposals once armed; tell everyone the limit in force."""
        self._active = True
        self._status.tell(accepted=True)

    def deactivate(self) -> None:
        """Stop torque first, then silence."""
        if self._active:
            self._trip(Reason.SHUTDOWN)
            self._active = False
            gc.enable()

    def close(self) -> None:
        """Stop torque before the process ends."""
        self.deactivate()
        self.release()

    def _stop(self) -> None:
        """Publish torques until they are zero; the rate limit makes that a few milliseconds at most."""
        for turn in range(20):
            pause_s = self._loop.stop(clock.now_ns(), turn)
            if pause_s is None:
                return
            time.sleep(pause_s)

    # What arrives ----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Nanoseconds on the clock that the rules go by: the robot's in lockstep, this machine's otherwise."""
        return self._loop.time(clock.now_ns())

    def _on_joint_state(self, data: bytes) -> None:
        if not self._active:
            return
        arrival_ns = clock.now_ns()
        try:
            state = self._states.read(data)
        except OtherJointStateError:  # a gripper's: nothing of ours is wrong
            self._health.of_others += 1
            return
        except JointStateError as error:  # left out, and missed when no good one follows: it moves no clock either
            self._unreadable = f"joint states cannot be used: {error}"
            self.get_logger().error(self._unreadable, throttle_duration_sec=1.0)
            self._loop.unusable_joint_state(arrival_ns)
            return
        self._unreadable = ""
        self._loop.joint_state(state.stamp_ns, state.position, state.velocity, arrival_ns)
        self._health.time_since(arrival_ns, self._published_ns)

    def _on_object_pose(self, message: PoseStamped) -> None:
        if not self._active:
            return
        now = clock.now_ns()
        problem = object_pose.wrong_frame(message, self._task.robot.base_link)
        if problem:
            self._misplaced = problem
            self._loop.reject(Reason.OBJECT_POSE_STALE, now)
            return
        self._misplaced = ""
        stamp_ns, pose = to_ns(message.header.stamp), object_pose.pose_of(message)
        if self._loop.object_pose(stamp_ns, pose, now) is Reason.NONE:
            self._view.see(stamp_ns, pose)
        self._loop.sighted(now)

    def _on_action(self, message: PolicyAction) -> None:
        if not self._active:
            return
        arrival_ns = clock.now_ns()
        self._loop.propose(read_proposal(message, self._action_order), arrival_ns)
        if self._lockstep:
            self._health.time_since(arrival_ns, self._published_ns)

    def _on_unread_action(self, error: bounded.MessageError) -> None:
        """Process an oversized or unreadable proposal: the one before stays in force until it is too old."""
        self.get_logger().error(f"a proposal was not read: {error}", throttle_duration_sec=1.0)
        if self._active and error.oversized:
            self._loop.reject(Reason.PROPOSAL_WRONG_LENGTH, clock.now_ns())

    def _on_reset_action(self, message: PolicyAction) -> None:
        """The slow move to the start of an episode: bounded like any proposal, and no part of the policy's record."""
        if self._active:
            self._loop.propose_motion(read_proposal(message, self._order), clock.now_ns())

    def _on_limit(self, message: TorqueLimit) -> None:
        lease = message.lease.sec + message.lease.nanosec * 1e-9
        refusal = self._standing.unbelievable(topics.TORQUE_LIMIT.name) or self._loop.offer_limit(
            int(message.iteration), float(message.torque_limit), lease, clock.now_ns()
        )
        if refusal:
            self.get_logger().error(f"torque limit refused, the old one stands: {refusal}", throttle_duration_sec=1.0)
            self._status.tell(accepted=False, message=refusal)
        else:
            self._status.tell_changes()

    def _on_critic(self, message: CriticWeights) -> None:
        """Check a critic now; it is taken when the filter is armed next."""
        assert self._critic is not None  # who else would listen
        refusal = self._standing.unbelievable(topics.CRITIC_WEIGHTS.name) or self._critic.offer(
            bytes(message.data), message.sha256
        )
        if refusal:
            refusal = f"{CRITIC_REFUSED}, {self._critic.offered_version or 'none'} stays: {refusal}"
            self.get_logger().error(refusal, throttle_duration_sec=1.0)
        self._status.tell(accepted=not refusal, message=refusal or "")

    def _on_estimate(self, message: UnsafetyEstimate) -> None:
        assert self._critic is not None  # who else would listen
        if not self._standing.unbelievable(topics.UNSAFETY_ESTIMATE.name):
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
        if request.data:
            problem: str | None = self._standing.refusal()
            if self._critic:
                if self._filter.mode is Mode.DISARMED:
                    guard = self._filter.guard
                    self._critic.refresh(None if guard.lost else guard.iteration)
                if own_limit is None:  # a move to the start is not a policy's: no critic judges it
                    problem = problem or self._critic.missing
            refusal = problem or self._loop.arm(clock.now_ns(), self._standing.reasons(), own_limit)
            others = f"{self._health.of_others} joint states name no joint of ours" if self._health.of_others else ""
            if refusal:
                beside = (self._unreadable, others, self._misplaced, unheard(self, self._inputs))
                refusal = "; ".join(filter(None, (refusal, *beside)))
        else:
            refusal = None
            self._loop.disarm(clock.now_ns())
            self._stop()
        self._status.tell_changes()
        return _answer(response, refusal)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        # Permission is for arming: the supervisor gives none to a filter that is tripped.
        standing = self._standing.reasons(moving=bool(self._filter.cause & Reason.SECOND_PUBLISHER))
        refusal = self._filter.reset(self._now(), standing & ~Reason.NO_PERMISSION)
        self._status.tell_changes()
        return _answer(response, refusal)

    def _on_trip(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._trip(Reason.OPERATOR_STOP)
        return _answer(response, None)

    def _on_forbidden(self, reason: Reason) -> None:
        """Process a pressed stop, which is latched in any mode, or what concerns motion only.

        An arm that stopped itself is named in a trip that it brought about by way of the supervisor's permission, too:
        which of the two comes first is chance.
        """
        named = reason is Reason.ARM_STOPPED and self._filter.mode is Mode.TRIPPED
        matters = self._filter.moving or reason is Reason.OPERATOR_STOP or named
        if self._active and matters and not self._filter.cause & reason:
            self._trip(reason)

    # What goes out ---------------------------------------------------------------------------------------------------

    def _publish(self, command: Array, decision: Decision | None) -> None:
        """Publish the result of the rules: a torque, and a decision where there is one."""
        self._command.data = array("d", command[self._command_order].tobytes())
        self._commands.publish(self._command)
        self._published_ns = clock.now_ns()
        self._health.count(int(self._filter.last_reasons))
        if decision is not None:
            version = self._critic.version if self._critic else ""
            self._decisions.publish(self._decision.fill(self._filter, decision, version))
            self._health.decisions += 1
        self._status.tell_changes()

    def _trip(self, reason: Reason) -> None:
        self._filter.trip(reason, self._now())
        self._stop()

    def _watch(self) -> None:
        """Run the periodic checks that no message triggers."""
        if not self._active:
            return
        if self._standing.heard_at_last():
            self._status.tell(accepted=True)
        standing, cause = self._standing.reasons(moving=self._filter.moving), self._filter.cause
        # In DISARMED a silent stop button only forbids arming: nothing moves that would have to be stopped.
        new = standing & ~cause if self._filter.moving else standing & ~cause & Reason.SECOND_PUBLISHER
        new = new or self._loop.watch(clock.now_ns())
        if new:
            self._trip(new)
        self._filter.guard.current(clock.now_ns())
        self._status.tell_changes()

    def _diagnose(self) -> None:
        """Publish diagnostics for an operator's dashboard, once per second."""
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

    def create(lifetime: Lifetime) -> SafetyFilterNode:
        node = SafetyFilterNode()
        node.bring_up()
        return node

    raise SystemExit(run("safety_filter", create))


if __name__ == "__main__":
    main()
