# SPDX-License-Identifier: Apache-2.0
"""What BagWriter leaves on disk, as readers that are not ours see it."""

import errno
import os
import resource
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
import yaml
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter
from safe_transfer_ros.faults import disk

JOINT_STATE = "sensor_msgs/msg/JointState"
QOS = OfferedQos(reliability="best_effort", durability="transient_local", depth=3)


def write(folder, joint_state, count=100, **settings):
    with BagWriter(folder, **settings) as writer:
        topic = writer.register("/joint_states", JOINT_STATE, [QOS])
        for i in range(count):
            writer.write(topic, joint_state(i), 1_000 + i, 900 + i, i + 1)
    return folder


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_rosbags_reads_every_message_and_checks_the_type_hash(tmp_path, joint_state, compression):
    bag = write(tmp_path / "bag", joint_state, 1000, compression=compression)
    with AnyReader([bag]) as reader:
        (connection,) = reader.connections
        assert (connection.topic, connection.msgtype, connection.msgcount) == (
            "/joint_states",
            JOINT_STATE,
            1000,
        )
        assert connection.digest.startswith("RIHS01_")
        assert reader.start_time == 1_000
        read = list(reader.messages())
        assert [stamp for _, stamp, _ in read] == list(range(1_000, 2_000))
        assert reader.deserialize(read[17][2], JOINT_STATE).position[0] == 17.0


def test_mcap_reads_the_index_with_checksums_and_times(tmp_path, joint_state):
    bag = write(tmp_path / "bag", joint_state, 1000)
    with open(bag / "bag_0.mcap", "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        statistics = reader.get_summary().statistics
        assert (statistics.message_count, statistics.message_start_time, statistics.message_end_time) == (
            1000,
            1_000,
            1_999,
        )
        assert statistics.chunk_count > 1
        # Seeking by time needs correct chunk and message indices.
        found = [message for _, _, message in reader.iter_messages(starting_at=1_500, ending_before=1_503)]
    assert [(m.log_time, m.publish_time, m.sequence) for m in found] == [
        (1_500, 1_400, 501),
        (1_501, 1_401, 502),
        (1_502, 1_402, 503),
    ]
    assert found[0].data == joint_state(500)


def test_metadata_speaks_rosbag2_version_9(tmp_path, joint_state):
    bag = write(tmp_path / "bag", joint_state, custom_data={"run": "first"})
    information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["version"] == 9
    assert information["storage_identifier"] == "mcap"
    assert information["relative_file_paths"] == ["bag_0.mcap"]
    assert information["duration"] == {"nanoseconds": 99}
    assert information["files"][0]["message_count"] == information["message_count"] == 100
    assert information["custom_data"] == {"run": "first"}
    assert information["ros_distro"] == "jazzy"
    (topic,) = information["topics_with_message_count"]
    (qos,) = topic["topic_metadata"]["offered_qos_profiles"]
    assert (qos["reliability"], qos["durability"], qos["history"], qos["depth"]) == (
        "best_effort",
        "transient_local",
        "keep_last",
        3,
    )
    assert qos["deadline"] == {"sec": 9223372036, "nsec": 854775807}
    assert "&" not in (bag / "metadata.yaml").read_text()  # no YAML anchors


def test_the_file_alone_carries_qos_and_hash(tmp_path, joint_state):
    bag = write(tmp_path / "bag", joint_state)
    with open(bag / "bag_0.mcap", "rb") as file:
        summary = make_reader(file).get_summary()
    (channel,) = summary.channels.values()
    assert yaml.safe_load(channel.metadata["offered_qos_profiles"])[0]["depth"] == 3
    assert channel.metadata["topic_type_hash"].startswith("RIHS01_")
    assert channel.message_encoding == "cdr"


def test_qos_from_an_rclpy_profile():
    qos = pytest.importorskip("rclpy.qos")
    duration = pytest.importorskip("rclpy.duration")
    profile = qos.QoSProfile(
        depth=5,
        reliability=qos.ReliabilityPolicy.BEST_EFFORT,
        durability=qos.DurabilityPolicy.TRANSIENT_LOCAL,
        deadline=duration.Duration(nanoseconds=1_500_000_000),
    )
    offered = OfferedQos.from_profile(profile)
    assert (offered.reliability, offered.durability, offered.depth) == ("best_effort", "transient_local", 5)
    metadata = offered.as_metadata()
    assert metadata["deadline"] == {"sec": 1, "nsec": 500_000_000}
    assert metadata["lifespan"]["sec"] == 9223372036


def test_metadata_stands_from_the_start_and_names_the_topics(tmp_path):
    writer = BagWriter(tmp_path / "bag")
    writer.register("/joint_states", JOINT_STATE)
    information = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())
    topics = information["rosbag2_bagfile_information"]["topics_with_message_count"]
    assert topics[0]["topic_metadata"]["name"] == "/joint_states"
    writer.close()
    writer.close()  # twice is once
    assert not list((tmp_path / "bag").glob("*.partial"))


def test_a_message_is_on_disk_after_the_flush_period(tmp_path, joint_state):
    writer = BagWriter(tmp_path / "bag", flush_period_s=0.05)
    topic = writer.register("/joint_states", JOINT_STATE)
    writer.write(topic, joint_state(0), 1, 1)
    assert not list(Bag(tmp_path / "bag").messages())
    time.sleep(0.06)
    writer.write(topic, joint_state(1), 2, 2)
    assert len(list(Bag(tmp_path / "bag").messages())) == 2
    writer.write(topic, joint_state(2), 3, 3)
    time.sleep(0.06)
    writer.flush_if_due()
    assert len(list(Bag(tmp_path / "bag").messages())) == 3
    writer.close()


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path, joint_state):
    write(tmp_path / "bag", joint_state)
    before = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    with pytest.raises(BagError, match="not overwritten"):
        BagWriter(tmp_path / "bag")
    assert (tmp_path / "bag" / "bag_0.mcap").read_bytes() == before


def test_unknown_compression_is_refused(tmp_path):
    with pytest.raises(BagError, match="zstd"):
        BagWriter(tmp_path / "bag", compression="gzip")


def test_a_value_that_does_not_fit_leaves_no_trace(tmp_path, joint_state):
    with BagWriter(tmp_path / "bag") as writer:
        topic = writer.register("/joint_states", JOINT_STATE)
        with pytest.raises(Exception, match=r".*"):
            writer.write(topic, joint_state(0), -1, 0)
        writer.write(topic, joint_state(1), 1, 1)
    assert [m.position[0] for _, m, _ in Bag(tmp_path / "bag").messages()] == [1.0]
    with open(tmp_path / "bag" / "bag_0.mcap", "rb") as file:
        assert len(list(make_reader(file).iter_messages())) == 1


class FullDisk:
    """A raw file on which the disk is full after some bytes; takes a part first, as real disks do."""

    def __init__(self, file, room):
        self._file = file
        self.room = room

    def write(self, data):
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self._file.write(bytes(data[: self.room]))
        self.room -= taken
        return taken

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_full_disk_is_one_clear_error_and_what_was_written_stays(tmp_path, joint_state):
    writer = BagWriter(tmp_path / "bag", chunk_bytes=4096)
    topic = writer.register("/joint_states", JOINT_STATE)
    disk = FullDisk(writer._file._file, 10_000)
    writer._file._file = disk
    with pytest.raises(BagError, match=r"cannot write the bag .*bag.*No space left.*Free space"):
        for i in range(1000):
            writer.write(topic, joint_state(i), i, i)
    bag = Bag(tmp_path / "bag")
    kept = [m.position[0] for _, m, _ in bag.messages()]
    assert kept == [float(i) for i in range(len(kept))] and len(kept) > 10
    assert bag.damage[0].bytes_lost == 0  # no half chunk was left behind
    with pytest.raises(BagError, match="No space left"):
        writer.close()
    assert len(list(Bag(tmp_path / "bag").messages())) == len(kept)


def test_a_real_disk_that_fills_up_takes_what_was_in_hand_and_the_index(tmp_path, joint_state):
    if disk.why_not():
        pytest.skip(disk.why_not())
    with disk.SmallDisk(tmp_path, 2_000_000) as small:
        writer = BagWriter(tmp_path / "bag", chunk_bytes=4096)
        topic = writer.register("/joint_states", JOINT_STATE)
        written = 0
        with pytest.raises(BagError, match="No space left"):
            for i in range(100_000):
                if i == 1003:  # in the middle of a chunk
                    small.fill()
                written = i + 1
                writer.write(topic, joint_state(i), i, i)
        writer.close()
        bag = Bag(tmp_path / "bag")
        assert [m.position[0] for _, m, _ in bag.messages()] == [float(i) for i in range(written)]
        assert bag.damage[0].whole and written > 1003


def test_space_that_comes_back_before_the_end_loses_nothing(tmp_path, joint_state):
    writer = BagWriter(tmp_path / "bag", chunk_bytes=4096)
    topic = writer.register("/joint_states", JOINT_STATE)
    disk = FullDisk(writer._file._file, 10_000)
    writer._file._file = disk
    written = 0
    with pytest.raises(BagError, match="No space left"):
        for i in range(1000):
            writer.write(topic, joint_state(i), i, i)
            written = i + 1
    disk.room = 1 << 20
    writer.close()
    bag = Bag(tmp_path / "bag")
    assert [m.position[0] for _, m, _ in bag.messages()][:written] == [float(i) for i in range(written)]
    assert bag.damage[0].whole


def test_a_size_limit_of_the_system_is_reported_like_a_full_disk(tmp_path):
    """The real system call fails, in a process of its own (RLIMIT_FSIZE)."""
    program = textwrap.dedent(
        f"""
        import resource, signal
        from safe_transfer_ros.bags.errors import BagError
        from safe_transfer_ros.bags.record import BagWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = BagWriter({str(tmp_path / "bag")!r})
        topic = writer.register("/text", "std_msgs/msg/String")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            while True:
                writer.write(topic, bytes([0, 1, 0, 0, 4, 0, 0, 0]) + b"abc" + bytes(1), 1, 1)
        except BagError as error:
            print(error)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "cannot write the bag" in done.stdout and "File too large" in done.stdout, done.stderr
    assert all(m.data == "abc" for _, m, _ in Bag(tmp_path / "bag").messages())
    assert Bag(tmp_path / "bag").summary()[0].count > 1000


def test_read_only_place_is_one_clear_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BagError, match="cannot write the bag"):
        BagWriter(blocked / "bag")


def test_recording_is_cheap(tmp_path, joint_state):
    data = joint_state(1)
    with BagWriter(tmp_path / "bag") as writer:
        topic = writer.register("/joint_states", JOINT_STATE)
        best = min(_seconds(writer, topic, data) for _ in range(5))
    assert best / 5_000 < 12e-6  # measured 2 us; the margin is for a busy machine


def _seconds(writer, topic, data):
    before = resource.getrusage(resource.RUSAGE_SELF)
    for i in range(5_000):
        writer.write(topic, data, i, i, i)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_topic_ids_are_their_own(tmp_path, joint_state):
    with BagWriter(tmp_path / "bag") as writer:
        first = writer.register("/a", JOINT_STATE)
        second = writer.register("/b", JOINT_STATE)
        writer.write(second, joint_state(2), 5, 5)
        writer.write(first, joint_state(1), 6, 6)
        assert writer.message_count == 2
    read = [(topic, m.position[0]) for topic, m, _ in Bag(tmp_path / "bag").messages()]
    assert read == [("/b", 2.0), ("/a", 1.0)]
    assert SimpleNamespace(**{s.topic[1:]: s.count for s in Bag(tmp_path / "bag").summary()}).a == 1
