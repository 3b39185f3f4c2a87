# SPDX-License-Identifier: Apache-2.0
"""Recordings of an arm made by other libraries, whole or as badly as a test wants them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
JOINT_STATE, COMMAND = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"
STATES, EFFORTS = "/arm/joint_states", "/arm/effort_command"
JOINTS = ("shoulder", "elbow")
SECOND = 10**9
BEGAN = 1_700_000_000 * SECOND
MAPPING = {
    "joint_states": STATES,
    "commands": EFFORTS,
    "joints": list(JOINTS),
    "rate": 20.0,
    "unsafe": {"joint_speed_above": 0.8},
}

Message = tuple[str, str, int, bytes]  # topic, type, receipt time, serialised


def joint_state(time_ns: int, names: Sequence[str], position: Sequence[float], velocity: Sequence[float]) -> Message:
    stamp = TYPES["builtin_interfaces/msg/Time"](time_ns // SECOND % 2**31, time_ns % SECOND)
    values = [np.array(one, dtype=np.float64) for one in (position, velocity, ())]
    message = TYPES[JOINT_STATE](TYPES["std_msgs/msg/Header"](stamp, ""), list(names), *values)
    return STATES, JOINT_STATE, time_ns, bytes(STORE.serialize_cdr(message, JOINT_STATE))


def command(time_ns: int, values: Sequence[float]) -> Message:
    layout = TYPES["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    message = TYPES[COMMAND](layout, np.array(values, dtype=np.float64))
    return EFFORTS, COMMAND, time_ns, bytes(STORE.serialize_cdr(message, COMMAND))


def arm(seconds: float = 4.0, *, rate: float = 100.0, began: int = BEGAN) -> Iterator[Message]:
    """An arm that swings: joint states, and 2 ms after each a command."""
    for step in range(round(seconds * rate)):
        t = step / rate
        now = began + round(t * 1e9)
        yield joint_state(now, JOINTS, [math.sin(t), math.sin(t + 1)], [math.cos(t), math.cos(t + 1)])
        yield command(now + 2_000_000, [0.1, 0.2])


def write_mcap(
    path: Path,
    messages: Iterable[Message],
    *,
    definitions: dict[str, str] | None = None,
    finish: bool = True,
    compression: CompressionType = CompressionType.NONE,
) -> Path:
    """One .mcap file, in the order given; definitions stand in for the installed ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=8192, compression=compression)
        writer.start(profile="ros2", library="somebody else's")
        channels: dict[str, int] = {}
        for topic, kind, time_ns, data in messages:
            if topic not in channels:
                text = (definitions or {}).get(kind) or STORE.generate_msgdef(kind, ros_version=2)[0]
                schema = writer.register_schema(kind, "ros2msg", text.encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], time_ns, data, time_ns)
        if finish:
            writer.finish()
    return path


def write_metadata(folder: Path, files: Sequence[str], count: int, **more: Any) -> None:
    """A metadata.yaml as rosbag2 writes it."""
    information = {
        "version": 9,
        "storage_identifier": "mcap",
        "message_count": count,
        "topics_with_message_count": [],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": list(files),
    } | more
    text = yaml.safe_dump({"rosbag2_bagfile_information": information})
    (folder / "metadata.yaml").write_text(text)


def split_bag(folder: Path, files: int = 3) -> list[Message]:
    """A recording in several files that say what they hold; the messages in it."""
    messages = list(arm())
    each = len(messages) // files
    names = [f"part_{number}.mcap" for number in range(files)]
    for number, name in enumerate(names):
        write_mcap(folder / name, messages[number * each : (number + 1) * each])
    topics = [
        {"topic_metadata": {"name": topic, "type": kind}, "message_count": each * files // 2}
        for topic, kind in ((STATES, JOINT_STATE), (EFFORTS, COMMAND))
    ]
    write_metadata(folder, names, each * files, topics_with_message_count=topics)
    return messages[: each * files]


def write_mapping(folder: Path, **changes: Any) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (MAPPING | changes).items() if v is not None}))
    return path


_TABLES = """
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, serialization_format TEXT NOT NULL,
  offered_qos_profiles TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
  data BLOB NOT NULL);
"""


def write_db3(path: Path, messages: Iterable[Message], *, tables: str = _TABLES, after: str = "") -> Path:
    """One .db3 file as rosbag2 writes it; `after` are statements that a stranger adds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(tables)
        ids: dict[str, int] = {}
        for topic, kind, time_ns, data in messages:
            if topic not in ids:
                ids[topic] = len(ids) + 1
                database.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '', '')", (ids[topic], topic, kind))
            row = (ids[topic], time_ns, data)
            database.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", row)
        database.executescript(after)
        database.commit()
    return path
