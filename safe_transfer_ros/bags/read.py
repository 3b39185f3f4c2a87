# SPDX-License-Identifier: Apache-2.0
"""Reads a bag without ROS: the definitions inside it say how each message is decoded.

for topic, message, log_time_ns in messages("runs/first/bag", ["/safety_filter/decision"]):
    ...
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mcap.records import Channel, Schema
from rosbags.serde import SerdeError
from rosbags.typesys.store import Typestore

from safe_transfer_ros.bags.clock import RecordingClock
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.folder import bag_folder
from safe_transfer_ros.bags.message_types import type_store
from safe_transfer_ros.bags.scan import Contents, Damage, RawMessage, scan
from safe_transfer_ros.bags.sqlite_file import scan_sqlite
from safe_transfer_ros.untrusted import printable

_BATCH = 8192
_KINDS = {".mcap": scan, ".db3": scan_sqlite}


class Recorded(NamedTuple):
    """A message that is still serialised."""

    topic: str
    type_name: str
    log_time_ns: int
    publish_time_ns: int
    sequence: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class TopicSummary:
    """One topic of a bag.

    Attributes:
      topic: Its name.
      type_name: Its message type.
      count: Messages that can be read.
      first_ns: Receipt time of the first, ns since the epoch.
      last_ns: Receipt time of the last.
      lost_before_recording: Messages its publishers sent that never came to the recorder, told by the
        gaps in their running numbers; 0 also where none were recorded.
    """

    topic: str
    type_name: str
    count: int
    first_ns: int
    last_ns: int
    lost_before_recording: int


class Topic(NamedTuple):
    """A topic as one file of a bag defines it."""

    name: str
    type_name: str
    definitions: Mapping[str, Any]  # field definitions by type name


class Batch(NamedTuple):
    """A batch of a topic's messages.

    Attributes:
      topic: The topic.
      messages: The next of them, in the order of recording.
      clock: How often the recording's clock had jumped before them; times compare only within one number.
    """

    topic: Topic
    messages: list[RawMessage]
    clock: int


class Bag:
    """A recording: a rosbag2 folder, or a single .mcap or .db3 file.

    Args:
      path: The folder or the file.

    Attributes:
      path: Same.
      files: Its files in order, those that are there.
      damage: One entry a file, those that are missing behind those that are there; filled while reading and final
        once a reading has come to its end.
      clock: Where the recording's clock jumped; final once `summary` or `batches` has come to its end.

    Raises:
      BagError: if there is no bag, or one of a kind that cannot be read here.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._folder = bag_folder(self.path)
        self.files = self._folder.files
        self.damage: list[Damage] = []
        self.clock = RecordingClock()
        self._counted: int | None = None  # messages met by the last reading that came to its end
        self._by_topic: dict[str, int] | None = None  # the same, by the last summary

    def losses(self) -> list[str]:
        """Known losses of the recording, one line each; complete after a full reading.

        Its own files and counts are held against each other: what metadata.yaml names and is not there, what a
        file's closing records count and its chunks do not give, what was lost before the recording was repaired.
        """
        found = [damage.describe() for damage in self.damage if not damage.whole]
        told, counted = self._folder.messages, self._counted
        if told is not None and counted is not None and counted != told:
            found += self._count_differs(told, counted)
        return found + [printable(note) for note in self._folder.notes]

    def _count_differs(self, told: int, counted: int) -> list[str]:
        where = f"metadata.yaml tells of {told:,} messages, {counted:,} can be read"
        if counted > told:
            # That of a recording that was cut off is older than its last messages.
            whole = all(damage.closed for damage in self.damage)
            return [f"{where}: is there a file of another recording?"] if whole else []
        lines = [f"{where}: {told - counted:,} are lost"]
        for name, count in self._folder.topics.items() if self._by_topic is not None else ():
            lost = count - (self._by_topic or {}).get(name, 0)
            if lost > 0:
                lines.append(f"{printable(name)}: {lost:,} of {count:,} messages are lost")
        return lines

    def _walk(self, topics: Collection[str] | None = None) -> Iterator[tuple[Contents, list[RawMessage], Path]]:
        """Every file's messages, a chunk at a time, with the file's definitions so far."""
        self.damage = [Damage(path=path) for path in self.files]
        self.damage += [Damage(path=path, missing=True) for path in self._folder.missing]
        self.clock, self._counted, self._by_topic = RecordingClock(), None, None
        counted = 0
        for path, damage in zip(self.files, self.damage, strict=False):
            contents = Contents()
            for chunk in _KINDS[path.suffix](path, contents, damage, topics):
                yield contents, chunk, path
            counted += contents.messages
        self._counted = counted

    def recorded(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Messages as recorded, in the order of recording.

        Args:
          topics: Topics to give; None for all.

        Yields:
          Serialised messages.

        Raises:
          BagError: if a file cannot be opened.
        """
        for contents, chunk, _ in self._walk(topics):
            for raw in chunk:
                yield self._named(raw, contents)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[tuple[str, Any, int]]:
        """Decoded messages in the order of recording.

        Args:
          topics: Topics to give; None for all.

        Yields:
          (topic, message, log_time_ns). A message has the attributes of its .msg definition; arrays of
          numbers are numpy arrays.

        Raises:
          BagError: if a file cannot be opened, or a message does not fit its definition.
        """
        file: Contents | None = None
        decoders: dict[int, tuple[str, Callable[[bytes], Any]]] = {}
        for contents, chunk, path in self._walk(topics):
            if contents is not file:
                file, decoders = contents, {}
            for raw in chunk:
                known = decoders.get(raw.channel)
                if known is None:
                    known = decoders[raw.channel] = _decoder(raw.channel, contents, path)
                topic, decode = known
                yield topic, decode(raw.data), raw.log_time_ns

    def described(self) -> Iterator[tuple[Channel, Schema | None, RawMessage]]:
        """Serialised messages with the file's description of their topic; for copying a bag."""
        for contents, chunk, _ in self._walk():
            for raw in chunk:
                channel = contents.channels[raw.channel]
                yield channel, contents.schemas.get(channel.schema_id), raw

    def batches(self, topics: Collection[str]) -> Iterator[Batch]:
        """Serialised messages by the thousand, for decoding them in blocks; each topic's in the order of recording.

        Args:
          topics: Topics to give. Two topics are interleaved only from batch to batch; no batch goes over a jump of
            the recording's clock.

        Yields:
          A topic and the next of its messages.

        Raises:
          BagError: if a file cannot be opened, or a topic has no usable message definition.
        """
        file: Contents | None = None
        known: dict[int, Topic] = {}
        held: dict[int, list[RawMessage]] = {}
        count = jumps = 0

        def given() -> Iterator[Batch]:
            yield from (Batch(known[channel], batch, jumps) for channel, batch in held.items() if batch)

        for contents, chunk, path in self._walk(topics):
            if contents is not file:
                yield from given()
                file, known, held, count = contents, {}, {}, 0
            for place, piece in enumerate(self.clock.unbroken(chunk)):
                if place:
                    yield from given()
                    jumps, held, count = jumps + 1, {channel: [] for channel in held}, 0
                channels = {raw.channel for raw in piece}
                for channel in channels - known.keys():
                    known[channel], held[channel] = _topic(channel, contents, path), []
                for channel in channels:
                    # One channel is the rule, and a list is taken over faster than its messages one by one.
                    alone = len(channels) == 1
                    held[channel].extend(piece if alone else [raw for raw in piece if raw.channel == channel])
                count += len(piece)
            if count >= _BATCH:
                yield from given()
                held, count = {channel: [] for channel in held}, 0
        yield from given()

    def summary(self) -> list[TopicSummary]:
        """Every topic with its counts, from one pass over the bag; fills `damage`."""
        found: dict[tuple[str, str], _Tally] = {}
        for topic, type_name, log_time, _, sequence, _ in self.recorded():
            tally = found.get((topic, type_name))
            if tally is None:
                tally = found[topic, type_name] = _Tally(first=log_time)
            tally.add(log_time, sequence)
            self.clock.jumped(topic, log_time)
        self._by_topic = {}
        for (topic, _), tally in found.items():
            self._by_topic[topic] = self._by_topic.get(topic, 0) + tally.count
        return [
            TopicSummary(
                topic=topic,
                type_name=type_name,
                count=tally.count,
                first_ns=tally.first,
                last_ns=tally.last,
                lost_before_recording=tally.lost,
            )
            for (topic, type_name), tally in sorted(found.items())
        ]

    def _named(self, raw: RawMessage, contents: Contents) -> Recorded:
        channel = contents.channels[raw.channel]
        schema = contents.schemas.get(channel.schema_id)
        return Recorded(
            channel.topic,
            "" if schema is None else schema.name,
            raw.log_time_ns,
            raw.publish_time_ns,
            raw.sequence,
            raw.data,
        )


def messages(bag: Bag | Path | str, topics: Collection[str] | None = None) -> Iterator[tuple[str, Any, int]]:
    """Decoded messages of a bag; see `Bag.messages`."""
    return (bag if isinstance(bag, Bag) else Bag(bag)).messages(topics)


def _topic(channel_id: int, contents: Contents, path: Path) -> Topic:
    store, type_name, topic = _described(channel_id, contents, path)
    return Topic(topic, type_name, store.fielddefs)


def _decoder(channel_id: int, contents: Contents, path: Path) -> tuple[str, Callable[[bytes], Any]]:
    store, name, topic = _described(channel_id, contents, path)

    def decode(data: bytes) -> Any:
        try:
            return store.deserialize_cdr(data, name)
        except _MISFITS as error:
            detail = (str(error).splitlines() or [type(error).__name__])[0]
            told = printable(f"a message on {topic} in {path} does not fit its definition {name}: {detail[:200]}")
            raise BagError(told) from None

    return topic, decode


_MISFITS = (SerdeError, AssertionError, ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError)
_MISFITS += (MemoryError,)  # type: ignore[assignment]


def _described(channel_id: int, contents: Contents, path: Path) -> tuple[Typestore, str, str]:
    """The type store made from a channel's own definition, its type and its topic."""
    channel = contents.channels[channel_id]
    schema = contents.schemas.get(channel.schema_id)
    where = printable(f"{channel.topic} in {path}")
    if schema is None or channel.message_encoding != "cdr":
        raise BagError(f"{where} carries no ROS 2 message definition: record it with rosbag2's mcap storage")
    try:
        store = type_store(schema.encoding, schema.name, schema.data)
    except BagError as error:
        raise BagError(printable(f"the message definition of {where} cannot be used: {error}")) from None
    return store, schema.name, channel.topic


class _Tally:
    """Running counts of one topic."""

    def __init__(self, *, first: int) -> None:
        self.first = self.last = first
        self.count = 0
        self.lost = 0
        self._sequence = 0

    def add(self, log_time: int, sequence: int) -> None:
        self.count += 1
        self.first = min(self.first, log_time)
        self.last = max(self.last, log_time)
        # A smaller number is another publisher, or one that was started again: no gap.
        if self._sequence and sequence > self._sequence + 1:
            self.lost += sequence - self._sequence - 1
        self._sequence = sequence
