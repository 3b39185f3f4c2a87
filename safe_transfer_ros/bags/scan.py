# SPDX-License-Identifier: Apache-2.0
"""Reader of an MCAP file, front to back, that gives what is whole even if the end is damaged.

A recording that was cut off has no summary, so none is needed: records are walked in the order they were
written. Where there is one, it says what the file held: definitions that were in a damaged chunk, the place where
the next chunk begins, how many messages there were. A chunk is given only if all of it is there and its checksum
holds. What is not given is counted in a `Damage`; nothing that could be wrong is ever given.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, Schema
from mcap.stream_reader import ReadDataStream
from mcap.writer import MCAP0_MAGIC

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.mcap_summary import Summary, read_summary
from safe_transfer_ros.bounds import CHUNK_ALWAYS, CHUNK_EXPANSION, LATEST_NS, RECORD_BYTES, TOPICS
from safe_transfer_ros.untrusted import printable

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
    """Unreadable parts of one file.

    Attributes:
      path: The file.
      missing: metadata.yaml names it, and it is not there.
      closed: The data ends with its closing record: the recorder ended in order.
      indexed: The summary and footer behind the data are there too, which stock tools need.
      bytes_lost: Bytes of data, at the end or in damaged chunks, that were not read.
      chunks_lost: Whole chunks whose checksum did not hold.
      chunks_refused: Chunks larger than any recorder makes (see `bounds`): not uncompressed.
      messages_lost: Messages known to be lost with them (an incomplete last chunk cannot tell).
    """

    path: Path
    missing: bool = False
    closed: bool = False
    indexed: bool = False
    bytes_lost: int = 0
    chunks_lost: int = 0
    chunks_refused: int = 0
    messages_lost: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.indexed and not (self.missing or self.bytes_lost or self.messages_lost)

    def describe(self) -> str:
        """One line for a person."""
        name = printable(self.path.name)
        if self.whole:
            return f"{name}: whole"
        if self.missing:
            return f"{name}: metadata.yaml names this file, and it is not there: all its messages are lost"
        parts = []
        if self.chunks_lost or self.messages_lost:
            parts.append(f"{self.chunks_lost} damaged chunks, {self.messages_lost} messages left out")
        if self.chunks_refused:
            parts.append(f"{self.chunks_refused} chunks of a size that no recorder makes")
        if not self.closed:
            parts.append("the recording was not closed: everything up to its last whole chunk is recovered")
        elif not self.indexed:
            parts.append("all data is there, but the index behind it is not")
        if self.bytes_lost:
            parts.append(f"{self.bytes_lost} bytes not readable")
        return f"{name}: " + "; ".join(parts)


@dataclass(kw_only=True)
class Contents:
    """Schemas and channels met so far in one file, by id, and how many messages, wanted or not."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    messages: int = 0


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
      BagError: if the file cannot be opened, is not an MCAP file, or uses a compression not installed here.
    """
    try:
        file = open(path, "rb")  # a regular file: see `folder`
    except OSError as error:
        raise BagError(f"cannot open the bag {path}: {error.strerror or error}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(len(MCAP0_MAGIC))
        if magic != MCAP0_MAGIC[: len(magic)]:
            raise BagError(f"{path} is not an MCAP file (its first bytes are {magic[:8]!r})")
        summary = read_summary(file, size)
        contents.schemas.update(summary.schemas)
        contents.channels.update(summary.channels)
        file.seek(len(magic))
        yield from _records(file, size, summary, contents, damage, wanted)
        if summary.messages is not None:
            damage.messages_lost = max(damage.messages_lost, summary.messages - contents.messages)


def _records(
    file: BinaryIO,
    size: int,
    summary: Summary,
    contents: Contents,
    damage: Damage,
    wanted: Container[str] | None,
) -> Iterator[list[RawMessage]]:
    position = file.tell()
    chunks = deque(summary.chunks)
    after_lost_chunk = False
    while size - position >= _RECORD.size:
        while chunks and chunks[0] <= position:
            chunks.popleft()
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        end = position + _RECORD.size + length
        if chunks and (opcode == 0 or end > chunks[0]):
            # A length that is wrong: go on where the next chunk is known to begin.
            damage.chunks_lost += 1
            damage.bytes_lost += chunks[0] - position
            position = chunks[0]
            file.seek(position)
            continue
        if opcode == 0 or end > size:
            # Cut off; or zeros, the space a file system had given but never got data for.
            break
        if opcode not in _READ or length > RECORD_BYTES:
            if opcode in _DATA:
                after_lost_chunk = opcode == Opcode.CHUNK
                damage.chunks_refused += 1
                damage.bytes_lost += _RECORD.size + length
            position = file.seek(end)
            continue
        body = file.read(length)
        if len(body) != length:  # the file shrank while it was read
            break
        if opcode == Opcode.CHUNK:
            records = _chunk_records(body, damage)
            after_lost_chunk = records is None
            if records is None:
                damage.bytes_lost += _RECORD.size + length
            else:
                yield _messages(records, contents, damage, wanted)
        elif opcode == Opcode.MESSAGE_INDEX:
            if after_lost_chunk and length >= 6:
                damage.messages_lost += (length - 6) // 16
        elif opcode in _DATA:
            # Outside a chunk: in files written without chunks, and repeated in the summary.
            yield _messages(_RECORD.pack(opcode, length) + body, contents, damage, wanted)
        elif opcode == Opcode.DATA_END:
            damage.closed = True
        else:
            damage.indexed = file.read(len(MCAP0_MAGIC)) == MCAP0_MAGIC
            break
        position = end
    if not damage.closed:
        damage.bytes_lost += size - position


_DATA = frozenset(map(int, (Opcode.CHUNK, Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE)))
_READ = _DATA | frozenset(map(int, (Opcode.MESSAGE_INDEX, Opcode.DATA_END, Opcode.FOOTER)))


def _chunk_records(body: bytes, damage: Damage) -> bytes | None:
    """A chunk's records, uncompressed; None, and counted, if they are not what was written."""
    try:
        _, _, uncompressed_size, crc = _CHUNK_FIXED.unpack_from(body)
        (name_length,) = struct.unpack_from("<I", body, _CHUNK_FIXED.size)
        start = _CHUNK_FIXED.size + 4
        compression = body[start : start + name_length].decode()
        (stored_length,) = struct.unpack_from("<Q", body, start + name_length)
    except (struct.error, UnicodeDecodeError):
        damage.chunks_lost += 1
        return None
    start += name_length + 8
    stored = body[start : start + stored_length]
    if uncompressed_size > min(RECORD_BYTES, max(CHUNK_ALWAYS, CHUNK_EXPANSION * len(stored))):
        damage.chunks_refused += 1
        return None
    records = _decompressed(stored, compression, uncompressed_size) if len(stored) == stored_length else None
    # A checksum of zero means that the writer did not compute it (the format allows that).
    if records is None or len(records) != uncompressed_size or (crc and zlib.crc32(records) != crc):
        damage.chunks_lost += 1
        return None
    return records


def _decompressed(stored: bytes, compression: str, size: int) -> bytes | None:
    """At most a byte more than `size`, whatever the data says of its own size; None if it is not so compressed."""
    if compression == "":
        return stored
    try:
        if compression == "zstd":
            import zstandard

            try:
                with zstandard.ZstdDecompressor().stream_reader(stored) as reader:
                    return bytes(reader.read(size + 1))
            except zstandard.ZstdError:
                return None
        if compression == "lz4":
            import lz4.frame  # type: ignore[import-untyped]

            try:
                return bytes(lz4.frame.LZ4FrameDecompressor().decompress(stored, max_length=size + 1))
            except (RuntimeError, EOFError):
                return None
    except ImportError as error:
        raise BagError(f"the bag is compressed with {compression}: install the Python package {error.name}") from error
    return None


def _messages(records: bytes, contents: Contents, damage: Damage, wanted: Container[str] | None) -> list[RawMessage]:
    """Takes in a run of whole records and gives its messages."""
    found: list[RawMessage] = []
    seen = unusable = 0
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
            break
        if opcode == message:
            _, _, channel, sequence, log_time, publish_time = unpack(records, position)
            seen += 1
            if channel not in give:
                known = contents.channels.get(channel)
                if known is None:  # named in a chunk that was lost: cannot be told what it is
                    unusable += 1
                else:
                    give[channel] = wanted is None or known.topic in wanted
            if log_time > LATEST_NS:
                unusable += 1
            elif give.get(channel):
                data = records[position + _MESSAGE.size : after]
                # Past the named tuple's own __new__, which costs more than all the rest of a message.
                found.append(make(RawMessage, (channel, sequence, log_time, publish_time, data)))
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            _declare(opcode, records[position + _RECORD.size : after], contents, damage)
            give.clear()
        position = after
    contents.messages += seen - unusable
    damage.messages_lost += unusable
    return found


def _declare(opcode: int, body: bytes, contents: Contents, damage: Damage) -> None:
    stream = ReadDataStream(BytesIO(body))
    try:
        known: dict[int, Any]
        if opcode == Opcode.SCHEMA:
            declared: Any = Schema.read(stream)
            known = contents.schemas
        else:
            declared = Channel.read(stream)
            known = contents.channels
        if declared.id in known or len(known) < TOPICS:
            known[declared.id] = declared
            return
    except (EndOfFile, struct.error, UnicodeDecodeError):
        pass
    damage.bytes_lost += len(body)
