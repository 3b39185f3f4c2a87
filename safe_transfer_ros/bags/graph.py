# SPDX-License-Identifier: Apache-2.0
"""The graph that a bag is of: a recorded topic has its whole name, the graph's namespace included."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.topic_names import DECISIONS, RUN_CONFIG, in_bag


class _Ending(Collection[str]):
    """Topics of these names, in any namespace."""

    def __init__(self, *names: str) -> None:
        self._names = tuple(f"/{name}" for name in names)

    def __contains__(self, topic: object) -> bool:
        return isinstance(topic, str) and topic.endswith(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def namespace(bag: Bag) -> str:
    """Namespace of the graph that a bag is of, by the first decision or configuration in it; empty: the root.

    Raises:
      BagError: if the bag cannot be read.
    """
    for message in bag.recorded(_Ending(DECISIONS, RUN_CONFIG)):
        name = DECISIONS if message.topic.endswith(f"/{DECISIONS}") else RUN_CONFIG
        return message.topic.removesuffix(f"/{name}")
    return ""


def messages(bag: Bag, names: Collection[str], within: str | None = None) -> Iterator[tuple[str, Any, int]]:
    """Decoded messages of a graph's topics, under their names in the graph.

    Args:
      bag: The bag.
      names: Relative to the graph's namespace, see `topic_names`.
      within: That namespace; None: the bag's own, see `namespace`.

    Yields:
      (name, message, log_time_ns), as `Bag.messages` does.
    """
    inside = namespace(bag) if within is None else within
    known = {in_bag(name, inside): name for name in names}
    for topic, message, log_time_ns in bag.messages(known):
        yield known[topic], message, log_time_ns
