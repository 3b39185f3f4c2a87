# SPDX-License-Identifier: Apache-2.0
"""unsafety_monitor: measures how unsafe the arm has been and says how much torque it may have next.

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
from sensor_msgs.msg import JointState

from safe_transfer_ros.middleware import object_pose, qos
from safe_transfer_ros.middleware.joint_states_heard import JointStatesHeard
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import Lifetime, run
from safe_transfer_ros.middleware.publishers import second_publisher
from safe_transfer_ros.middleware.stamps import to_ns
from safe_transfer_ros.parameters.settings import ExperimentSettings, MonitorSettings
from safe_transfer_ros.record.iteration import iteration_estimate
from safe_transfer_ros.record.recompute import account
from safe_transfer_ros.safety.limit.torque_limit import TorqueLimitGovernor, unfit_update
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger
from safe_transfer_ros.tasks.deployment import in_graph

WEIGHTS = "trainer/policy_weights"


class UnsafetyMonitor(Node):
    """Accounts for joint states and decisions, iteration by iteration."""

    def __init__(self) -> None:
        """Publish the starting limit; from then on events drive it."""
        super().__init__("unsafety_monitor")
        experiment, settings = declare(self, ExperimentSettings, MonitorSettings)
        self._graph = in_graph(experiment.task)
        self._states = JointStatesHeard(self, self._graph.task.robot.joint_names)
        self._unsafety = self._graph.unsafety_reader(experiment.seed)
        self._ledger = UnsafetyLedger(self._graph.task.unsafety_limit, torque_actions=self._graph.torques)
        self._governor = TorqueLimitGovernor(
            experiment.governor(settings),
            iteration=experiment.first_iteration,
            torque_limit=experiment.starting_limit,
        )
        self._settings = settings
        self._closing: PolicyWeights | None = None  # the update whose iteration waits for its last data
        self._closing_since = 0.0
        self._limits = self.create_publisher(TorqueLimit, "unsafety_monitor/torque_limit", qos.LATCHED)
        self._estimates = self.create_publisher(UnsafetyEstimate, "unsafety_monitor/estimate", qos.LATCHED)
        self.create_subscription(JointState, "joint_states", self._on_joint_state, qos.RECORD, raw=True)
        if self._graph.tracks_object:
            self.create_subscription(PoseStamped, object_pose.TOPIC, self._on_object_pose, qos.RECORD)
        self.create_subscription(SafetyDecision, "safety_filter/decision", self._on_decision, qos.RECORD)
        self.create_subscription(PolicyWeights, WEIGHTS, self._on_weights, qos.LATCHED)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(settings.lease / 4, self._publish_limit, clock=steady)
        self.create_timer(0.02, self._close_if_complete, clock=steady)
        self._publish_limit()

    def close(self) -> None:
        """Nothing to undo: without renewals the lease runs out and the filter falls back to T_min."""

    def _on_joint_state(self, data: bytes) -> None:
        state = self._states.read(data, time.monotonic_ns())
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
        account(self._ledger, message)
        self._account(self._unsafety.decision(to_ns(message.header.stamp), int(message.episode)))

    def _on_weights(self, message: PolicyWeights) -> None:
        if message.version <= self._governor.iteration:  # the policy a run starts from: no iteration behind it
            return
        if self._closing is not None and self._closing.version == message.version:  # said again: no longer wait
            return
        refusal = second_publisher(self, WEIGHTS) or unfit_update(message, self._governor.iteration)
        if refusal:
            self.get_logger().error(f"weights version {message.version} refused, the limit stays: {refusal}")
            return
        self._closing, self._closing_since = message, time.monotonic()
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
            totals = self._ledger.close(iteration)
            step = self._governor.take(
                totals,
                kl=float(update.kl),
                kl_bound=float(update.kl_bound),
                limit_change=self._graph.limit_change(totals.limited),
            )
        except ValueError as error:
            self.get_logger().error(f"weights version {update.version} refused, the limit stays: {error}")
            return
        if totals.missing:
            self.get_logger().error(f"iteration {iteration}: {totals.missing} joint states missing, counted as unsafe")
        if self._governor.may_break_loose(totals.standstill_rate):
            self.get_logger().warning(
                f"iteration {iteration}: in {sum(totals.stood_still)} of {len(totals.stood_still)} episodes a joint "
                "that was asked for torque stood still. Should it break loose now, D_safe may be broken; nothing here "
                "predicts that (unsafety_monitor.standstill: unsafe would count such episodes as unsafe)"
            )
        row = iteration_estimate(
            step, totals, policy_version=int(update.version) - 1, steps=int(update.steps), kl=float(update.kl)
        )
        estimate = UnsafetyEstimate(d_safe=self._governor.settings.d_safe, **dataclasses.asdict(row))
        estimate.header.stamp = self.get_clock().now().to_msg()
        self._estimates.publish(estimate)
        self._publish_limit()

    def _publish_limit(self) -> None:
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
