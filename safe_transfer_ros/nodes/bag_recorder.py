# SPDX-License-Identifier: Apache-2.0
"""bag_recorder: every topic of the run as rosbag2 (mcap), unchanged, in the order of arrival."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from safe_transfer_msgs.msg import (
    CriticWeights,
    FilterStatus,
    PolicyAction,
    PolicyStatus,
    PolicyWeights,
    SafetyDecision,
    TorqueLimit,
    UnsafetyEstimate,
)
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, String

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware import object_pose, qos
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import EXIT_BAD_INPUT, Lifetime, run
from safe_transfer_ros.middleware.state_publisher import history_of
from safe_transfer_ros.parameters.settings import ExperimentSettings, RecorderSettings

# Topic, type, what its publisher offers, and how deep to listen; besides these, the commands. States that have a
# history are recorded from there: their own topic keeps the newest only, which a stalled recorder could miss.
TOPICS: tuple[tuple[str, type, QoSProfile, QoSProfile], ...] = (
    ("joint_states", JointState, qos.RECORD, qos.RECORD),
    (object_pose.TOPIC, PoseStamped, qos.RECORD, qos.RECORD),
    ("policy_server/action", PolicyAction, qos.RECORD, qos.RECORD),
    ("safety_filter/decision", SafetyDecision, qos.RECORD, qos.RECORD),
    ("safety_filter/e_stop", Bool, qos.STREAM, qos.RECORD),
    ("episode_reset/action", PolicyAction, qos.STREAM, qos.RECORD),
    ("controller_supervisor/status", DiagnosticStatus, qos.LATCHED, qos.LATCHED_RECORD),
    ("safety_filter/status", FilterStatus, qos.LATCHED, qos.LATCHED_RECORD),
    ("unsafety_monitor/torque_limit", TorqueLimit, qos.LATCHED, qos.LATCHED_RECORD),
    ("unsafety_monitor/estimate", UnsafetyEstimate, qos.LATCHED, qos.LATCHED_RECORD),
    ("trainer/policy_weights", PolicyWeights, qos.LATCHED, qos.LATCHED_RECORD),
    ("trainer/critic_weights", CriticWeights, qos.LATCHED, qos.LATCHED_RECORD),
    ("trainer/run_config", String, qos.LATCHED, qos.LATCHED_RECORD),
    ("policy_server/policy_status", PolicyStatus, qos.LATCHED, qos.LATCHED_RECORD),
    ("diagnostics", DiagnosticArray, qos.STREAM, qos.RECORD),
)
WITH_HISTORY = ("controller_supervisor/status", "safety_filter/status")

QUIET_SECONDS, QUIET_LOOKS = 0.5, 5  # longer than a writer takes to see that we lack something (config/fastdds.xml)


class BagRecorder(Node):
    """Subscribes raw and writes raw."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Open the bag, then listen."""
        super().__init__("bag_recorder")
        experiment, settings = declare(self, ExperimentSettings, RecorderSettings)
        if not settings.bag:
            raise ConfigurationError("bag_recorder: parameter 'bag' is missing: name the directory to write")
        self._lifetime = lifetime
        self._heard, self._failed = 0, False  # messages; whether one could not be written
        self._seen, self._quiet_since, self._quiet_looks = -1, 0.0, 0
        self._writer = BagWriter(
            settings.bag,
            compression=settings.compression,
            split_bytes=settings.split_size * 1_000_000,
            split_s=settings.split_time,
        )
        commands = (f"{experiment.controller}/commands", Float64MultiArray, qos.RECORD, qos.RECORD)
        for name, kind, offered, listen in (*TOPICS, commands):
            self._record(name, kind, offered, listen)
        self.create_timer(0.25, self._flush, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _record(self, name: str, kind: type, offered: QoSProfile, listen: QoSProfile) -> None:
        topic = self.resolve_topic_name(name)
        package, message = kind.__module__.split(".")[0], kind.__name__
        profile = [OfferedQos.from_profile(offered)]
        topic_id = self._writer.register(topic, f"{package}/msg/{message}", profile)
        write, now = self._writer.write, time.time_ns

        # With the message info (publication sequence number) rclpy 7.1's EventsExecutor fails on raw subscriptions, so
        # a lost message shows in the steps and stamps instead: `safe_transfer bag check` reads them.
        def on_message(data: bytes) -> None:
            received = now()
            self._heard += 1
            try:
                if not self._failed:
                    write(topic_id, data, received, received)
            except BagError as error:
                self._fail(error)

        heard = history_of(name) if name in WITH_HISTORY else name
        self.create_subscription(kind, heard, on_message, listen, raw=True)

    def _flush(self) -> None:
        try:
            if not self._failed:
                self._writer.flush_if_due()
        except BagError as error:
            self._fail(error)

    def _fail(self, error: BagError) -> None:
        """What cannot be written now will not be written later: each try costs what the last one did."""
        self._failed = True
        self._lifetime.end(EXIT_BAD_INPUT, f"bag_recorder: {error}")

    def leave(self) -> bool:
        """Whether all that had come when the end was asked for is written: nothing more comes for a moment.

        A busy machine may have kept us from what was delivered long ago; by looks as well as by time, because it may
        keep us from running between two looks, too.
        """
        now = time.monotonic()
        if self._heard != self._seen:
            self._seen, self._quiet_since, self._quiet_looks = self._heard, now, 0
        self._quiet_looks += 1
        return self._failed or self._quiet_looks > QUIET_LOOKS and now - self._quiet_since > QUIET_SECONDS

    def close(self) -> None:
        """Write the index, so that stock tools open the bag at once."""
        try:
            self._writer.close()
        except BagError as error:
            self._lifetime.exit_code = EXIT_BAD_INPUT
            print(f"bag_recorder: {error}", flush=True)


def main() -> None:
    """Console entry point."""
    raise SystemExit(run("bag_recorder", BagRecorder, niceness=5))


if __name__ == "__main__":
    main()
