# SPDX-License-Identifier: Apache-2.0
"""bag_recorder: every topic of the run as rosbag2 (mcap), unchanged, in the order of arrival.

Whoever publishes is recorded, whatever quality of service it offers. What is offered as our nodes offer it is written
as it arrives. What promises less (best effort, say), and every message of a topic that is heard in any quality, is
looked for some times a second; such a message has the time of its receipt in the bag.
"""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware import qos, topics
from safe_transfer_ros.middleware.diagnostics import Diagnostics, Health
from safe_transfer_ros.middleware.incompatible import IncompatibleMessages, has_incompatible_publisher
from safe_transfer_ros.middleware.numbered import NumberedMessages
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import EXIT_BAD_INPUT, Lifetime, run
from safe_transfer_ros.parameters.bag_recorder import RecorderParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters

LOOK_SECONDS = 0.02
QUIET_SECONDS, QUIET_LOOKS = 0.5, 5  # longer than a writer takes to see that we lack something (config/fastdds.xml)


def _listener(topic: topics.Topic) -> str:
    """Name of the node that listens to a topic for us."""
    return f"bag_recorder_{topic.name.replace('/', '_')}"


class BagRecorder(Node):
    """Subscribes raw and writes raw."""

    def __init__(self, lifetime: Lifetime) -> None:
        """Open the bag, then listen."""
        super().__init__("bag_recorder")
        experiment, settings = declare(self, ExperimentParameters, RecorderParameters)
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
        self._recorded: dict[str, tuple[topics.Topic, int]] = {}  # by its full name, with its number in the bag
        self._looked_for: dict[str, NumberedMessages | IncompatibleMessages] = {}
        for topic in topics.of_controller(experiment.controller):
            if topic.recorded:
                self._record(topic)
        Diagnostics(self, "disk", self._health)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.25, self._flush, clock=steady)
        self.create_timer(LOOK_SECONDS, self._look, clock=steady)

    def _record(self, topic: topics.Topic) -> None:
        profile = [OfferedQos.from_profile(topic.offered)]
        name = self.resolve_topic_name(topic.name)
        topic_id = self._writer.register(name, topic.type_name, profile)
        heard = topic.history if topic.has_history else topic
        self._recorded[self.resolve_topic_name(heard.name)] = (heard, topic_id)
        if topic.any_quality:
            profiles = (qos.RECORD, qos.BEST_EFFORT_RECORD, qos.LATCHED_RECORD)
            self._looked_for[name] = NumberedMessages(self, _listener(topic), topic.kind, name, profiles, raw=True)
            return
        now = time.time_ns

        # With the message info (publication sequence number) rclpy 7.1's EventsExecutor fails on raw subscriptions, so
        # a lost message shows in the steps and stamps instead: `safe_transfer bag check` reads them.
        def on_message(data: bytes) -> None:
            self._write(topic_id, data, now())

        heard.listen(self, on_message, heard.recording, raw=True)

    def _write(self, topic_id: int, data: bytes, received_ns: int) -> None:
        self._heard += 1
        try:
            if not self._failed:
                self._writer.write(topic_id, data, received_ns, received_ns)
        except BagError as error:
            self._fail(error)

    def _look(self) -> None:
        """Write what is not handed to us: see the module."""
        now = time.monotonic_ns()
        for name, messages in self._looked_for.items():
            for one in messages.look(now):
                self._write(self._recorded[name][1], one.message, one.received_ns)

    def _hear_incompatible(self) -> None:
        """Listen to publishers that our subscriptions do not receive."""
        for name, (topic, _) in self._recorded.items():
            if name not in self._looked_for and has_incompatible_publisher(self, name, topic.recording):
                listener = IncompatibleMessages(self, _listener(topic), topic.kind, name, topic.recording)
                self._looked_for[name] = listener
                self.get_logger().info(
                    f"{topic.name}: a publisher promises less than ours; recorded as far as it arrives"
                )

    def _flush(self) -> None:
        self._hear_incompatible()
        try:
            if not self._failed:
                self._writer.flush_if_due()
        except BagError as error:
            self._fail(error)

    def _fail(self, error: BagError) -> None:
        """Stop recording: what cannot be written now will not be written later."""
        self._failed = True
        self._lifetime.end(EXIT_BAD_INPUT, f"bag_recorder: {error}")

    def _health(self) -> Health:
        words = "recording has stopped: it could not be written" if self._failed else "recording"
        lesser = ", ".join(
            sorted(name for name, each in self._looked_for.items() if not self._recorded[name][0].any_quality)
        )
        values = {"messages": str(self._heard), "less_than_promised": lesser or "none"}
        return Health(message=words, failed=self._failed, values=values)

    def leave(self) -> bool:
        """Whether everything received before the request to end is written: nothing more comes for a moment.

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
        for messages in self._looked_for.values():
            messages.close()
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
