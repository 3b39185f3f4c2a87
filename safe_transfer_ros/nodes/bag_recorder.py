# SPDX-License-Identifier: Apache-2.0
"""bag_recorder: every topic of the run as rosbag2 (mcap), unchanged, in the order of arrival."""

from __future__ import annotations

import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.middleware import topics
from safe_transfer_ros.middleware.parameters import declare
from safe_transfer_ros.middleware.process import EXIT_BAD_INPUT, Lifetime, run
from safe_transfer_ros.parameters.bag_recorder import RecorderParameters
from safe_transfer_ros.parameters.experiment import ExperimentParameters

QUIET_SECONDS, QUIET_LOOKS = 0.5, 5  # longer than a writer takes to see that we lack something (config/fastdds.xml)


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
        for topic in topics.of_controller(experiment.controller):
            if topic.recorded:
                self._record(topic)
        self.create_timer(0.25, self._flush, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _record(self, topic: topics.Topic) -> None:
        profile = [OfferedQos.from_profile(topic.offered)]
        topic_id = self._writer.register(self.resolve_topic_name(topic.name), topic.type_name, profile)
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

        heard = topic.history if topic.has_history else topic
        heard.listen(self, on_message, heard.recording, raw=True)

    def _flush(self) -> None:
        try:
            if not self._failed:
                self._writer.flush_if_due()
        except BagError as error:
            self._fail(error)

    def _fail(self, error: BagError) -> None:
        """Stop recording: what cannot be written now will not be written later."""
        self._failed = True
        self._lifetime.end(EXIT_BAD_INPUT, f"bag_recorder: {error}")

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
