# SPDX-License-Identifier: Apache-2.0
"""Makes a new, whole bag of what can still be read of a damaged one, so that stock tools open it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from safe_transfer_ros.bags.definitions import Definition
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.qos import OfferedQos, recorded_qos
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import FILE_NAME, LOST, METADATA_NAME, BagWriter
from safe_transfer_ros.untrusted import printable


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """Result of a repair.

    Attributes:
      messages: Messages that are in the new bag.
      lost: What is known to be lost, a line each; it also stands in the new bag, and whoever checks that is told.
    """

    messages: int
    lost: tuple[str, ...]


def repair(source: Path | str, target: Path | str, *, compression: str = "none") -> Repaired:
    """Copy every message that can be read, unchanged, with its own definitions and QoS, and index it.

    The damaged bag is left as it is.

    Args:
      source: The damaged bag.
      target: Folder of the new one; must not exist or be empty.
      compression: See `BagWriter`.

    Raises:
      BagError: if there is nothing to read, or the new bag cannot be written; then nothing is left of it.
    """
    bag, target = Bag(source), Path(target)
    BagWriter.check_empty(target)
    existed = target.exists()
    undefined: Counter[str] = Counter()
    unoffered: dict[str, str] = {}
    try:
        with BagWriter(target, compression=compression, custom_data={"repaired_from": str(source)}) as writer:
            _copy(bag, writer, undefined, unoffered)
            count = writer.message_count
            lost = [*bag.losses(), *(f"{topic}: {n} messages have no definition" for topic, n in undefined.items())]
            lost += [f"{topic}: its QoS, players offer the default: {why}" for topic, why in unoffered.items()]
            # In the new bag for good: it is whole, and nothing else would tell that it lacks something.
            writer.note(LOST, "\n".join(lost))
        if not count:
            raise BagError(f"nothing can be read of {source}, so that no new bag is made: {'; '.join(lost) or 'empty'}")
    except BaseException:
        for name in (METADATA_NAME, FILE_NAME.format(0)):
            (target / name).unlink(missing_ok=True)
        if not existed:
            with suppress(OSError):
                target.rmdir()
        raise
    return Repaired(messages=count, lost=tuple(lost))


def _copy(bag: Bag, writer: BagWriter, undefined: Counter[str], unoffered: dict[str, str]) -> None:
    """Copy messages; count those of topics that have no definition, and tell why a topic's QoS cannot be copied."""
    ids: dict[tuple[str, str], int] = {}
    for channel, schema, raw in bag.described():
        if schema is None:  # nothing could ever read it
            undefined[printable(channel.topic)] += 1
            continue
        key = (channel.topic, schema.name)
        if key not in ids:
            definition = Definition(
                type_name=schema.name,
                text=schema.data.decode(errors="replace"),
                type_hash=channel.metadata.get("topic_type_hash", ""),
                encoding=schema.encoding,
            )
            offered: list[OfferedQos] = []
            try:
                offered = recorded_qos(channel.metadata.get("offered_qos_profiles", ""))
            except ValueError as error:
                unoffered[printable(channel.topic)] = printable(error)
            ids[key] = writer.register(channel.topic, schema.name, offered, definition=definition)
        writer.write(ids[key], raw.data, raw.log_time_ns, raw.publish_time_ns, raw.sequence)
