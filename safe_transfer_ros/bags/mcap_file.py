# SPDX-License-Identifier: Apache-2.0
"""An MCAP file that is written chunk by chunk and can lose at most the chunk in hand.

Record encodings come from the ``mcap`` library; this file adds what its writer lacks: a message costs
one ``struct`` call instead of ten, a chunk and its index reach the file in one ``write``, and a write
that fails leaves the file at the last whole chunk. Format: https://mcap.dev/spec.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC, RecordBuilder

_MESSAGE = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time
_MESSAGE_FIXED = 22  # bytes of a message record between its length and its data
_INDEX_ENTRY = struct.Struct("<QQ")
_CHUNK_FIXED = struct.Struct("<BQQQQI")  # opcode, length, start, end, uncompressed size, crc
_CHUNKS_AHEAD = 3  # room kept for the chunk in hand, however much its last message overshoots, and what closes the file
_SUMMARY_BYTES = 512  # of the summary for each chunk, at most
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # flags of fallocate(2)


class McapFile:
    """Appends messages to a new MCAP file of profile "ros2".

    Args:
      path: File to create; must not exist.
      chunk_bytes: Size at which a chunk is closed and written.
      compress: Compresses a chunk, or None.
      compression: Name of that compression in the file ("" or "zstd").

    Raises:
      OSError: if the file exists or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        library: str,
        chunk_bytes: int = 64 * 1024,
        compress: Callable[[bytes], bytes] | None = None,
        compression: str = "",
    ) -> None:
        self._path = path
        # Unbuffered: what was handed to write() survives the death of this process.
        self._file = open(path, "xb", buffering=0)
        self._offset = 0
        self._chunk_bytes = chunk_bytes
        self._compress = compress
        self._compression = compression
        self._schemas: list[Schema] = []
        self._channels: list[Channel] = []
        self._metadata_indices: list[MetadataIndex] = []
        self._chunk_indices: list[ChunkIndex] = []
        self._chunk = bytearray()
        self._chunk_start = 0
        self._chunk_end = 0
        self._pending: dict[int, bytearray] = {}
        self._pending_messages = 0
        self._written_messages = 0
        self._written_counts: dict[int, int] = {}
        self._reserved_to: int | None = 0
        self.start_time = 0
        self.end_time = 0
        builder = RecordBuilder()
        Header(profile="ros2", library=library).write(builder)
        self._append(MCAP0_MAGIC + builder.end())

    @property
    def message_counts(self) -> dict[int, int]:
        """Messages per channel that are whole in the file (not those of the chunk in hand)."""
        return dict(self._written_counts)

    @property
    def size(self) -> int:
        """Bytes of the file, the chunk in hand included."""
        return self._offset + len(self._chunk)

    @property
    def buffered(self) -> int:
        """Messages in the chunk in hand, lost if the process died now."""
        return self._pending_messages

    def add_schema(self, name: str, encoding: str, data: bytes) -> int:
        """Declares a message type; returns its schema id."""
        schema = Schema(id=len(self._schemas) + 1, data=data, encoding=encoding, name=name)
        self._schemas.append(schema)
        builder = RecordBuilder()
        schema.write(builder)
        self._chunk += builder.end()
        return schema.id

    def add_channel(self, topic: str, schema_id: int, metadata: Mapping[str, str]) -> int:
        """Declares a topic; returns its channel id."""
        channel = Channel(
            id=len(self._channels) + 1,
            topic=topic,
            message_encoding="cdr",
            metadata=dict(metadata),
            schema_id=schema_id,
        )
        self._channels.append(channel)
        self._written_counts[channel.id] = 0
        self._pending[channel.id] = bytearray()
        builder = RecordBuilder()
        channel.write(builder)
        self._chunk += builder.end()
        return channel.id

    def add_message(self, channel: int, data: bytes, log_time: int, publish_time: int, sequence: int) -> None:
        """Appends a message to the chunk in hand, and writes the chunk when it is full."""
        # Packed before anything is noted: a value that does not fit leaves no trace.
        head = _MESSAGE.pack(Opcode.MESSAGE, _MESSAGE_FIXED + len(data), channel, sequence, log_time, publish_time)
        chunk = self._chunk
        self._pending[channel] += _INDEX_ENTRY.pack(log_time, len(chunk))
        chunk += head
        chunk += data
        if self._pending_messages:
            if log_time < self._chunk_start:
                self._chunk_start = log_time
            elif log_time > self._chunk_end:
                self._chunk_end = log_time
        else:
            self._chunk_start = self._chunk_end = log_time
        self._pending_messages += 1
        if len(chunk) >= self._chunk_bytes:
            self.flush()

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Writes a metadata record (name and string pairs) at the end of the data so far."""
        self.flush()
        builder = RecordBuilder()
        Metadata(name=name, metadata=dict(values)).write(builder)
        data = builder.end()
        index = MetadataIndex(offset=self._offset, length=len(data), name=name)
        self._append(data)
        self._metadata_indices.append(index)

    def flush(self) -> None:
        """Writes the chunk in hand, if it holds messages.

        Raises:
          OSError: it could not be written; or it could, but the disk has no room for the one after it. That one still
            fits, and so does what closes the file: a recorder that closes now has lost nothing.
        """
        if not self._pending_messages:
            return
        records = bytes(self._chunk)
        stored = records if self._compress is None else self._compress(records)
        name = self._compression.encode()
        head = _CHUNK_FIXED.pack(
            Opcode.CHUNK,
            _CHUNK_FIXED.size - 9 + 4 + len(name) + 8 + len(stored),
            self._chunk_start,
            self._chunk_end,
            len(records),
            zlib.crc32(records),
        )
        chunk = b"".join((head, struct.pack("<I", len(name)), name, struct.pack("<Q", len(stored)), stored))
        parts = [chunk]
        offsets: dict[int, int] = {}
        end = self._offset + len(chunk)
        for channel, entries in self._pending.items():
            if entries:
                offsets[channel] = end
                index = struct.pack("<BQHI", Opcode.MESSAGE_INDEX, 6 + len(entries), channel, len(entries)) + bytes(
                    entries
                )
                parts.append(index)
                end += len(index)
        index_length = end - self._offset - len(chunk)
        chunk_index = ChunkIndex(
            message_start_time=self._chunk_start,
            message_end_time=self._chunk_end,
            chunk_start_offset=self._offset,
            chunk_length=len(chunk),
            message_index_offsets=offsets,
            message_index_length=index_length,
            compression=self._compression,
            compressed_size=len(stored),
            uncompressed_size=len(records),
        )
        self._append(b"".join(parts))
        self._chunk_indices.append(chunk_index)
        self._account()
        self._reserve()

    def finish(self) -> None:
        """Writes what is left, the summary and the footer, and closes the file.

        The file is closed also when that fails; it then ends at its last whole chunk.
        """
        self._reserved_to = None
        try:
            self.flush()
            self._append(self._closing_records())
            _allocate(self._file.fileno(), _KEEP_SIZE | _PUNCH_HOLE, self._offset, 1 << 40)  # what was kept ahead
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Closes the file as it stands: whole chunks, no summary."""
        self._file.close()

    def _account(self) -> None:
        """Moves the chunk in hand, now in the file, to the totals."""
        if self._written_messages:
            self.start_time = min(self.start_time, self._chunk_start)
            self.end_time = max(self.end_time, self._chunk_end)
        else:
            self.start_time, self.end_time = self._chunk_start, self._chunk_end
        self._written_messages += self._pending_messages
        for channel, entries in self._pending.items():
            self._written_counts[channel] += len(entries) // _INDEX_ENTRY.size
            entries.clear()
        self._pending_messages = 0
        self._chunk.clear()

    def _reserve(self) -> None:
        """Keeps room on the disk for what must still be written if it fills up now; complains once if there is none."""
        if self._reserved_to is None:
            return
        ahead = _CHUNKS_AHEAD * self._chunk_bytes + _SUMMARY_BYTES * len(self._chunk_indices)
        if self._reserved_to >= self._offset + ahead:
            return
        code = _allocate(self._file.fileno(), _KEEP_SIZE, self._offset, 2 * ahead)
        if code:
            self._reserved_to = None
            if code in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(code, os.strerror(code))
        else:
            self._reserved_to = self._offset + 2 * ahead

    def _append(self, data: bytes) -> None:
        """Writes all of data, or raises and leaves the file as it was."""
        view = memoryview(data)
        try:
            while view:
                # A raw file may take a part only (a full disk does before it fails).
                view = view[self._file.write(view) :]
        except OSError:
            os.ftruncate(self._file.fileno(), self._offset)
            self._file.seek(self._offset)
            raise
        self._offset += len(data)

    def _closing_records(self) -> bytes:
        builder = RecordBuilder()
        DataEnd(0).write(builder)
        data_end = builder.end()
        summary_start = self._offset + len(data_end)
        builder = RecordBuilder()
        groups: list[SummaryOffset] = []
        for opcode, records in (
            (Opcode.SCHEMA, self._schemas),
            (Opcode.CHANNEL, self._channels),
            (Opcode.STATISTICS, [self._statistics()]),
            (Opcode.CHUNK_INDEX, self._chunk_indices),
            (Opcode.METADATA_INDEX, self._metadata_indices),
        ):
            start = builder.count
            for record in records:
                record.write(builder)
            if builder.count > start:
                groups.append(
                    SummaryOffset(
                        group_opcode=opcode,
                        group_start=summary_start + start,
                        group_length=builder.count - start,
                    )
                )
        summary_offset_start = summary_start + builder.count
        for entry in groups:
            entry.write(builder)
        summary = builder.end()
        # The checksum covers the summary and the footer up to the checksum itself.
        footer_head = struct.pack("<BQQQ", Opcode.FOOTER, 20, summary_start, summary_offset_start)
        crc = zlib.crc32(footer_head, zlib.crc32(summary))
        Footer(summary_start=summary_start, summary_offset_start=summary_offset_start, summary_crc=crc).write(builder)
        return data_end + summary + builder.end() + MCAP0_MAGIC

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts=self._written_counts,
            chunk_count=len(self._chunk_indices),
            message_count=self._written_messages,
            message_end_time=self.end_time,
            message_start_time=self.start_time,
            metadata_count=len(self._metadata_indices),
            schema_count=len(self._schemas),
        )


def _allocate(file: int, mode: int, offset: int, length: int) -> int:
    """fallocate(2), which Python lacks with a mode; 0 or the error's number. Not every file system can."""
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):  # not Linux
        return errno.EOPNOTSUPP
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return ctypes.get_errno() if fallocate(file, mode, offset, length) else 0
