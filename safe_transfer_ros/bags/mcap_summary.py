# SPDX-License-Identifier: Apache-2.0
"""The summary behind the data of an MCAP file: every definition once more, where chunks begin, how many
messages there are. https://mcap.dev/spec.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Schema, Statistics
from mcap.stream_reader import ReadDataStream
from mcap.writer import MCAP0_MAGIC

from safe_transfer_ros.bounds import RECORD_BYTES, TOPICS

_RECORD = struct.Struct("<BQ")
_FOOTER = struct.Struct("<BQQQI")  # opcode, length, start of the summary, of its offsets, checksum
_END = _FOOTER.size + len(MCAP0_MAGIC)


@dataclass(kw_only=True)
class Summary:
    """Content of a summary; empty where a file has none, or a damaged one.

    Attributes:
      schemas: Message types by id.
      channels: Topics by id.
      chunks: Where each chunk begins, bytes from the start of the file, ascending.
      messages: How many there are; None: not told.
    """

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)
    messages: int | None = None


def read_summary(file: BinaryIO, size: int) -> Summary:
    """Summary of an MCAP file; moves the file's position.

    Args:
      file: The file.
      size: Its length, bytes.
    """
    if size < len(MCAP0_MAGIC) + _END:
        return Summary()
    file.seek(size - _END)
    end = file.read(_END)
    if len(end) != _END or not end.endswith(MCAP0_MAGIC):
        return Summary()
    opcode, length, start, _, checksum = _FOOTER.unpack_from(end)
    told = size - _END - start
    if opcode != Opcode.FOOTER or length != _FOOTER.size - _RECORD.size or not 0 < told <= RECORD_BYTES or start == 0:
        return Summary()
    file.seek(start)
    records = file.read(told)
    # The checksum covers the summary and the footer up to the checksum itself; zero: not computed.
    if checksum and zlib.crc32(end[: _FOOTER.size - 4], zlib.crc32(records)) != checksum:
        return Summary()
    summary = Summary()
    try:
        _take_in(records, summary)
    except (EndOfFile, struct.error, UnicodeDecodeError):
        return Summary()
    summary.chunks.sort()
    return summary


def _take_in(records: bytes, summary: Summary) -> None:
    position = 0
    while len(records) - position >= _RECORD.size:
        opcode, length = _RECORD.unpack_from(records, position)
        position += _RECORD.size
        stream = ReadDataStream(BytesIO(records[position : position + length]))
        if opcode == Opcode.SCHEMA and len(summary.schemas) < TOPICS:
            schema = Schema.read(stream)
            summary.schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL and len(summary.channels) < TOPICS:
            channel = Channel.read(stream)
            summary.channels[channel.id] = channel
        elif opcode == Opcode.CHUNK_INDEX:
            summary.chunks.append(ChunkIndex.read(stream).chunk_start_offset)
        elif opcode == Opcode.STATISTICS:
            summary.messages = Statistics.read(stream).message_count
        position += length
