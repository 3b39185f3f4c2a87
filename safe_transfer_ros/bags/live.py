# SPDX-License-Identifier: Apache-2.0
"""Transitions from decisions as they arrive, serialised: the same bytes give the same transitions as from a bag."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.transition_store import Transitions, TransitionWriter, transition_dtype
from safe_transfer_ros.bags.transitions import Counts, about_task, decision_reader, transition_builder
from safe_transfer_ros.tasks.deployment import TaskInGraph

DECISION_TYPE = "safe_transfer_msgs/msg/SafetyDecision"
LARGEST_BYTES = 64 * 1024  # of a decision: an arm of a hundred joints has a tenth of it
_BLOCK = 256


class LiveTransitions:
    """Collects decisions into a folder of transitions.

    Args:
      folder: Folder to create; must not exist or be empty.
      graph: The task being done.
      definitions: Where the message's definition is found; by default the installed packages.

    A decision that cannot be read, or is of another arm or task, is left out: it is one message among good ones.

    Attributes:
      left_out: Decisions that were left out.
      refusal: Why the newest of them was; empty: none was.

    Raises:
      BagError: if the folder holds something, or the message is not installed.
    """

    def __init__(self, folder: Path | str, graph: TaskInGraph, definitions: MessageDefinitions | None = None) -> None:
        store = get_typestore(Stores.EMPTY)
        text = (definitions or MessageDefinitions()).find(DECISION_TYPE).text
        store.register(get_types_from_msg(text, DECISION_TYPE))
        self._graph = graph
        self._reader = decision_reader(store.fielddefs, DECISION_TYPE, graph)
        self._builder = transition_builder(graph)
        self._writer = TransitionWriter(folder, transition_dtype(graph.task.action_size, graph.task.observation_size))
        self._waiting: list[bytes] = []
        self.left_out = 0
        self.refusal = ""

    @property
    def counts(self) -> Counts:
        """Counts so far, without the newest messages."""
        return self._builder.counts

    def add(self, message: bytes) -> None:
        """Process the next SafetyDecision, serialised."""
        if len(message) > LARGEST_BYTES:
            self.left_out += 1
            self.refusal = f"a decision of {len(message)} bytes, expected at most {LARGEST_BYTES}"
            return
        self._waiting.append(bytes(message))
        if len(self._waiting) >= _BLOCK:
            self._take_in()

    def flush(self) -> None:
        """Process the pending messages, so that `counts` is complete."""
        self._take_in()

    def close(self) -> Transitions:
        """End; the transitions can now be trained from, here or later."""
        self._take_in()
        self._builder.finish()
        counts = dataclasses.asdict(self._builder.counts)
        sources = [{"bag": "live", "counts": counts, "damage": []}]
        self._writer.close(
            about_task(self._graph) | {"critics": self._reader.critics or [""], "counts": counts, "sources": sources}
        )
        return Transitions(self._writer.folder)

    def _take_in(self) -> None:
        waiting, self._waiting = self._waiting, []  # taken before they are read: one that is refused comes up once
        try:
            blocks = list(self._reader.rows(waiting))
        except BagError:
            blocks = list(self._readable(waiting))
        for rows in blocks:
            self._writer.add(self._builder.add(rows))

    def _readable(self, messages: Sequence[bytes]) -> Iterator[NDArray[Any]]:
        for message in messages:
            try:
                yield from self._reader.rows([message])
            except BagError as error:
                self.left_out, self.refusal = self.left_out + 1, str(error)
