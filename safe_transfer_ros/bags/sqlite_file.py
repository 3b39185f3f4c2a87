# SPDX-License-Identifier: Apache-2.0
"""Reads rosbag2's other storage, sqlite3 (.db3), the way `scan` reads MCAP: what is whole, and a count of the rest."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from mcap.records import Channel, Schema
from rosbags.typesys import Stores, TypesysError, get_typestore

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.scan import Contents, Damage, RawMessage
from safe_transfer_ros.bounds import LATEST_NS, RECORD_BYTES, TOPICS

_MAGIC = b"SQLite format 3\0"
_AT_ONCE = 256
_MESSAGE = ("id", "topic_id", "timestamp", "data")


def scan_sqlite(
    path: Path, contents: Contents, damage: Damage, wanted: Container[str] | None = None
) -> Iterator[list[RawMessage]]:
    """Messages of one .db3 file in the order they were recorded, some at a time; see `scan.scan`.

    Definitions stand in the file since ROS 2 Iron; in older ones they are taken from this machine. The order is that of
    the rows, not of their times: a clock that was set back must not lay what came after over what came before.

    Raises:
      BagError: if the file cannot be opened or is not a rosbag2 database.
    """
    try:
        with path.open("rb") as file:  # a regular file: see `folder`
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise BagError(f"cannot open the bag {path}: {error.strerror or error}") from error
    if start != _MAGIC[: len(start)]:
        raise BagError(f"{path} is not an sqlite3 database (its first bytes are {start[:8]!r})")
    # Read-only: a journal left by a recorder that was killed must not be played back into somebody's recording.
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    found: list[RawMessage] = []
    try:
        _bound(database)
        topics = _topics(database, contents, path)
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
        for topic_id, time_ns, data in rows:
            whole = type(topic_id) is int and topic_id in topics and isinstance(data, bytes)
            if not whole or type(time_ns) is not int or not 0 <= time_ns <= LATEST_NS:
                damage.messages_lost += 1
                continue
            contents.messages += 1
            if wanted is None or topics[topic_id] in wanted:
                found.append(RawMessage(topic_id, 0, time_ns, time_ns, data))
            if len(found) == _AT_ONCE:
                yield found
                found = []
        # What a recorder that was killed had written beside its file is not played back, and so is lost to us.
        beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
        damage.closed = damage.indexed = not any(file.exists() and file.stat().st_size for file in beside)
    except sqlite3.DatabaseError:
        # Pages that are missing or torn; sqlite does not say how much was on them.
        damage.chunks_lost += 1
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        raise BagError(f"{path} cannot be read: {error}") from None
    finally:
        database.close()
    yield found  # also what came before a torn page


def _bound(database: sqlite3.Connection) -> None:
    """Let no value be longer than a record may be, and none be made up while it is read."""
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 11):
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, RECORD_BYTES)


def _columns(database: sqlite3.Connection, path: Path) -> dict[str, set[str]]:
    """Tables that hold what was stored and nothing that is computed, with their columns.

    A generated column, a view or a virtual table gives as much data as its formula says, whatever the file's size.
    """
    tables: dict[str, set[str]] = {}
    for name in ("topics", "messages", "message_definitions"):
        query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
        declared = database.execute(query, (name,)).fetchone()
        if declared is None:
            continue
        columns = database.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
        if any(hidden for _, hidden in columns) or str(declared[0]).lstrip()[:14].upper() == "CREATE VIRTUAL":
            raise BagError(f"{path}: the table {name} has computed columns, as no recorder makes them")
        tables[name] = {str(column) for column, _ in columns}
    return tables


def _topics(database: sqlite3.Connection, contents: Contents, path: Path) -> dict[int, str]:
    tables = _columns(database, path)
    lacking = [
        f"{table}.{column}"
        for table, names in (("topics", ("id", "name", "type", "serialization_format")), ("messages", _MESSAGE))
        for column in names
        if column not in tables.get(table, ())
    ]
    if not {"topics", "messages"} <= set(tables):
        raise BagError(f"{path} is not a rosbag2 database: it lacks the tables topics and messages")
    if lacking:
        raise BagError(f"{path} is not a rosbag2 database: it lacks {', '.join(lacking)}")
    described: dict[str, tuple[str, str]] = {}
    if {"topic_type", "encoding", "encoded_message_definition"} <= tables.get("message_definitions", set()):
        query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions LIMIT ?"
        for name, encoding, text in database.execute(query, (TOPICS,)):
            if all(isinstance(value, str) for value in (name, encoding, text)):
                described[name] = (encoding, text)
    topics: dict[int, str] = {}
    # Recorders before ROS 2 Foxy knew no QoS, those before Iron no hash.
    qos, digest = (
        column if column in tables["topics"] else "''" for column in ("offered_qos_profiles", "type_description_hash")
    )
    query = f"SELECT id, name, type, serialization_format, {qos}, {digest} FROM topics LIMIT ?"
    for topic_id, name, type_name, encoding, *told in database.execute(query, (TOPICS,)):
        if type(topic_id) is not int or not all(isinstance(value, str) for value in (name, type_name, encoding)):
            raise BagError(f"{path}: a topic's id is not a number, or its name, type or format is not text")
        language, text = described.get(type_name) or ("ros2msg", _definition(type_name))
        if text:
            contents.schemas[topic_id] = Schema(id=topic_id, data=text.encode(), encoding=language, name=type_name)
        contents.channels[topic_id] = Channel(
            id=topic_id, topic=name, message_encoding=encoding, metadata=_metadata(*told), schema_id=topic_id
        )
        topics[topic_id] = name
    return topics


def _metadata(qos: Any, digest: Any) -> dict[str, str]:
    """Metadata of a topic from its columns, by the names in an mcap file."""
    # QoS that is no text is as little readable as a text that is no QoS: whoever reads it says so.
    return {"offered_qos_profiles": str(qos), "topic_type_hash": digest if isinstance(digest, str) else ""}


@lru_cache(maxsize=256)
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
