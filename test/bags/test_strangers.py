# SPDX-License-Identifier: Apache-2.0
"""Recordings made to hang, to fill the memory or to crash: each ends in one line, within seconds and megabytes."""

from __future__ import annotations

import os
import resource
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign_files import (
    BEGAN,
    EFFORTS,
    JOINT_STATE,
    JOINTS,
    STATES,
    STORE,
    arm,
    command,
    joint_state,
    split_bag,
    write_db3,
    write_mapping,
    write_mcap,
    write_metadata,
)

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.foreign import write_foreign_transitions
from safe_transfer_ros.bags.message_types import type_store
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.recording_map import read_mapping
from safe_transfer_ros.bags.transition_store import Transitions
from safe_transfer_ros.bounds import DEFINITION_BYTES, DEFINITION_DEPTH
from safe_transfer_ros.safety.joint_order import JointOrder

SEPARATOR = "=" * 80 + "\n"
MOST_JOINTS = JointOrder.MAX_NAMES


@pytest.fixture(autouse=True)
def within_bounds() -> Iterator[None]:
    """Every test here takes seconds, and less than 1.5 GB more than there was."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 1_500_000_000, before[1]))
    began = time.process_time()
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.process_time() - began < 20.0


def refused(path: Path, line: str, *, topics: list[str] | None = None) -> None:
    with pytest.raises(BagError, match=line) as error:
        list(Bag(path).messages(topics))
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


# Files that are none ------------------------------------------------------------------------------------------------


def test_pipes_in_a_recording_are_not_waited_for(tmp_path):
    messages = split_bag(tmp_path / "bag")
    os.mkfifo(tmp_path / "bag" / "part_9.mcap")
    assert len(list(Bag(tmp_path / "bag").recorded())) == len(messages)
    (tmp_path / "bag" / "part_1.mcap").unlink()
    os.mkfifo(tmp_path / "bag" / "part_1.mcap")
    bag = Bag(tmp_path / "bag")
    bag.summary()
    assert any("part_1.mcap: metadata.yaml names this file" in text for text in bag.losses())
    refused(tmp_path / "bag" / "part_1.mcap", "is not a regular file")
    (tmp_path / "bag" / "metadata.yaml").unlink()
    os.mkfifo(tmp_path / "bag" / "metadata.yaml")
    refused(tmp_path / "bag", "metadata.yaml is a pipe, socket or device: a regular file is expected")


def test_metadata_with_an_alias_bomb_is_refused(tmp_path):
    split_bag(tmp_path / "bag")
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    (tmp_path / "bag" / "metadata.yaml").write_text(bomb + "rosbag2_bagfile_information: *a9\n")
    refused(tmp_path / "bag", "metadata.yaml holds more than 200000 values, its aliases written out")


@pytest.mark.parametrize(
    "wrong",
    [
        {"relative_file_paths": {"a": 1}},
        {"relative_file_paths": [["part_0.mcap"], 3, None]},
        {"message_count": "many", "topics_with_message_count": [3, {"topic_metadata": 3}, {"message_count": [1]}]},
        {"custom_data": ["lost"]},
        {"topics_with_message_count": {"topic_metadata": {"name": 3}}},
    ],
    ids=range(5),
)
def test_metadata_of_wrong_types_does_no_harm(tmp_path, wrong):
    messages = split_bag(tmp_path / "bag")
    try:
        write_metadata(tmp_path / "bag", ["part_0.mcap"], len(messages), **wrong)
        bag = Bag(tmp_path / "bag")
        assert sum(topic.count for topic in bag.summary()) == len(messages)
        assert all("\n" not in text for text in bag.losses())
    except BagError as error:
        assert "\n" not in str(error)


# Chunks that grow ---------------------------------------------------------------------------------------------------


def with_chunk(path: Path, compression: str, stored: bytes, size: int, records: bytes = b"") -> Path:
    """An .mcap file with one chunk that says of itself what a stranger wants."""
    name = compression.encode()
    body = struct.pack("<QQQI", 0, 0, size, zlib.crc32(records) if records else 0)
    body += struct.pack("<I", len(name)) + name + struct.pack("<Q", len(stored)) + stored
    header = struct.pack("<BQ", 1, 8) + struct.pack("<II", 0, 0)
    end = struct.pack("<BQI", 15, 4, 0) + struct.pack("<BQQQI", 2, 20, 0, 0, 0)
    magic = b"\x89MCAP0\r\n"
    path.write_bytes(magic + header + struct.pack("<BQ", 6, len(body)) + body + end + magic)
    return path


def lost(path: Path) -> Bag:
    bag = Bag(path)
    assert list(bag.recorded()) == []
    assert not bag.damage[0].whole and len(bag.losses()) == 1
    return bag


def zstd_frame(size: int, told: int | None = None) -> bytes:
    """A frame of zeros, four bytes for 128 KiB of them, and the size that its header tells."""
    descriptor, size_told = (0, b"") if told is None else (3 << 6, struct.pack("<Q", told))
    head = struct.pack("<IBB", 0xFD2FB528, descriptor, 7 << 3) + size_told  # window of 128 KiB
    run = 1 << 17
    blocks = size // run
    repeated = (1 << 1 | run << 3).to_bytes(3, "little") + b"\0"
    last = (1 | 1 << 1 | run << 3).to_bytes(3, "little") + b"\0"
    return head + repeated * (blocks - 1) + last


def test_the_frame_is_one(tmp_path):
    path = with_chunk(tmp_path / "zeros.mcap", "zstd", zstd_frame(2**20), 2**20)
    bag = Bag(path)
    assert list(bag.recorded()) == [] and bag.damage[0].chunks_lost == 0, "a megabyte is taken in"


@pytest.mark.parametrize("told", [10, 6 * 2**30], ids=["a size that is too small", "the size it grows to"])
@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_a_chunk_that_grows_to_gigabytes_is_refused(tmp_path, kind, told):
    import lz4.frame

    block = bytes(2**24)
    if kind == "zstd":
        stored = zstd_frame(6 * 2**30)
        assert len(stored) < 200_000
    else:
        with lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB) as compressor:
            stored = compressor.begin() + b"".join(compressor.compress(block) for _ in range(128)) + compressor.flush()
    bag = lost(with_chunk(tmp_path / "bomb.mcap", kind, stored, told))
    assert (bag.damage[0].chunks_lost, bag.damage[0].chunks_refused) == ((1, 0) if told == 10 else (0, 1))


def test_a_zstd_frame_that_tells_another_size_is_not_given_room_for_it(tmp_path):
    lost(with_chunk(tmp_path / "bomb.mcap", "zstd", zstd_frame(2**21, told=4 * 2**30), 2**20))


def test_small_chunks_that_expand_a_thousandfold_cannot_be_strung_together(tmp_path):
    import zstandard

    records = bytes(20 * 2**20)
    stored = zstandard.ZstdCompressor().compress(records)
    assert len(stored) * 1000 < len(records)
    bag = lost(with_chunk(tmp_path / "bomb.mcap", "zstd", stored, len(records), records))
    assert bag.damage[0].chunks_refused == 1 and "of a size that no recorder makes" in bag.damage[0].describe()


def test_a_record_of_gigabytes_is_not_read_into_memory(tmp_path):
    path = write_mcap(tmp_path / "sparse.mcap", list(arm(0.1)), finish=False)
    size = path.stat().st_size
    with path.open("r+b") as file:  # an attachment of 4 GiB that takes no room on the disk
        file.seek(size)
        file.write(struct.pack("<BQ", 9, 4 * 2**30))
        file.truncate(size + 9 + 4 * 2**30)
        file.seek(0, 2)
        file.write(struct.pack("<BQ", 6, 2 * 2**30))
        file.truncate(size + 18 + 6 * 2**30)
    bag = Bag(path)
    list(bag.recorded())
    assert bag.damage[0].chunks_refused == 1


# Databases that make things up --------------------------------------------------------------------------------------

HEADER = "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT{});"
HEADER += "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB{});"


def test_columns_that_are_computed_are_refused(tmp_path):
    rows = f"INSERT INTO topics VALUES (1, '{STATES}', '{JOINT_STATE}', 'cdr');"
    messages = rows + "INSERT INTO messages(id, topic_id, timestamp) VALUES (1, 1, 1);"
    grown = HEADER.replace("data BLOB{}", "data BLOB GENERATED ALWAYS AS (zeroblob(900000000))").format("")
    refused(write_db3(tmp_path / "a.db3", [], tables=grown + messages), "the table messages has computed columns")
    grown = HEADER.replace("name TEXT", "name TEXT GENERATED ALWAYS AS (hex(zeroblob(400000000)))", 1).format("", "")
    rows = f"INSERT INTO topics(id, type, serialization_format) VALUES (1, '{JOINT_STATE}', 'cdr');"
    refused(write_db3(tmp_path / "b.db3", [], tables=grown + rows), "the table topics has computed columns")


def test_a_view_is_no_table(tmp_path):
    tables = HEADER.partition(";")[0].format("") + ";"
    tables += "CREATE VIEW messages AS SELECT 1 id, 1 topic_id, 1 timestamp, zeroblob(900000000) data;"
    refused(write_db3(tmp_path / "a.db3", [], tables=tables), "not a rosbag2 database")


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("INSERT INTO topics VALUES (1, NULL, 't', 'cdr');", "not text"),
        ("INSERT INTO topics VALUES (1, 'a', x'ff00', 'cdr');", "not text"),
        ("DROP TABLE messages; CREATE TABLE messages(id INTEGER, data BLOB);", "lacks messages.topic_id"),
    ],
)
def test_databases_of_wrong_types_are_one_line(tmp_path, rows, line):
    refused(write_db3(tmp_path / "a.db3", [], tables=HEADER.format("", "") + rows), line)


def test_rows_of_wrong_types_are_left_out_and_counted(tmp_path):
    strange = "".join(
        f"INSERT INTO messages(topic_id, timestamp, data) VALUES ({row});"
        for row in ("'x', 1, x'00'", "1, 'soon', x'00'", "1, 1, 'text'", "7, 1, x'00'", "1, -5, x'00'", "1, 1.5, x'00'")
    )
    bag = Bag(write_db3(tmp_path / "a.db3", arm(0.1), after=strange))
    assert sum(topic.count for topic in bag.summary()) == 20
    assert bag.damage[0].messages_lost == 6 and not bag.damage[0].whole


# Message definitions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sensor_msgs/JointState inside\n", "holds itself"),
        ("x/A a\n" + SEPARATOR + "MSG: x/A\nx/B b\n" + SEPARATOR + "MSG: x/B\nx/A[] a\n", "holds itself"),
        (
            "x/A[100000] a\n" + SEPARATOR + "MSG: x/A\nx/E[100000] e\n" + SEPARATOR + "MSG: x/E\n",
            "more than 20000 fields",
        ),
        ("string[4000000000] a\n", "more than 20000 fields"),
        ("float64[0] a\n", "is an array of 0 elements"),
        (
            "x/T0 t\n"
            + "".join(f"{SEPARATOR}MSG: x/T{i}\nx/T{i + 1} a\nx/T{i + 1} b\n" for i in range(25))
            + SEPARATOR
            + "MSG: x/T25\nint8 a\n",
            "more than 20000 fields",
        ),
        (
            "x/T0 t\n"
            + "".join(f"{SEPARATOR}MSG: x/T{i}\nx/T{i + 1} a\n" for i in range(DEFINITION_DEPTH + 2))
            + SEPARATOR
            + f"MSG: x/T{DEFINITION_DEPTH + 2}\nint8 a\n",
            f"nested more than {DEFINITION_DEPTH} deep",
        ),
        ("x/Unknown a\n", "uses the type x/msg/Unknown and does not define it"),
        ("int32 A=" + "9" * 10_000 + "\n", "cannot be parsed"),
        ("$$$\n\x1b[2J\n", "cannot be parsed"),
        ("#" * (DEFINITION_BYTES + 1), f"longer than {DEFINITION_BYTES} bytes"),
        ("", "has no field 'name'|does not fit"),
    ],
    ids=range(12),
)
def test_definitions_that_cannot_be_used_are_one_line(tmp_path, text, line):
    path = write_mcap(tmp_path / "one.mcap", arm(0.1), definitions={JOINT_STATE: text or "int8 nothing\n"})
    if text:
        refused(path, line, topics=[STATES])
    with pytest.raises(BagError, match=line):
        write_foreign_transitions(Bag(path), read_mapping(write_mapping(tmp_path)), tmp_path / "out")


@pytest.mark.parametrize("text", ["(" * 5_000, "module a { " * 3_000, "module a { struct B { long double q; }; };"])
def test_idl_that_cannot_be_used_is_one_line(text):
    with pytest.raises(BagError) as error:
        type_store("ros2idl", "a/msg/B", text.encode())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 1, 7, 40, 100])
def test_a_message_that_is_cut_off_is_one_line(tmp_path, length):
    messages = list(arm(0.1))
    messages[4] = (*messages[4][:3], messages[4][3][:length])
    refused(write_mcap(tmp_path / "one.mcap", messages), "does not fit its definition", topics=[STATES])


# Messages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "left_out"), [(30_000, 10), (MOST_JOINTS + 1, 10), (MOST_JOINTS, 0)])
def test_joint_states_of_very_many_joints_are_left_out(tmp_path, count, left_out):
    names, zeros = [f"joint_{i}" for i in range(count - 2)], [0.0] * count
    big = [joint_state(BEGAN + k * 10**8 + 1, [*names, *JOINTS], zeros, zeros) for k in range(10)]
    messages = sorted([*arm(2.0), *big], key=lambda message: message[2])
    bag = Bag(write_mcap(tmp_path / "one.mcap", messages))
    _, counts = write_foreign_transitions(bag, read_mapping(write_mapping(tmp_path)), tmp_path / "out")
    assert counts.unusable_states == left_out and counts.transitions == 39


def test_a_mapping_names_no_more_joints_than_a_message_may(tmp_path):
    names = [f"joint_{i}" for i in range(MOST_JOINTS + 1)]
    assert read_mapping(write_mapping(tmp_path, joints=names[1:])).joints == tuple(names[1:])
    with pytest.raises(BagError, match="joints"):
        read_mapping(write_mapping(tmp_path, joints=names))


def test_topics_of_another_kind_are_one_line(tmp_path):
    text = STORE.types["std_msgs/msg/String"](data="\x1b[2J")
    data = bytes(STORE.serialize_cdr(text, "std_msgs/msg/String"))
    odd = [(STATES, "std_msgs/msg/String", BEGAN + k, data) for k in range(3)]
    path = write_mcap(tmp_path / "one.mcap", [*odd, command(BEGAN + 5, [0.0, 0.0])])
    with pytest.raises(BagError, match="has no field 'name'") as error:
        write_foreign_transitions(Bag(path), read_mapping(write_mapping(tmp_path)), tmp_path / "out")
    assert "\n" not in str(error.value)
    swapped = read_mapping(write_mapping(tmp_path, joint_states=EFFORTS, commands=STATES))
    with pytest.raises(BagError, match="has no field"):
        write_foreign_transitions(Bag(write_mcap(tmp_path / "two.mcap", arm(0.1))), swapped, tmp_path / "out")


@pytest.mark.parametrize("about", ["[1]", "{}", '{"count": "x"}', '{"count": -1}', "[" * 100_000, "\xff"], ids=range(6))
def test_transitions_of_a_stranger_are_one_line(tmp_path, about):
    (tmp_path / "about.json").write_bytes(about.encode("latin-1"))
    with pytest.raises(BagError, match="is damaged") as error:
        Transitions(tmp_path)
    assert "\n" not in str(error.value)
