# SPDX-License-Identifier: Apache-2.0
"""safety_filter: the only node that commands torques.

Thin on purpose: every rule is in safety/filter.py, safety/envelope.py and safety/limit_guard.py. Here messages are
matched to joints by name, handed to those rules with a time, and what they answer is published.

Lockstep: the time is the robot's own (joint state stamps), and one command answers one joint state, as soon as the
proposal for that very state is here. Real time: the time is this machine's steady clock, and every joint state is
answered at once with the newest accepted proposal.
"""

from __future__ import annotations

import math
import time
from array import array

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from safe_transfer_msgs.msg import PolicyAction, SafetyDecision, TorqueLimit, TorqueLimitStatus
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
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict
from safe_transfer_ros.tasks.task import make

_EMPTY = array("d")
_STOPPING = (Mode.HOLDING, Mode.TRIPPED)


class SafetyFilter(ManagedNode):
    """Proposals and joint states in; bounded torques and decisions out."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__("safety_filter")
        self._experiment, self._settings = declare(self, ExperimentSettings, FilterSettings)
        self._task = make(self._experiment.task)
        self._lockstep: bool = self._experiment.lockstep
        robot = self._task.robot
        self._order = JointOrder(robot.joint_names)
        self._n_joints = len(robot.joint_names)
        experiment, settings = self._experiment, self._settings
        self._guard = TorqueLimitGuard(
            t_min=experiment.torque_limit_max if experiment.limit == "fixed" else experiment.torque_limit_min,
            ceiling=experiment.torque_limit_max,
            iteration=experiment.first_iteration,
            torque_limit=experiment.starting_limit,
        )
        self._filter = rules.SafetyFilter(
            robot.joint_names,
            robot.limits.effort,
            rules.FilterSettings(
                action_timeout_s=settings.action_timeout,
                trip_timeout_s=settings.trip_timeout,
                # In lockstep time stands still between states: they cannot be late, and one comes per control period.
                joint_state_timeout_s=10.0 if self._lockstep else settings.joint_state_timeout,
                frozen_timeout_s=settings.frozen_timeout,
                state_period_s=self._task.control_period_s if self._lockstep else 0.005,
                torque_rate_limit=settings.torque_rate_limit,
            ),
            self._guard,
        )
        self._active = False
        self._state: JointState | None = None
        self._waiting: PolicyAction | None = None  # lockstep: a proposal whose joint state is not here yet
        self._announce = False  # real time: a proposal was judged; the next cycle's torque completes its decision
        self._last_progress = time.monotonic()

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Create topics, services and timers."""
        self._commands = self.create_publisher(Float64MultiArray, "effort_controller/commands", qos.STREAM)
        self._decisions = self.create_publisher(SafetyDecision, "safety_filter/decision", qos.RECORD)
        self._limit_status = self.create_publisher(TorqueLimitStatus, "safety_filter/active_limit", qos.LATCHED)
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
        self._counts: dict[Reason, int] = {}
        self._steps = 0

    def activate(self) -> None:
        """Accept proposals once armed; tell everyone the limit in force."""
        self._active = True
        self._publish_limit(accepted=True, message="")

    def deactivate(self) -> None:
        """Stop torque first, then silence."""
        if self._active:
            self._filter.disarm(self._now())
            self._publish_command(np.zeros(self._n_joints))
            self._active = False

    def close(self) -> None:
        """Stop torque before the process ends."""
        self.deactivate()

    # Inputs ----------------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Nanoseconds on the clock that the rules go by."""
        if not self._lockstep:
            return time.monotonic_ns()
        return to_ns(self._state.header.stamp) if self._state is not None else 0

    def _on_joint_state(self, message: JointState) -> None:
        if not self._active:
            return
        self._state = message
        self._last_progress = time.monotonic()
        now = self._now()
        try:
            indices = self._order.indices(message.name)
            position = np.frombuffer(message.position)[indices]
            velocity = np.frombuffer(message.velocity)[indices]
        except (JointOrderError, IndexError, ValueError):
            self._filter.reject_state(Reason.JOINT_STATE_WRONG_JOINTS, now)
            return
        self._filter.observe_state(to_ns(message.header.stamp), position, velocity, now)
        self._position, self._velocity = position, velocity
        if self._lockstep:
            self._pair()
        else:
            torque = self._filter.cycle(now)
            self._publish_command(torque)
            if self._announce:
                self._announce = False
                self._publish_decision()

    def _on_action(self, message: PolicyAction) -> None:
        if not self._active:
            return
        self._last_progress = time.monotonic()
        if self._lockstep:
            self._waiting = message
            self._pair()
        else:
            self._judge(message, self._now())
            self._announce = True

    def _pair(self) -> None:
        """Lockstep: answer a joint state once its own proposal is here, whichever came first."""
        state, proposal = self._state, self._waiting
        if state is None or proposal is None or to_ns(proposal.header.stamp) > to_ns(state.header.stamp):
            return
        self._waiting = None
        now = self._now()
        self._judge(proposal, now)
        torque = self._filter.cycle(now)
        # The decision leaves before the command: whoever sees the robot's answer has the decision on its way.
        self._publish_decision()
        self._publish_command(torque)

    def _judge(self, message: PolicyAction, now: int) -> None:
        self._judged = message
        try:
            indices = self._order.indices(message.joint_names)
            effort = np.frombuffer(message.effort)
            mean, stddev = np.frombuffer(message.mean), np.frombuffer(message.stddev)
            if not message.last:
                mean, stddev, effort = mean[indices], stddev[indices], effort[indices]
        except JointOrderError:
            self._reason = self._filter.reject(Reason.PROPOSAL_WRONG_JOINTS, now)
            return
        except (IndexError, ValueError):
            self._reason = self._filter.reject(Reason.PROPOSAL_WRONG_LENGTH, now)
            return
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
        self._reason = self._filter.propose(self._proposal, now)
