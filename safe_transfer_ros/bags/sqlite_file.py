# SPDX-License-Identifier: Apache-2.0
"""Reads rosbag2's other storage, sqlite3 (.db3), the way `scan` reads MCAP: what is whole, and a count of the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator
from pathlib import Path

from mcap.records import Channel, Schema
from rosbags.typesys import Stores, TypesysError, get_typestore

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.scan import Contents, Damage, RawMessage

_MAGIC = b"SQLite format 3\0"
_AT_ONCE = 256


def scan_sqlite(
    path: Path, contents: Contents, damage: Damage, wanted: Container[str] | None = None
) -> Iterator[list[RawMessage]]:
    """Messages of one .db3 file in the order they were recorded, some at a time; see `scan.scan`.

    Definitions stand in the file since ROS 2 Iron; in older ones they are taken from this machine.

    Raises:
      BagError: if the file cannot be opened or is no rosbag2 database.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise BagError(f"cannot open the bag {path}: {error.strerror or error}") from error
    if start != _MAGIC[: len(start)]:
        raise BagError(f"{path} is not an sqlite3 database (its first bytes are {start[:8]!r})")
    # Read-only: a journal left by a recorder that was killed must not be played back into somebody's recording.
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    found: list[RawMessage] = []
    try:
        topics = _topics(database, contents, path)
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp, id")
        for topic_id, time_ns, data in rows:
            if wanted is None or topics.get(topic_id) in wanted:
                if topic_id not in topics or not isinstance(data, bytes):
                    damage.messages_lost += 1
                else:
                    found.append(RawMessage(topic_id, 0, time_ns, time_ns, data))
            if len(found) == _AT_ONCE:
                yield found
                found = []
        damage.closed = damage.indexed = True
    except sqlite3.DatabaseError:
        # Pages that are missing or torn; sqlite does not say how much was on them.
        damage.chunks_lost += 1
    finally:
        database.close()
    yield found  # also what came before a torn page


def _topics(database: sqlite3.Connection, contents: Contents, path: Path) -> dict[int, str]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"topics", "messages"} <= tables:
        raise BagError(f"{path} is not a rosbag2 database: it lacks the tables topics and messages")
    described: dict[str, tuple[str, str]] = {}
    if "message_definitions" in tables:
        for name, encoding, text in database.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        ):
            described[name] = (encoding, text)
    topics: dict[int, str] = {}
    for topic_id, name, type_name, encoding in database.execute(
        "SELECT id, name, type, serialization_format FROM topics"
    ):
        language, text = described.get(type_name) or ("ros2msg", _definition(type_name))
        if text:
            contents.schemas[topic_id] = Schema(id=topic_id, data=text.encode(), encoding=language, name=type_name)
        contents.channels[topic_id] = Channel(
            id=topic_id, topic=name, message_encoding=encoding, metadata={}, schema_id=topic_id
        )
        topics[topic_id] = name
    return topics


def _definition(type_name: str) -> str:
    """A definition that the file lacks: an installed one, else the one of ROS 2 Jazzy's common messages."""
    try:
        return MessageDefinitions().find(type_name).text
    except BagError:
        pass
    try:
        return str(get_typestore(Stores.ROS2_JAZZY).generate_msgdef(type_name, ros_version=2)[0])
    except (TypesysError, KeyError):
        return ""
