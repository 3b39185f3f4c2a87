# SPDX-License-Identifier: Apache-2.0
"""unsafety_monitor: measures the unsafety rate of the arm and publishes its next torque limit.

Its view of the arm is its own: forward kinematics on /joint_states, never the policy's observation. After each
iteration it publishes the estimate (PSPT Eq. 22-32) and the next torque limit (Eq. 16), and renews the limit's lease.
"""

from __future__ import annotations

import dataclasses
import time

from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from safe_transfer_msgs.msg import PolicyWeights, SafetyDecision, TorqueLimit, UnsafetyEstimate

from safe_transfer_ros.middleware import bounded, clock, object_pose, qos, topics
from safe_transfer_ros.middleware.diagnostics import Diagnostics, Health
from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard
from safe_transfer_ros.middleware.listeners import Listeners, all_missing
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.parameters.experiment import ExperimentParameters
from safe_transfer_ros.parameters.unsafety_monitor import MonitorParameters
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import MAX_MESSAGE_BYTES, WeightsError
from safe_transfer_ros.record.accounting import account
from safe_transfer_ros.record.iteration import iteration_estimate
from safe_transfer_ros.record.policy_shift import policy_shift, updated_policy
from safe_transfer_ros.record.returns import ReturnsHeard
from safe_transfer_ros.safety.limit import standstill
from safe_transfer_ros.safety.limit.governor import TorqueLimitGovernor, unfit_update
from safe_transfer_ros.safety.limit.unsafety import LedgerTotals, UnsafetyLedger
from safe_transfer_ros.tasks.deployment import in_graph


class UnsafetyMonitor(Node):
    """Accounts for joint states and decisions, iteration by iteration."""

    def __init__(self) -> None:
        """Publish the starting limit when those who must hear it do; from then on events drive it."""
        super().__init__("unsafety_monitor")
        experiment, settings = declare(self, ExperimentParameters, MonitorParameters)
        self._graph = in_graph(experiment.task, experiment.robot_overrides)
        self._states = JointStatesHeard(self, self._graph.task.robot.joint_names)
        self._unsafety = self._graph.unsafety_reader(experiment.seed)
        settings.check_actions(self._graph.torques)
        self._rule = experiment.governor(settings)
        self._ledger = UnsafetyLedger(
            self._graph.task.unsafety_limit,
            torque_actions=self._graph.torques,
            observations=self._rule.needs_shift,
        )
        self._governor = TorqueLimitGovernor(
            self._rule,
            iteration=experiment.first_iteration,
            torque_limit=experiment.starting_limit,
            memory=settings.benefit_memory,
        )
        # Nobody's word is needed for the returns: they follow from the filter's record, as everybody could tell.
        self._returns = ReturnsHeard(self._graph.task, self._graph.action_names) if self._rule.benefit else None
        self._warnings: list[str] = []  # of the newest closed iteration, or of the start
        if self._rule.start_is_unsafe and experiment.first_iteration == 0:
            self._warn(
                f"allow_unsafe_start: begins with {experiment.initial_torque_limit:g} N·m, above D_safe "
                f"{experiment.d_safe:g}; if every step is unsafe, the first iteration exceeds the damage bound"
            )
        if self._rule.benefit and experiment.first_iteration > 0 and not settings.benefit_memory:
            self._warn("benefit: nothing is known of the iterations before this session; the rule starts anew")
        self._settings = settings
        self._closing: PolicyWeights | None = None  # the update whose iteration waits for its last data
        self._updated: GaussianPolicy | None = None  # its policy, where the rule looks at it
        self._closing_since = 0.0
        self._doubt = ""  # why some decision heard may not be the filter's; it stays: nobody can tell which
        self._limits = topics.TORQUE_LIMIT.advertise(self)
        self._estimates = topics.UNSAFETY_ESTIMATE.advertise(self)
        published = ((self._limits, topics.TORQUE_LIMIT), (self._estimates, topics.UNSAFETY_ESTIMATE))
        self._listeners = [Listeners(self, each, topic, experiment.nodes) for each, topic in published]
        self._unheard = all_missing(self._listeners)
        Diagnostics(self, self._graph.task.robot.name, self._health)
        topics.JOINT_STATES.listen(self, self._on_joint_state, qos.RECORD, raw=True)
        if self._graph.tracks_object:
            bounded.listen(self, topics.OBJECT_POSE, self._on_object_pose, profile=qos.RECORD)
        bounded.listen(self, topics.DECISIONS, self._on_decision)
        bounded.listen(self, topics.POLICY_WEIGHTS, self._on_weights, max_bytes=MAX_MESSAGE_BYTES)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(settings.lease / 4, self._publish_limit, clock=steady)
        self.create_timer(0.02, self._look, clock=steady)
        if not self._unheard:
            self._publish_limit()

    def close(self) -> None:
        """Do nothing: without renewals the lease runs out and the filter falls back to its floor."""

    def _on_joint_state(self, data: bytes) -> None:
        state = self._states.read(data, clock.now_ns())
        if state is None:  # should no good one follow, it is missing, which counts as unsafe
            return
        self._ledger.add_position(state.stamp_ns, state.position)
        self._account(self._unsafety.states((state.stamp_ns,), state.position[None]))

    def _on_object_pose(self, message: PoseStamped) -> None:
        problem = object_pose.wrong_frame(message, self._graph.task.robot.base_link)
        if problem:  # left out: states that no pose follows are missing
            self.get_logger().error(problem, throttle_duration_sec=5.0)
            return
        self._account(self._unsafety.pose(to_ns(message.header.stamp), object_pose.pose_of(message)))

    def _account(self, told: list[tuple[int, float]]) -> None:
        for stamp_ns, unsafety in told:
            self._ledger.add_state(stamp_ns, unsafety)

    def _on_decision(self, message: SafetyDecision) -> None:
        if not self._doubt:
            self._doubt = second_publisher(self, topics.DECISIONS.name) or ""
        account(self._ledger, message)
        if self._returns is not None:
            self._returns.add(message)
        self._account(self._unsafety.decision(to_ns(message.header.stamp), int(message.episode)))

    def _on_weights(self, message: PolicyWeights) -> None:
        if message.version <= self._governor.iteration:  # the policy a run starts from: no iteration behind it
            return
        if self._closing is not None and self._closing.version == message.version:  # said again: no longer wait
            return
        refusal = second_publisher(self, topics.POLICY_WEIGHTS.name) or unfit_update(message, self._governor.iteration)
        if refusal:
            self._refuse(message, refusal)
            return
        try:
            self._updated = updated_policy(message) if self._rule.needs_shift else None
        except WeightsError as error:
            self._refuse(message, error)
            return
        self._closing, self._closing_since = message, time.monotonic()
        self._close_if_complete()

    def _refuse(self, update: PolicyWeights, why: object) -> None:
        refused = f"weights version {update.version} refused, the limit stays: {why}"
        self.get_logger().error(refused, throttle_duration_sec=1.0)

    def _look(self) -> None:
        """Publish the starting limit as soon as it is heard, and close an iteration when its last data are here."""
        if self._unheard:
            self._unheard = all_missing(self._listeners)
            if self._unheard:
                self.get_logger().info(f"no limit yet: {self._unheard}", throttle_duration_sec=5.0, skip_first=True)
                return
            self._publish_limit()
        self._close_if_complete()

    def _close_if_complete(self) -> None:
        update = self._closing
        if update is None:
            return
        iteration = int(update.iteration)
        waited = time.monotonic() - self._closing_since
        if not self._ledger.complete(iteration, int(update.steps)) and waited < self._settings.data_timeout:
            return
        self._closing = None
        try:
            if self._doubt:
                raise ValueError(f"{self._doubt}; start the monitor again and resume the run once there is one")
            totals = self._ledger.close(iteration, self._governor.torque_limit)
            step = self._governor.take(
                totals,
                kl=float(update.kl),
                kl_bound=float(update.kl_bound),
                returns=None if self._returns is None else self._returns.close(iteration, int(update.steps)),
                shift=None if self._updated is None else policy_shift(totals, self._updated),
                limit_change=self._graph.limit_change(totals.limited),
            )
        except ValueError as error:
            self._refuse(update, error)
            return
        self._judge(totals, step.torque_limit)
        row = iteration_estimate(
            step, totals, policy_version=int(update.version) - 1, steps=int(update.steps), kl=float(update.kl)
        )
        estimate = UnsafetyEstimate(d_safe=self._rule.d_safe, **dataclasses.asdict(row))
        estimate.header.stamp = self.get_clock().now().to_msg()
        self._estimates.publish(estimate)
        self._publish_limit()

    def _judge(self, totals: LedgerTotals, torque_limit: float) -> None:
        """Say what a person should know of a closed iteration."""
        self._warnings = []
        iteration = totals.iteration
        if totals.missing:
            self._warnings.append(f"iteration {iteration}: {totals.missing} joint states missing, counted as unsafe")
            self.get_logger().error(self._warnings[-1])
        if totals.lowered:
            self._warn(
                f"iteration {iteration}: {totals.lowered} steps were not under {torque_limit:g} N·m but a lower "
                "limit: the lease was lost, or the damage budget spent"
            )
        if self._returns is not None and self._returns.problem:
            self._warn(f"iteration {iteration}: returns not known, the limit does not rise: {self._returns.problem}")
        if self._governor.may_break_loose(totals.standstill_rate):
            still = standstill.warning(sum(totals.stood_still), len(totals.stood_still))
            self._warn(f"iteration {iteration}: {still}")

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self.get_logger().warning(text)

    def _health(self) -> Health:
        """Warnings that stand, and why the limit does not rise: a log is read by nobody while a run is up."""
        waiting = [f"no limit yet: {self._unheard}"] if self._unheard else []
        held = [f"torque limit {self._governor.held}"] if self._governor.held else []
        return Health(
            message="; ".join([*waiting, *self._warnings, *held]) or "no warning of the newest iteration",
            attention=bool(waiting or self._warnings),
            values={"iteration": str(self._governor.iteration)},
        )

    def _publish_limit(self) -> None:
        if self._unheard:
            return
        limit = TorqueLimit(
            iteration=self._governor.iteration,
            torque_limit=self._governor.torque_limit,
            lease=Duration(seconds=self._settings.lease).to_msg(),
        )
        limit.header.stamp = self.get_clock().now().to_msg()
        self._limits.publish(limit)


def main() -> None:
    """Console entry point."""

    def create(lifetime: Lifetime) -> UnsafetyMonitor:
        return UnsafetyMonitor()

    raise SystemExit(run("unsafety_monitor", create))


if __name__ == "__main__":
    main()
