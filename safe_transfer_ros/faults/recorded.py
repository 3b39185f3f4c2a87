# SPDX-License-Identifier: Apache-2.0
"""Whether all that was published is in the bag."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safe_transfer_ros import topic_names as names
from safe_transfer_ros.bags.read import Bag

COMMANDS, DECISIONS = names.in_bag(names.commands("effort_controller")), names.in_bag(names.DECISIONS)
STATES, ACTIONS = names.in_bag(names.JOINT_STATES), names.in_bag(names.PROPOSALS)
_STAMP = struct.Struct("<iI")  # a header's stamp, right behind the four bytes that begin every CDR message


@dataclass(kw_only=True)
class Published:
    """Messages published in a span of time.

    Attributes:
      messages: How often the observer saw each message of the filter, by `key`.
      stamps: Stamps of what the stand-ins say they have published, by topic.
    """

    messages: Counter[int] = field(default_factory=Counter)
    stamps: dict[str, set[int]] = field(default_factory=dict)


def key(topic: str, data: bytes) -> int:
    """A number for a message: the same bytes, the same number, in this process."""
    return hash((topic, data))


def missing(bags: Sequence[Path], published: Sequence[Published]) -> list[int]:
    """Number of messages of each span that are in none of the bags; a bag may still be being written."""
    seen: Counter[int] = Counter()
    stamps: dict[str, set[int]] = {STATES: set(), ACTIONS: set()}
    for bag in bags:
        if not list(bag.glob("*.mcap")):
            continue  # a recorder that was stopped before it began
        for message in Bag(bag).recorded((COMMANDS, DECISIONS, STATES, ACTIONS)):
            if message.topic in stamps:
                if len(message.data) >= 12:
                    seconds, nanoseconds = _STAMP.unpack_from(message.data, 4)
                    stamps[message.topic].add(seconds * 1_000_000_000 + nanoseconds)
            else:
                seen[key(message.topic, message.data)] += 1
    lost = []
    for span in published:
        # Equal commands follow each other while torque is zero or steady, so they are counted, and used up.
        count = (span.messages - seen).total()
        seen -= span.messages
        lost.append(count + sum(len(wanted - stamps[topic]) for topic, wanted in span.stamps.items()))
    return lost
