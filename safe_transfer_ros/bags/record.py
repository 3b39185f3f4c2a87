# SPDX-License-Identifier: Apache-2.0
"""Writes a bag: a rosbag2 folder (bag_0.mcap and metadata.yaml) that stock ROS 2 tools open.

A run's record is worth as much as what is left of it after a crash, so every chunk goes to the system
as soon as it is full, and at least every half second; killing the writer costs what was still in the
chunk in hand. Serialised messages come in and go out unchanged: nothing is decoded while recording.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from safe_transfer_ros.bags.definitions import Definition, MessageDefinitions
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.mcap_file import McapFile
from safe_transfer_ros.bags.qos import OfferedQos
from safe_transfer_ros.files import write_atomically

FILE_NAME = "bag_{}.mcap"
METADATA_NAME = "metadata.yaml"
# Entry of its custom_data that says what the recording lacks that this one was repaired from.
LOST = "lost"
# Version of rosbag2's metadata.yaml that ROS 2 Jazzy writes.
_METADATA_VERSION = 9
_DISTRO = "jazzy"
# What rosbag2 gives as the start of a bag without messages.
_NO_TIME = 2**63 - 1
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class BagWriter:
    """Records serialised messages into a new rosbag2 folder.

    Not for several threads. Use as a context manager, or call `close`.

    Args:
      folder: Folder to create; it must not exist or be empty.
      compression: "none", or "zstd" for compressed chunks (a recorded run takes a quarter of the space and
        a third more time).
      chunk_bytes: Size at which a chunk is written.
      flush_period_s: Longest time a message waits in memory while messages keep coming, or while
        `flush_if_due` is called from a timer.
      definitions: Where message definitions are found; by default the installed packages.
      custom_data: Name and text pairs for metadata.yaml, for example the run's name.
      split_bytes: Size at which a file is closed and the next one begun; 0: never.
      split_s: Time after which that is done, by receipt times, s; 0: never.

    Raises:
      BagError: if the folder has something in it or cannot be written.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        compression: str = "none",
        chunk_bytes: int = 64 * 1024,
        flush_period_s: float = 0.5,
        definitions: MessageDefinitions | None = None,
        custom_data: Mapping[str, str] | None = None,
        split_bytes: int = 0,
        split_s: float = 0.0,
    ) -> None:
        self.folder = Path(folder)
        self._definitions = definitions or MessageDefinitions()
        self._custom_data = dict(custom_data or {})
        self._flush_period_ns = int(flush_period_s * 1e9)
        self._chunk_bytes, self._compression = chunk_bytes, compression
        self._compress = _compressor(compression)
        self._split_bytes, self._split_ns = split_bytes, int(split_s * 1e9)
        self._described: list[tuple[Definition, dict[str, str]]] = []  # of each topic
        self._topics: list[dict[str, Any]] = []
        self._finished: list[tuple[dict[str, Any], dict[int, int]]] = []  # extent and counts of each closed file
        self._begun_ns = 0
        self._closed = False
        try:
            self.check_empty(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._begin()
            self._write_metadata()
        except OSError as error:
            raise self._explained(error) from error
        self._flushed_ns = time.monotonic_ns()

    @staticmethod
    def check_empty(folder: Path) -> None:
        """Raise BagError if a folder has something in it, or is none."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BagError(
                f"{folder} already has something in it and is not overwritten: "
                "choose another run_dir, or move the old bag away"
            )

    @property
    def path(self) -> Path:
        """The MCAP file being written."""
        return self.folder / FILE_NAME.format(len(self._finished))

    @property
    def message_count(self) -> int:
        """Messages written so far, those in the chunk in hand included."""
        return sum(self._counts().values()) + self._file.buffered

    def register(
        self,
        topic: str,
        type_name: str,
        qos: Sequence[OfferedQos] = (),
        *,
        definition: Definition | None = None,
    ) -> int:
        """Declares a topic before its first message.

        Args:
          topic: Full topic name, "/joint_states".
          type_name: Message type, "sensor_msgs/msg/JointState".
          qos: QoS of each publisher; a player offers the same.
          definition: Its definition, where it is not the installed one.

        Returns:
          The topic's id, for `write`.

        Raises:
          BagError: if the type is not installed, or metadata.yaml cannot be written.
        """
        definition = definition or self._definitions.find(type_name)
        profiles = [one.as_metadata() for one in qos]
        channel_metadata = {
            "offered_qos_profiles": _yaml(profiles) if profiles else "",
            "topic_type_hash": definition.type_hash,
        }
        self._described.append((definition, channel_metadata))
        self._topics.append(
            {
                "name": topic,
                "type": definition.type_name,
                "serialization_format": "cdr",
                "offered_qos_profiles": profiles,
                "type_description_hash": definition.type_hash,
            }
        )
        topic_id = self._declare(len(self._topics) - 1)
        # A recording that is killed still says which topics it holds.
        try:
            self._write_metadata()
        except OSError as error:
            raise self._explained(error) from error
        return topic_id

    def write(self, topic_id: int, data: bytes, log_time_ns: int, publish_time_ns: int, sequence: int = 0) -> None:
        """Records one message.

        Args:
          topic_id: From `register`.
          data: The serialised message (CDR with its four-byte header).
          log_time_ns: When it was received, ns since the epoch.
          publish_time_ns: When it was sent, ns since the epoch.
          sequence: The publisher's running number, or 0 if unknown; lets a reader count lost messages.

        Raises:
          BagError: if the disk is full or the file cannot be written.
          KeyError: if the topic was not registered.
        """
        try:
            if self._due_to_split(log_time_ns):
                self._split()
            self._begun_ns = self._begun_ns or log_time_ns
            self._file.add_message(topic_id, data, log_time_ns, publish_time_ns, sequence)
            if time.monotonic_ns() - self._flushed_ns >= self._flush_period_ns:
                self.flush()
        except OSError as error:
            raise self._explained(error) from error

    def note(self, name: str, text: str) -> None:
        """Put a line of custom data into metadata.yaml when it is next written; an empty text is left out."""
        if text:
            self._custom_data[name] = text

    def flush_if_due(self) -> None:
        """Flushes when the flush period is over; for a timer, so that a silent graph loses nothing."""
        if time.monotonic_ns() - self._flushed_ns >= self._flush_period_ns:
            self.flush()

    def flush(self) -> None:
        """Hands every message so far to the operating system.

        Raises:
          BagError: if the disk is full or the file cannot be written.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise self._explained(error) from error
        self._flushed_ns = time.monotonic_ns()

    def close(self) -> None:
        """Writes the index and the final metadata.yaml. A second call does nothing.

        Raises:
          BagError: if that failed. The file then ends at its last whole chunk and can still be read.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._end_file()
            self._write_metadata()
        except OSError as error:
            self._file.abandon()
            with suppress(OSError):
                self._write_metadata()
            raise self._explained(error) from error

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """Open the next file and declare every topic in it: each file can be read alone."""
        self._file = McapFile(
            self.path,
            library="safe_transfer_ros",
            chunk_bytes=self._chunk_bytes,
            compress=self._compress,
            compression="" if self._compress is None else self._compression,
        )
        self._schema_ids: dict[str, int] = {}
        self._begun_ns = 0
        for index in range(len(self._topics)):
            self._declare(index)

    def _declare(self, index: int) -> int:
        definition, metadata = self._described[index]
        name = definition.type_name
        if name not in self._schema_ids:
            self._schema_ids[name] = self._file.add_schema(name, definition.encoding, definition.text.encode())
        return self._file.add_channel(self._topics[index]["name"], self._schema_ids[name], metadata)

    def _due_to_split(self, now_ns: int) -> bool:
        if not self._begun_ns:
            return False
        return (0 < self._split_bytes <= self._file.size) or (0 < self._split_ns <= now_ns - self._begun_ns)

    def _split(self) -> None:
        self._end_file()
        extent, counts = self._extent(), self._file.message_counts
        self._finished.append((extent, counts))
        self._begin()
        self._write_metadata()

    def _end_file(self) -> None:
        self._file.flush()
        self._file.add_metadata("rosbag2", {"serialized_metadata": _yaml(self._metadata())})
        self._file.finish()

    def _counts(self) -> dict[int, int]:
        counts = dict(self._file.message_counts)
        for _, finished in self._finished:
            for channel, count in finished.items():
                counts[channel] += count
        return counts

    def _extent(self) -> dict[str, Any]:
        """Description of the current file in metadata.yaml."""
        total = sum(self._file.message_counts.values())
        return {
            "path": self.path.name,
            "duration": {"nanoseconds": self._file.end_time - self._file.start_time},
            "starting_time": {"nanoseconds_since_epoch": self._file.start_time if total else _NO_TIME},
            "message_count": total,
        }

    def _metadata(self) -> dict[str, Any]:
        files = [*(extent for extent, _ in self._finished), self._extent()]
        filled = [extent for extent in files if extent["message_count"]]
        start = min((extent["starting_time"]["nanoseconds_since_epoch"] for extent in filled), default=_NO_TIME)
        ends = (e["starting_time"]["nanoseconds_since_epoch"] + e["duration"]["nanoseconds"] for e in filled)
        counts = self._counts()
        return {
            "version": _METADATA_VERSION,
            "storage_identifier": "mcap",
            "duration": {"nanoseconds": max(ends) - start if filled else 0},
            "starting_time": {"nanoseconds_since_epoch": start},
            "message_count": sum(counts.values()),
            "topics_with_message_count": [
                {"topic_metadata": topic, "message_count": counts[index]}
                for index, topic in enumerate(self._topics, start=1)
            ],
            # Chunks carry their own compression; these two speak of whole files or messages.
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [extent["path"] for extent in files],
            "files": files,
            "custom_data": self._custom_data or None,
            "ros_distro": _DISTRO,
        }

    def _write_metadata(self) -> None:
        """Replaces metadata.yaml in one step: a reader sees the old one or the new one."""
        text = _yaml({"rosbag2_bagfile_information": self._metadata()})
        write_atomically(self.folder / METADATA_NAME, text)

    def _explained(self, error: OSError) -> BagError:
        return BagError(
            f"cannot write the bag {self.folder}: {error.strerror or error}. Free space on that disk or "
            "choose another run_dir; what was written before can be read"
        )


def _compressor(compression: str) -> Callable[[bytes], bytes] | None:
    if compression == "none":
        return None
    if compression != "zstd":
        raise BagError(f'bag compression is "none" or "zstd", not {compression!r}')
    try:
        import zstandard
    except ImportError as error:
        raise BagError("bag compression zstd needs the Python package zstandard: install it") from error
    # Level 1: a recorder shares its cores with the robot's control loop.
    compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=1).compress
    return compress


class _Dumper(_BaseDumper):
    """YAML without anchors: the same extent is written twice, and other readers need not know aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(data: Any) -> str:
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=False))
