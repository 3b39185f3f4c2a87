# SPDX-License-Identifier: Apache-2.0
"""Reads a bag without ROS: the definitions inside it say how each message is decoded.

for topic, message, log_time_ns in messages("runs/first/bag", ["/safety_filter/decision"]):
    ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mcap.records import Channel, Schema
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.record import METADATA_NAME
from safe_transfer_ros.bags.scan import Contents, Damage, RawMessage, scan
from safe_transfer_ros.bags.sqlite_file import scan_sqlite

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


class Bag:
    """A recording: a rosbag2 folder, or a single .mcap or .db3 file.

    Args:
      path: The folder or the file.

    Attributes:
      path: Same.
      files: Its files in order.
      damage: One entry a file, filled while reading and final once a reading has come to its end.

    Raises:
      BagError: if there is no bag, or one of a kind that cannot be read here.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.files = bag_files(self.path)
        self.damage: list[Damage] = []

    def recorded(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Messages as recorded, in the order of recording.

        Args:
          topics: Topics to give; None for all.

        Yields:
          Serialised messages.

        Raises:
          BagError: if a file cannot be opened.
        """
        self.damage = [Damage(path=path) for path in self.files]
        for path, damage in zip(self.files, self.damage, strict=True):
            contents = Contents()
            for raw in chain.from_iterable(_KINDS[path.suffix](path, contents, damage, topics)):
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
        self.damage = [Damage(path=path) for path in self.files]
        for path, damage in zip(self.files, self.damage, strict=True):
            contents = Contents()
            decoders: dict[int, tuple[str, Callable[[bytes], Any]]] = {}
            for raw in chain.from_iterable(_KINDS[path.suffix](path, contents, damage, topics)):
                known = decoders.get(raw.channel)
                if known is None:
                    known = decoders[raw.channel] = _decoder(raw.channel, contents, path)
                topic, decode = known
                yield topic, decode(raw.data), raw.log_time_ns

    def described(self) -> Iterator[tuple[Channel, Schema | None, RawMessage]]:
        """Serialised messages with all that the file says of their topic; for copying a bag."""
        self.damage = [Damage(path=path) for path in self.files]
        for path, damage in zip(self.files, self.damage, strict=True):
            contents = Contents()
            for raw in chain.from_iterable(_KINDS[path.suffix](path, contents, damage)):
                channel = contents.channels[raw.channel]
                yield channel, contents.schemas.get(channel.schema_id), raw

    def batches(self, topics: Collection[str]) -> Iterator[tuple[Topic, list[RawMessage]]]:
        """Serialised messages by the thousand, for decoding them in blocks; each topic's in the order of recording.

        Args:
          topics: Topics to give. Two topics are interleaved only from batch to batch.

        Yields:
          A topic and the next of its messages.

        Raises:
          BagError: if a file cannot be opened, or a topic has no usable message definition.
        """
        self.damage = [Damage(path=path) for path in self.files]
        for path, damage in zip(self.files, self.damage, strict=True):
            contents = Contents()
            known: dict[int, Topic] = {}
            held: dict[int, list[RawMessage]] = {}
            count = 0
            for chunk in _KINDS[path.suffix](path, contents, damage, topics):
                channels = {raw.channel for raw in chunk}
                for channel in channels - known.keys():
                    known[channel], held[channel] = _topic(channel, contents, path), []
                for channel in channels:
                    # One channel is the rule, and a list is taken over faster than its messages one by one.
                    alone = len(channels) == 1
                    held[channel].extend(chunk if alone else [raw for raw in chunk if raw.channel == channel])
                count += len(chunk)
                if count >= _BATCH:
                    yield from ((known[channel], batch) for channel, batch in held.items() if batch)
                    held, count = {channel: [] for channel in held}, 0
            yield from ((known[channel], batch) for channel, batch in held.items() if batch)

    def summary(self) -> list[TopicSummary]:
        """Every topic with its counts, from one pass over the bag; fills `damage`."""
        found: dict[tuple[str, str], _Tally] = {}
        for topic, type_name, log_time, _, sequence, _ in self.recorded():
            tally = found.get((topic, type_name))
            if tally is None:
                tally = found[topic, type_name] = _Tally(first=log_time)
            tally.add(log_time, sequence)
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


def bag_files(path: Path) -> tuple[Path, ...]:
    """The files of a bag, in order of recording.

    Args:
      path: A rosbag2 folder (its metadata.yaml may be missing) or one of its files.

    Raises:
      BagError: if there is none, or they are of a kind that is not read here.
    """
    if path.is_file():
        if path.suffix not in _KINDS:
            raise BagError(f"{path} is neither an .mcap nor a .db3 file")
        return (path,)
    if not path.is_dir():
        raise BagError(f"there is no bag at {path}")
    information = _information(path / METADATA_NAME)
    if information.get("compression_mode"):
        raise BagError(
            f"{path} is compressed by {information['compression_mode']}, which is not read here: "
            "convert it with `ros2 bag convert` to mcap without compression_mode"
        )
    listed = [path / Path(str(name)).name for name in information.get("relative_file_paths") or ()]
    files = [file for file in listed if file.suffix in _KINDS and file.is_file()]
    # metadata.yaml may be older than the last file of a recording that was cut off.
    found = sorted((file for kind in _KINDS for file in path.glob(f"*{kind}")), key=_natural)
    files += [file for file in found if file not in files]
    if not files:
        kinds = ", ".join(sorted({file.suffix or file.name for file in path.iterdir()})) or "nothing"
        raise BagError(f"no .mcap or .db3 file in {path} (it holds {kinds}): give the bag folder or one of its files")
    return tuple(files)


def _information(metadata: Path) -> dict[str, Any]:
    """metadata.yaml's content; nothing if it is missing or half written, the files tell enough."""
    try:
        loaded = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        information = loaded["rosbag2_bagfile_information"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return information if isinstance(information, dict) else {}


def _natural(path: Path) -> list[int | str]:
    """Sort key that puts bag_10 behind bag_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _topic(channel_id: int, contents: Contents, path: Path) -> Topic:
    store, type_name, topic = _described(channel_id, contents, path)
    return Topic(topic, type_name, store.fielddefs)


def _decoder(channel_id: int, contents: Contents, path: Path) -> tuple[str, Callable[[bytes], Any]]:
    store, name, topic = _described(channel_id, contents, path)

    def decode(data: bytes) -> Any:
        try:
            return store.deserialize_cdr(data, name)
        except (SerdeError, AssertionError, ValueError, IndexError) as error:
            raise BagError(f"a message on {topic} in {path} does not fit its definition {name}: {error}") from error

    return topic, decode


def _described(channel_id: int, contents: Contents, path: Path) -> tuple[Typestore, str, str]:
    """The type store made from a channel's own definition, its type and its topic."""
    channel = contents.channels[channel_id]
    schema = contents.schemas.get(channel.schema_id)
    where = f"{channel.topic} in {path}"
    if schema is None or channel.message_encoding != "cdr":
        raise BagError(f"{where} carries no ROS 2 message definition: record it with rosbag2's mcap storage")
    try:
        store = _type_store(schema.encoding, schema.name, schema.data)
    except (TypesysError, UnicodeDecodeError) as error:
        raise BagError(f"the message definition of {where} cannot be understood: {error}") from error
    if store is None:
        raise BagError(f"{where} is described in {schema.encoding!r}; only ros2msg and ros2idl are read")
    return store, schema.name, channel.topic


@lru_cache(maxsize=64)
def _type_store(encoding: str, name: str, definition: bytes) -> Typestore | None:
    """Types of a definition; None if the definition's language is not known.

    Each definition has a type store of its own: what stands in the file decides, not what this machine knows,
    and two files may hold two versions of one type.
    """
    text = definition.decode()
    if encoding == "ros2msg":
        types = get_types_from_msg(text, name)
    elif encoding in ("ros2idl", "omgidl"):
        types = {}
        for part in re.split(r"^=+\nIDL: .*\n", text, flags=re.MULTILINE):
            types.update(get_types_from_idl(part))
    else:
        return None
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


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
