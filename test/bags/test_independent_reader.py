# SPDX-License-Identifier: Apache-2.0
"""Our bags read by Foxglove's own reader (mcap, mcap-ros2-support), which shares no code with rosbags or with ours."""

from __future__ import annotations

import numpy as np
import pytest
from decision_bags import TOPIC, whole, write
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from synthetic_run import Messages

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.tasks.task import make

TASK = make("pr2_cup_swirl")


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}], ids=["plain", "zstd"])
def test_another_reader_finds_the_same_messages_with_the_same_content(tmp_path, options):
    data = whole(Messages(), TASK, 3, 20)
    bag = write(tmp_path / "bag", data, **options)
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary, theirs = reader.get_summary(), list(reader.iter_decoded_messages())
    assert summary.statistics.message_count == len(data)
    assert {channel.topic for channel in summary.channels.values()} == {TOPIC}
    ours = list(messages(bag))
    assert len(theirs) == len(ours) == len(data)
    for (_, channel, record, said), (topic, own, time_ns) in zip(theirs, ours, strict=True):
        assert (channel.topic, record.log_time) == (topic, time_ns)
        assert said.header.stamp.sec == own.header.stamp.sec and said.header.stamp.nanosec == own.header.stamp.nanosec
        assert list(said.joint_names) == list(own.joint_names) and said.critic_version == own.critic_version
        for name in ("iteration", "episode", "step", "last", "verdict", "reasons", "torque_limit", "policy_version"):
            assert getattr(said, name) == getattr(own, name), name
        for name in ("position", "velocity", "observation", "proposed_mean", "proposed_effort", "applied_effort"):
            np.testing.assert_array_equal(getattr(said, name), getattr(own, name))
