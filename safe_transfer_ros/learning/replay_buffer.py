# SPDX-License-Identifier: Apache-2.0
"""A replay buffer: a ring of transitions in memory, or a recording's transitions as they lie on disk.

Everything random comes from the generator that a caller hands in, so equal buffers and equal generators give equal
samples. Termination and truncation are columns of their own: only the former ends what a value function looks ahead to.

The critics of this package draw single transitions from a ring. Buffers of recordings, sequences, hindsight relabelling
and the buffer's own `state` are for learners that other packages add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.transition_store import Transitions
from safe_transfer_ros.learning.transitions import Columns, TransitionColumns

Positions = NDArray[np.int64]

_NONE = -1
_ROUNDS = 32  # of drawing starts of sequences, before those that can be are counted


class Relabel(Protocol):
    """A task's way to pretend that what was reached had been the goal (Andrychowicz et al. 2017)."""

    def __call__(self, transitions: Columns, reached: Columns) -> Mapping[str, NDArray[Any]]:
        """Columns that change when the goal of each transition is what another reached.

        Args:
          transitions: n of them.
          reached: For each, a later transition of the same episode, or itself.

        Returns:
          The columns that change, n rows each: observations with the new goal in them, the reward and the ends for it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Hindsight:
    """Relabels at sampling, with goals from an episode's own future (HER's strategy "future").

    Attributes:
      relabel: The task's.
      share: Of the sampled transitions that get another goal; HER's k = 4 is .8.
    """

    relabel: Relabel
    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share must be in [0, 1], got {self.share}")


class ReplayBuffer:
    """A ring of the newest transitions, in arrays that are allocated once.

    Rows of one episode need not be added together nor next to each other: which follows which is told by the column
    `chain`, the running number of an unbroken stretch, and a stretch ends with its first terminated or truncated row.

    Attributes:
      schema: Names, types and shapes of its columns.
      capacity: Transitions it holds at most.
      added: Transitions it has ever taken in.
    """

    def __init__(self, capacity: int, schema: np.dtype[Any]) -> None:
        """Allocate.

        Args:
          capacity: Transitions it holds at most; then the oldest go.
          schema: See `transitions.schema`.

        Raises:
          ValueError: if the capacity is not positive.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 transition, got {capacity}")
        self.schema, self.capacity, self.added = schema, int(capacity), 0
        # Not written to yet, memory is not taken yet either.
        self._columns = {
            name: np.empty((self.capacity, *schema[name].shape), schema[name].base) for name in schema.names or ()
        }
        # Position of the transition that follows each.
        self._following: Positions | None = np.full(self.capacity, _NONE) if "chain" in self._columns else None
        # Of every stretch that has not ended, the running number of its newest transition.
        self._open: dict[int, int] = {}

    @classmethod
    def recorded(cls, transitions: Transitions | Path | str) -> ReplayBuffer:
        """A read-only buffer of a recording's transitions: memory maps, in constant time and memory.

        Args:
          transitions: A finished folder of transitions; see `bags.transition_store`.

        Raises:
          BagError: if the folder is not finished, or damaged.
          ValueError: if it holds no transition.
        """
        found = transitions if isinstance(transitions, Transitions) else Transitions(transitions)
        if not len(found):
            raise ValueError(f"{found.folder} holds no transition")
        return _RecordedBuffer(found)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, oldest transition first, shape (len(self), ...), read-only; a copy once the ring has wrapped."""
        column = self._column(name)
        if self.added > self.capacity:
            column = np.roll(column, -(self.added % self.capacity), axis=0)
        view = column[: len(self)]
        view.flags.writeable = False
        return view

    def since(self, added: int) -> dict[str, NDArray[Any]]:
        """Transitions after the first `added` ever added, by column, oldest first.

        Raises:
          ValueError: if some of it is gone, or was never there.
        """
        count = self.added - added
        if not 0 <= count <= len(self):
            raise ValueError(
                f"expected between {self.added - len(self)} and {self.added} transitions before those wanted, "
                f"got {added}: the others are no longer here"
            )
        rows = np.arange(added, self.added) % self.capacity
        return {name: column[rows] for name, column in self._columns.items()}

    def add(self, transitions: TransitionColumns) -> None:
        """Add transitions, in the order they were made; those beyond the capacity replace the oldest.

        Args:
          transitions: Every column of the schema, of as many rows each; others are ignored.

        Raises:
          ValueError: if a column has another shape than the schema says; nothing is taken in then.
        """
        fresh = {name: np.asarray(transitions[name]) for name in self._columns}
        count = len(next(iter(fresh.values())))
        for name, values in fresh.items():
            if values.shape != (count, *self.schema[name].shape):
                raise ValueError(
                    f"expected the column {name} with shape {(count, *self.schema[name].shape)}, got {values.shape}"
                )
        rows = np.arange(max(0, count - self.capacity), count)
        places = (self.added + rows) % self.capacity
        for name, values in fresh.items():
            self._columns[name][places] = values[rows]
        if self._following is not None:
            self._following[places] = _NONE
            self._link(fresh, count)
        self.added += count

    def clear(self) -> None:
        """Forget everything, as if nothing had ever been added."""
        self.added = 0
        self._open.clear()

    def sample(
        self, count: int, rng: np.random.Generator, *, hindsight: Hindsight | None = None
    ) -> dict[str, NDArray[Any]]:
        """Draw transitions, each equally likely, with replacement.

        Args:
          count: How many.
          rng: Draws them.
          hindsight: Gives some of them another goal.

        Returns:
          The columns, shape (count, ...).

        Raises:
          ValueError: if the buffer is empty.
        """
        if not len(self):
            raise ValueError("the buffer is empty: add transitions before sampling")
        places = rng.integers(0, len(self), count)
        drawn = self._rows(places)
        if hindsight is None:
            return drawn
        chosen = np.flatnonzero(rng.random(count) < hindsight.share)
        if not len(chosen):
            return drawn
        later = self._rows(self._later(places[chosen], rng))
        for name, values in hindsight.relabel({name: drawn[name][chosen] for name in drawn}, later).items():
            drawn[name][chosen] = values
        return drawn

    def sample_sequences(self, count: int, length: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Draw unbroken sequences of one episode each; every start that has enough behind it is equally likely.

        Args:
          count: How many.
          length: Transitions in each.
          rng: Draws them.

        Returns:
          The columns, extra ones such as hidden states included, shape (count, length, ...).

        Raises:
          ValueError: if no stretch is so long.
        """
        found: list[Positions] = []
        missing = count
        for _ in range(_ROUNDS):
            if missing < 1 or not len(self):
                break
            paths = self._paths(rng.integers(0, len(self), max(missing, 32)), length)
            found.append(paths[paths[:, -1] != _NONE][:missing])
            missing -= len(found[-1])
        if missing > 0:
            # Next to none is long enough: look at all.
            paths = self._paths(np.arange(len(self)), length)
            paths = paths[paths[:, -1] != _NONE]
            if not len(paths):
                raise ValueError(
                    f"expected a stretch of at least {length} transitions, got none that long among {len(self)}: "
                    "collect longer episodes or draw shorter sequences"
                )
            found.append(paths[rng.integers(0, len(paths), missing)])
        return self._rows(np.concatenate(found))

    def state(self) -> dict[str, Any]:
        """Complete state for `restore`: arrays and numbers."""
        used = slice(0, len(self))
        opened = np.array(sorted(self._open.items()), dtype=np.int64).reshape(-1, 2)
        state: dict[str, Any] = {"added": self.added, "capacity": self.capacity, "open": opened}
        if self._following is not None:
            state["following"] = self._following[used].copy()
        return state | {"columns": {name: column[used].copy() for name, column in self._columns.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from a state of `state`: the same samples, and the same rows are replaced later.

        Raises:
          ValueError: if the state is of a buffer of another capacity or schema.
        """
        columns, used = state["columns"], slice(0, min(int(state["added"]), self.capacity))
        if int(state["capacity"]) != self.capacity or set(columns) != set(self._columns):
            raise ValueError(
                f"expected the state of a buffer of {self.capacity} transitions with {sorted(self._columns)}, "
                f"got one of {int(state['capacity'])} with {sorted(columns)}"
            )
        for name, column in self._columns.items():
            values = np.asarray(columns[name])
            if values.shape != column[used].shape:
                raise ValueError(f"expected the column {name} with shape {column[used].shape}, got {values.shape}")
        for name, column in self._columns.items():
            column[used] = columns[name]
        if self._following is not None:
            self._following[:] = _NONE
            self._following[used] = state["following"]
        self._open = {int(chain): int(newest) for chain, newest in state["open"]}
        self.added = int(state["added"])

    def _column(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            raise KeyError(f"the buffer has no column '{name}'; it has {', '.join(self._columns)}")
        return self._columns[name]

    def _rows(self, places: Positions) -> dict[str, NDArray[Any]]:
        """Copies of these rows of every column, in the shape of `places`."""
        return {name: column.take(places, axis=0) for name, column in self._columns.items()}

    def _next(self, places: Positions) -> Positions:
        """Position of the transition that follows each, _NONE where none does; _NONE stays so."""
        if self._following is None:
            raise ValueError(
                "expected a buffer with the column 'chain', which tells what follows what: add it to the schema"
            )
        return np.where(places == _NONE, _NONE, self._following[places])

    def _paths(self, starts: Positions, length: int) -> Positions:
        """Positions of the transitions from each start on, shape (n, length), _NONE beyond the stretch's end."""
        paths = np.empty((len(starts), length), dtype=np.int64)
        at = starts
        for step in range(length):
            paths[:, step] = at
            at = self._next(at)
        return paths

    def _later(self, places: Positions, rng: np.random.Generator) -> Positions:
        """Draw for each a transition from the rest of its stretch, itself included, uniformly."""
        path, at = [places], self._next(places)
        while (at != _NONE).any():
            path.append(at)
            at = self._next(at)
        steps = np.stack(path)
        ahead = rng.integers(0, np.count_nonzero(steps != _NONE, axis=0))
        return np.asarray(steps[ahead, np.arange(len(places))])

    def _link(self, fresh: Columns, count: int) -> None:
        """Link each fresh row with its successor and its predecessor."""
        assert self._following is not None
        chain = fresh["chain"]
        ended = np.zeros(count, dtype=np.bool_)
        for end in ("terminated", "truncated"):
            ended |= np.asarray(fresh[end] if end in fresh else False, dtype=np.bool_)
        order = np.argsort(chain, kind="stable")
        before, after = order[:-1], order[1:]
        joined = (chain[before] == chain[after]) & ~ended[before]
        self._join(self.added + before[joined], self.added + after[joined], count)
        begins = np.concatenate([[True], chain[before] != chain[after]]) if count else np.empty(0, dtype=np.bool_)
        for row in order[begins].tolist():
            newest = self._open.pop(int(chain[row]), None)
            if newest is not None:
                self._join(np.array([newest]), np.array([self.added + row]), count)
        ends = np.concatenate([begins[1:], [True]]) if count else begins
        for row in order[ends].tolist():
            if not ended[row]:
                self._open[int(chain[row])] = self.added + row

    def _join(self, before: Positions, after: Positions, count: int) -> None:
        """Link transitions by their running numbers, but for those that the ring no longer holds."""
        assert self._following is not None
        held = before >= self.added + count - self.capacity
        self._following[before[held] % self.capacity] = after[held] % self.capacity


class _RecordedBuffer(ReplayBuffer):
    """A recording's columns, whose rows follow each other as they lie."""

    def __init__(self, transitions: Transitions) -> None:
        names = sorted(path.stem for path in transitions.folder.glob("*.npy"))
        self._columns = {name: transitions[name] for name in names}
        fields = [(name, column.dtype, column.shape[1:]) for name, column in self._columns.items()]
        self.schema, self.capacity, self.added = np.dtype(fields), len(transitions), len(transitions)

    def add(self, transitions: TransitionColumns) -> None:
        raise ValueError("a recording cannot be added to: add its columns to a ReplayBuffer of your own")

    def clear(self) -> None:
        raise ValueError("a recording cannot be cleared: it is read-only")

    def restore(self, state: Mapping[str, Any]) -> None:
        raise ValueError("a recording has no state to restore: open its folder again")

    def state(self) -> dict[str, Any]:
        raise ValueError("a recording has no state to keep: its folder is the state")

    def _next(self, places: Positions) -> Positions:
        chain = self._columns["chain"]
        here, after = np.maximum(places, 0), np.minimum(places + 1, self.capacity - 1)
        follows = (places != _NONE) & (places + 1 < self.capacity) & (chain[here] == chain[after])
        ended = self._columns["terminated"][here] | self._columns["truncated"][here]
        return np.where(follows & ~ended, places + 1, _NONE)
