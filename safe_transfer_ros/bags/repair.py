# SPDX-License-Identifier: Apache-2.0
"""Makes a new, whole bag of what can still be read of a damaged one, so that stock tools open it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from safe_transfer_ros.bags.definitions import Definition
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.record import BagWriter


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What came of it.

    Attributes:
      messages: Messages that are in the new bag.
      lost: What could not be read, a line a damaged file.
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
      BagError: if there is nothing to read, or the new bag cannot be written.
    """
    bag = Bag(source)
    ids: dict[tuple[str, str], int] = {}
    with BagWriter(target, compression=compression, custom_data={"repaired_from": str(source)}) as writer:
        for channel, schema, raw in bag.described():
            if schema is None:
                raise BagError(f"{channel.topic} in {bag.path} has no message definition: nothing could read it")
            key = (channel.topic, schema.name)
            if key not in ids:
                definition = Definition(
                    type_name=schema.name,
                    text=schema.data.decode(errors="replace"),
                    type_hash=channel.metadata.get("topic_type_hash", ""),
                    encoding=schema.encoding,
                )
                profiles = yaml.safe_load(channel.metadata.get("offered_qos_profiles") or "[]")
                ids[key] = writer.register(channel.topic, schema.name, profiles or [], definition=definition)
            writer.write(ids[key], raw.data, raw.log_time_ns, raw.publish_time_ns, raw.sequence)
        count = writer.message_count
    return Repaired(messages=count, lost=tuple(one.describe() for one in bag.damage if not one.whole))
