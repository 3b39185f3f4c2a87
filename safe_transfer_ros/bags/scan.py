# SPDX-License-Identifier: Apache-2.0
"""Reads an MCAP file front to back and gives what is whole, whatever happened to its end.

A recording that was cut off has no index, so none is used: records are walked in the order they were
written. A chunk is given only if all of it is there and its checksum holds. What is not given is
counted in a `Damage`; nothing that could be wrong is ever given.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, Schema
from mcap.stream_reader import ReadDataStream
from mcap.writer import MCAP0_MAGIC

from safe_transfer_ros.bags.errors import BagError

_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<BQHIQQ")
_CHUNK_FIXED = struct.Struct("<QQQI")


class RawMessage(NamedTuple):
    """A message as recorded: its channel, times in ns, the publisher's number, serialised data."""

    channel: int
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: bytes


@dataclass(kw_only=True)
class Damage:
    """What could not be read of one file.

    Attributes:
      path: The file.
      closed: The data ends with its closing record: the recorder ended in order.
      indexed: The summary and footer behind the data are there too, which stock tools need.
      bytes_lost: Bytes of data, at the end or in damaged chunks, that were not read.
      chunks_lost: Whole chunks whose checksum did not hold.
      messages_lost: Messages known to be lost with them (an incomplete last chunk cannot tell).
    """

    path: Path
    closed: bool = False
    indexed: bool = False
    bytes_lost: int = 0
    chunks_lost: int = 0
    messages_lost: int = 0

    @property
    def whole(self) -> bool:
        """Nothing is missing."""
        return self.indexed and not self.bytes_lost and not self.messages_lost

    def describe(self) -> str:
        """One line for a person."""
        if self.whole:
            return f"{self.path.name}: whole"
        parts = []
        if self.chunks_lost or self.messages_lost:
            parts.append(f"{self.chunks_lost} damaged chunks, {self.messages_lost} messages left out")
        if not self.closed:
            parts.append("the recording was not closed: everything up to its last whole chunk is recovered")
        elif not self.indexed:
            parts.append("all data is there, but the index behind it is not")
        if self.bytes_lost:
            parts.append(f"{self.bytes_lost} bytes not readable")
        return f"{self.path.name}: " + "; ".join(parts)


@dataclass(kw_only=True)
class Contents:
    """Schemas and channels met so far in one file, by id."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)


def scan(
    path: Path, contents: Contents, damage: Damage, wanted: Container[str] | None = None
) -> Iterator[list[RawMessage]]:
    """Messages of one file in the order they were written, a chunk at a time.

    Args:
      path: An .mcap file.
      contents: Filled with schemas and channels as they come, always before their messages.
      damage: Filled with what could not be read; final when the iterator ends.
      wanted: Topics to give, None for all.

    Yields:
      The messages of a chunk.

    Raises:
      BagError: if the file cannot be opened, is no MCAP file, or uses a compression not installed here.
    """
    try:
        file = open(path, "rb")
    except OSError as error:
        raise BagError(f"cannot open the bag {path}: {error.strerror or error}") from error
    with file:
        size = path.stat().st_size
        magic = file.read(len(MCAP0_MAGIC))
        if magic != MCAP0_MAGIC[: len(magic)]:
            raise BagError(f"{path} is not an MCAP file (its first bytes are {magic[:8]!r})")
        yield from _records(file, size, contents, damage, wanted)


def _records(
    file: BinaryIO, size: int, contents: Contents, damage: Damage, wanted: Container[str] | None
) -> Iterator[list[RawMessage]]:
    position = file.tell()
    after_lost_chunk = False
    while size - position >= _RECORD.size:
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        if opcode == 0 or length > size - position - _RECORD.size:
            # Cut off; or zeros, the space a file system had given but never got data for.
            break
        body = file.read(length)
        if len(body) != length:  # the file shrank while it was read
            break
        if opcode == Opcode.CHUNK:
            records = _chunk_records(body)
            after_lost_chunk = records is None
            if records is None:
                damage.chunks_lost += 1
                damage.bytes_lost += _RECORD.size + length
            else:
                yield _messages(records, contents, damage, wanted)
        elif opcode == Opcode.MESSAGE_INDEX:
            if after_lost_chunk and length >= 6:
                damage.messages_lost += (length - 6) // 16
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE):
            # Outside a chunk: in files written without chunks, and repeated in the summary.
            yield _messages(_RECORD.pack(opcode, length) + body, contents, damage, wanted)
        elif opcode == Opcode.DATA_END:
            damage.closed = True
        elif opcode == Opcode.FOOTER:
            damage.indexed = file.read(len(MCAP0_MAGIC)) == MCAP0_MAGIC
            break
        position += _RECORD.size + length
    if not damage.closed:
        damage.bytes_lost += size - position


def _chunk_records(body: bytes) -> bytes | None:
    """A chunk's records, uncompressed; None if they are not what was written."""
    try:
        _, _, uncompressed_size, crc = _CHUNK_FIXED.unpack_from(body)
        (name_length,) = struct.unpack_from("<I", body, _CHUNK_FIXED.size)
        start = _CHUNK_FIXED.size + 4
        compression = body[start : start + name_length].decode()
        (stored_length,) = struct.unpack_from("<Q", body, start + name_length)
    except (struct.error, UnicodeDecodeError):
        return None
    start += name_length + 8
    stored = body[start : start + stored_length]
    if len(stored) != stored_length:
        return None
    records = _decompressed(stored, compression, uncompressed_size)
    if records is None or len(records) != uncompressed_size:
        return None
    # Zero means that the writer did not compute it (the format allows that).
    if crc and zlib.crc32(records) != crc:
        return None
    return records


def _decompressed(stored: bytes, compression: str, size: int) -> bytes | None:
    if compression == "":
        return stored
    decompress: Callable[[bytes], bytes]
    try:
        if compression == "zstd":
            import zstandard

            failure: type[Exception] = zstandard.ZstdError
            decompress = lambda data: zstandard.decompress(data, size)  # noqa: E731
        elif compression == "lz4":
            import lz4.frame  # type: ignore[import-untyped]

            failure = RuntimeError
            decompress = lz4.frame.decompress
        else:
            return None
    except ImportError as error:
        raise BagError(f"the bag is compressed with {compression}: install the Python package {error.name}") from error
    try:
        return decompress(stored)
    except failure:
        return None


def _messages(records: bytes, contents: Contents, damage: Damage, wanted: Container[str] | None) -> list[RawMessage]:
    """Takes in a run of whole records and gives its messages."""
    found: list[RawMessage] = []
    unpack, message, make = _MESSAGE.unpack_from, int(Opcode.MESSAGE), tuple.__new__
    position = 0
    end = len(records)
    give: dict[int, bool] = {}
    while end - position >= _RECORD.size:
        opcode, length = _RECORD.unpack_from(records, position)
        after = position + _RECORD.size + length
        if after > end or (opcode == message and after - position < _MESSAGE.size):
            # Possible only where the writer left the checksum out.
            damage.bytes_lost += end - position
            return found
        if opcode == message:
            _, _, channel, sequence, log_time, publish_time = unpack(records, position)
            if channel not in give:
                known = contents.channels.get(channel)
                if known is None:  # named in a chunk that was lost: cannot be told what it is
                    damage.messages_lost += 1
                else:
                    give[channel] = wanted is None or known.topic in wanted
            if give.get(channel):
                data = records[position + _MESSAGE.size : after]
                # Past the named tuple's own __new__, which costs more than all the rest of a message.
                found.append(make(RawMessage, (channel, sequence, log_time, publish_time, data)))
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            _declare(opcode, records[position + _RECORD.size : after], contents, damage)
            give.clear()
        position = after
    return found


def _declare(opcode: int, body: bytes, contents: Contents, damage: Damage) -> None:
    stream = ReadDataStream(BytesIO(body))
    try:
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            contents.schemas[schema.id] = schema
        else:
            channel = Channel.read(stream)
            contents.channels[channel.id] = channel
    except (EndOfFile, struct.error, UnicodeDecodeError):
        damage.bytes_lost += len(body)
