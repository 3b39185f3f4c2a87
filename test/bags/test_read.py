# SPDX-License-Identifier: Apache-2.0
"""Reading bags that are whole, cut off, damaged, or written by someone else."""

import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter
from rosbags.typesys import Stores, get_typestore

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag, messages
from safe_transfer_ros.bags.record import BagWriter

JOINT_STATE = "sensor_msgs/msg/JointState"


@pytest.fixture
def bag(tmp_path, joint_state):
    with BagWriter(tmp_path / "bag", chunk_bytes=2048) as writer:
        topic = writer.register("/joint_states", JOINT_STATE)
        text = writer.register("/text", "std_msgs/msg/String")
        for i in range(60):
            writer.write(topic, joint_state(i), 100 + i, 100 + i, i + 1)
            if i % 10 == 0:
                writer.write(text, b"\0\1\0\0\4\0\0\0abc\0", 100 + i, 100 + i)
    return tmp_path / "bag"


def positions(path):
    reader = Bag(path)
    read = [(m.header.stamp.nanosec, m.position[0], t) for _, m, t in reader.messages(["/joint_states"])]
    # Each message is exactly one that was written, in order, none twice.
    assert all(stamp == position == time_ns - 100 for stamp, position, time_ns in read)
    assert [stamp for stamp, _, _ in read] == sorted({stamp for stamp, _, _ in read})
    return [stamp for stamp, _, _ in read], reader.damage[0]


def test_messages_are_decoded_in_order_with_their_times(bag):
    read = list(messages(bag))
    assert len(read) == 66
    assert [topic for topic, _, _ in read][:3] == ["/joint_states", "/text", "/joint_states"]
    topic, message, time_ns = read[0]
    assert message.header.frame_id == "base_link" and message.name[6] == "joint_6" and time_ns == 100
    assert np.array_equal(read[2][1].velocity, np.full(7, 0.5))
    assert read[1][1].data == "abc"


def test_only_the_topics_asked_for(bag):
    assert {topic for topic, _, _ in messages(bag, ["/text"])} == {"/text"}
    assert list(messages(bag, ["/nothing"])) == []


def test_a_single_file_reads_like_its_folder(bag):
    assert len(list(messages(bag / "bag_0.mcap"))) == 66
    (bag / "metadata.yaml").unlink()
    assert len(list(messages(bag))) == 66


def test_whole_bag_is_called_whole(bag):
    stamps, damage = positions(bag)
    assert stamps == list(range(60))
    assert damage.whole and damage.describe() == "bag_0.mcap: whole"


def test_cut_anywhere_gives_a_prefix_and_says_so(bag, tmp_path):
    whole = (bag / "bag_0.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    counts = []
    # Every byte of the beginning, of some chunk borders and of the end; a sample of the rest.
    near = {at + i for at in (0, 4_000, 9_000, len(whole) - 300) for i in range(300)}
    for length in sorted(near | set(range(0, len(whole), 41))):
        cut.write_bytes(whole[:length])
        stamps, damage = positions(cut) if length % 7 == 0 else raw_positions(cut)
        assert stamps == list(range(len(stamps)))
        assert not damage.whole
        assert damage.bytes_lost <= 4096 or damage.closed
        counts.append(len(stamps))
    assert counts == sorted(counts) and counts[-1] == 60 and counts[0] == 0


def test_cut_compressed_bag_gives_a_prefix_and_says_so(tmp_path, joint_state):
    with BagWriter(tmp_path / "bag", chunk_bytes=2048, compression="zstd") as writer:
        topic = writer.register("/joint_states", JOINT_STATE)
        for i in range(60):
            writer.write(topic, joint_state(i), 100 + i, 100 + i, i + 1)
    whole = (tmp_path / "bag" / "bag_0.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    counts = set()
    for length in range(0, len(whole), 37):
        cut.write_bytes(whole[:length])
        stamps, damage = positions(cut)
        assert stamps == list(range(len(stamps))) and not damage.whole
        counts.add(len(stamps))
    assert len(counts) > 5


def raw_positions(path):
    """Like `positions` without decoding, quick enough for every offset."""
    reader = Bag(path)
    read = [r.log_time_ns - 100 for r in reader.recorded(["/joint_states"])]
    return read, reader.damage[0]


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_never_give_a_wrong_message(bag, tmp_path, seed):
    whole = (bag / "bag_0.mcap").read_bytes()
    generator = random.Random(seed)
    damaged = tmp_path / "damaged.mcap"
    lost = 0
    for _ in range(60):
        broken = bytearray(whole)
        # Not the magic bytes, and not the header: those make it another file altogether.
        where = generator.randrange(60, len(whole))
        broken[where] ^= 1 << generator.randrange(8)
        damaged.write_bytes(broken)
        try:
            stamps, damage = positions(damaged)
        except BagError:
            continue
        if len(stamps) < 60:
            lost += 1
            assert not damage.whole
    assert lost > 8


def test_a_damaged_chunk_is_left_out_and_counted(bag):
    path = bag / "bag_0.mcap"
    content = bytearray(path.read_bytes())
    middle = content.index(b"joint_0", len(content) // 3)
    content[middle] ^= 0xFF
    path.write_bytes(content)
    stamps, damage = positions(bag)
    assert damage.chunks_lost == 1
    every = sum(topic.count for topic in Bag(bag).summary())
    assert every + damage.messages_lost == 66 and damage.messages_lost > 3
    assert "1 damaged chunks" in damage.describe()


def test_zeros_at_the_end_are_a_lost_tail(bag, tmp_path):
    whole = (bag / "bag_0.mcap").read_bytes()
    path = tmp_path / "zeros.mcap"
    path.write_bytes(whole[: len(whole) // 2] + bytes(4096))
    stamps, damage = positions(path)
    assert 10 < len(stamps) < 50 and not damage.closed


def test_killed_writer_loses_at_most_its_last_flush(tmp_path):
    program = textwrap.dedent(
        f"""
        import time
        from safe_transfer_ros.bags.record import BagWriter
        writer = BagWriter({str(tmp_path / "bag")!r}, flush_period_s=0.1)
        topic = writer.register("/text", "std_msgs/msg/String")
        i = 0
        while True:
            data = b"%08d" % i
            writer.write(topic, b"\\0\\1\\0\\0\\x09\\0\\0\\0" + data + b"\\0", i, i, i + 1)
            i += 1
            if i % 100 == 0:
                print(i, flush=True)
                time.sleep(0.001)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1.5)
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    written = int(said.splitlines()[-1])
    bag = Bag(tmp_path / "bag")
    texts = [m.data for _, m, _ in bag.messages()]
    assert texts == [f"{i:08d}" for i in range(len(texts))]
    # 0.1 s of messages at the pace they came, with a margin for a busy machine.
    assert len(texts) > 0.7 * written > 500
    assert not bag.damage[0].closed and "not closed" in bag.damage[0].describe()
    assert bag.damage[0].bytes_lost < 70_000


def test_lost_before_recording_is_told_from_the_numbers(tmp_path, joint_state):
    with BagWriter(tmp_path / "bag") as writer:
        topic = writer.register("/joint_states", JOINT_STATE)
        for sequence in (1, 2, 5, 6, 1, 2, 4):  # two lost, publisher started again, one lost
            writer.write(topic, joint_state(0), 10, 10, sequence)
    (summary,) = Bag(tmp_path / "bag").summary()
    assert (summary.count, summary.lost_before_recording) == (7, 3)


def test_bag_of_rosbags_without_checksums(tmp_path, joint_state):
    store = get_typestore(Stores.ROS2_JAZZY)
    with RosbagsWriter(tmp_path / "foreign", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/joint_states", JOINT_STATE, typestore=store)
        for i in range(60):
            writer.write(connection, 100 + i, joint_state(i))
    stamps, damage = positions(tmp_path / "foreign")
    assert stamps == list(range(60)) and damage.whole


@pytest.mark.parametrize("compression", list(CompressionType))
@pytest.mark.parametrize("chunked", [True, False])
def test_bag_of_the_mcap_library(tmp_path, joint_state, compression, chunked):
    path = tmp_path / "foreign.mcap"
    writer = Writer(str(path), chunk_size=3000, compression=compression, use_chunking=chunked)
    writer.start("ros2")
    text = MessageDefinitions().find(JOINT_STATE).text
    channel = writer.register_channel(
        "/joint_states", "cdr", writer.register_schema(JOINT_STATE, "ros2msg", text.encode())
    )
    for i in range(60):
        writer.add_message(channel, 100 + i, joint_state(i), 100 + i)
    writer.finish()
    del writer
    stamps, damage = positions(path)
    assert stamps == list(range(60)) and damage.whole


def test_what_is_no_bag_says_so(tmp_path):
    with pytest.raises(BagError, match="no bag at"):
        Bag(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BagError, match="holds nothing"):
        Bag(tmp_path / "empty")
    wrong = tmp_path / "wrong.mcap"
    wrong.write_bytes(b"SQLite format 3\0")
    with pytest.raises(BagError, match="not an MCAP file"):
        list(messages(wrong))
    (tmp_path / "old.db3").write_bytes(b"")
    with pytest.raises(BagError, match="not a rosbag2 database"):
        list(messages(tmp_path / "old.db3"))
    (tmp_path / "what.bag").write_bytes(b"")
    with pytest.raises(BagError, match="neither an .mcap nor a .db3"):
        Bag(tmp_path / "what.bag")


def test_message_that_does_not_fit_its_definition_is_one_clear_error(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.write(writer.register("/joint_states", JOINT_STATE), b"\0\1\0\0\5", 1, 1)
    with pytest.raises(BagError, match=r"/joint_states .* does not fit its definition"):
        list(messages(tmp_path / "bag"))


def test_several_files_are_read_in_number_order(tmp_path, joint_state):
    folder = tmp_path / "bag"
    for number, index in ((9, 0), (10, 1)):
        with BagWriter(tmp_path / str(number)) as writer:
            writer.write(writer.register("/joint_states", JOINT_STATE), joint_state(index), 100 + index, 1)
        folder.mkdir(exist_ok=True)
        (tmp_path / str(number) / "bag_0.mcap").rename(folder / f"bag_{number}.mcap")
    assert [m.position[0] for _, m, _ in messages(folder)] == [0.0, 1.0]
