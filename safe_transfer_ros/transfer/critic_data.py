# SPDX-License-Identifier: Apache-2.0
"""What a safety critic learns from and is judged on: transitions split by episode, in memory that does not grow."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.transfer.failures import Futures, futures, sight

Array = NDArray[np.float64]

_HELD_OUT = 5  # one episode in so many
_HELD_OUT_MOST = 250_000  # transitions that the calibration looks at: more would not change it, and take memory
_BLOCK = 8192
_COUNTED = 1000
_HASHED = ("observation", "applied", "mean", "stddev", "torque_limit", "cost", "terminated")
_HASHED += ("next_observation", "next_mean", "next_stddev", "next_torque_limit")  # type: ignore[assignment]


class TransitionColumns(Protocol):
    """Transitions by column: `bags.Transitions`, or a mapping of arrays."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; see `bags.transition_store.transition_dtype`."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """Transitions as training needs them. What grows with the recording lies in files, not in memory.

    Attributes:
      columns: All transitions.
      training: Rows to learn from, shape (m,).
      unsafe: How many of these led to an unsafe state.
      unsafe_episodes: In how many episodes; no longer counted when there are plenty.
      held_out: Rows of other episodes, shape (k,), with what followed them known.
      future: What followed each of these, shape (k,).
      digest: Hash of what the critic sees.
      action_bound: See `bounded`.
    """

    columns: TransitionColumns
    training: NDArray[np.int64]
    unsafe: int
    unsafe_episodes: int
    held_out: NDArray[np.int64]
    future: Futures
    digest: str
    action_bound: Array | None


def bounded(action: NDArray[Any], torque_limit: NDArray[Any], action_bound: Array | None) -> NDArray[Any]:
    """Actions as they act, which is what a critic judges.

    Args:
      action: Shape (m, n_actions).
      torque_limit: Limit in force, shape (m,), N·m; 0 in a recording that tells none.
      action_bound: Of motions of the tool, shape (n_actions,); None: actions are torques, bounded by the limit.
    """
    bound = np.where(torque_limit > 0.0, torque_limit, np.inf)[:, None] if action_bound is None else action_bound
    return np.asarray(np.clip(action, -bound, bound))


def action_bound(about: Mapping[str, Any]) -> Array | None:
    """The bound for `bounded`, from what transitions say of themselves."""
    bound = about.get("action_bound")
    return None if bound is None else np.asarray(bound, dtype=np.float64)


def data_set(
    columns: TransitionColumns, gamma: float, folder: Path | None = None, *, action_bound: Array | None = None
) -> DataSet:
    """Split transitions by episode, and look ahead from those held out.

    One episode in five is held out, by its number; so live and offline training hold out the same ones.

    Args:
      columns: All transitions.
      gamma: gamma_safe.
      folder: Where the list of rows to learn from is kept, in a file without a name; by default where temporary files
        are, which may be memory.
      action_bound: See `bounded`.

    Raises:
      ValueError: if there is nothing to learn from.
    """
    held_out = _held_out(columns)
    rows, unsafe, episodes = _RowFile(folder), 0, set[tuple[int, int]]()
    for block in blocks(len(held_out)):
        # Cut at its horizon, nobody knows the torque that would have come next. Such a step is left out even where it
        # failed: to keep just those would make failures look more frequent than they are.
        usable = np.isfinite(columns["next_mean"][block][:, 0]) | np.asarray(columns["terminated"][block])
        usable &= ~held_out[block]
        rows.add(np.flatnonzero(usable) + block.start)
        failed = np.flatnonzero(usable & (np.asarray(columns["cost"][block]) > 0.5)) + block.start
        unsafe += len(failed)
        if len(episodes) < _COUNTED:
            episodes |= {(int(columns["iteration"][row]), int(columns["episode"][row])) for row in failed}
    training = rows.close()
    if len(training) == 0:
        raise ValueError("no transition to learn from: the recordings hold no two consecutive steps of an episode")
    digest = hashlib.sha256(b"" if action_bound is None else action_bound.tobytes())
    for name in _HASHED:
        column = columns[name]
        for block in blocks(len(column)):
            digest.update(np.ascontiguousarray(column[block]).tobytes())
    parts, count = [], 0
    for block in blocks(len(held_out)):
        if count < _HELD_OUT_MOST:
            parts.append(np.flatnonzero(held_out[block]) + block.start)
            count += len(parts[-1])
    others = np.concatenate(parts)[:_HELD_OUT_MOST]
    future = futures(columns["chain"][others], columns["cost"][others], columns["terminated"][others])
    known = future.known(sight(gamma))
    return DataSet(
        columns=columns,
        training=training,
        unsafe=unsafe,
        unsafe_episodes=len(episodes),
        held_out=others[known],
        future=future.of(known),
        digest=digest.hexdigest()[:20],
        action_bound=action_bound,
    )


def blocks(count: int) -> Iterator[slice]:
    """Of rows, each small enough to be held in memory."""
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def _held_out(columns: TransitionColumns) -> NDArray[np.bool_]:
    """Which transitions are never learned from, shape (n,)."""
    count = len(columns["cost"])
    held_out = np.zeros(count, dtype=np.bool_)
    for block in blocks(count):
        number = columns["iteration"][block].astype(np.uint64) * np.uint64(1_000_003) + columns["episode"][block]
        held_out[block] = (number * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(_HELD_OUT) == 0
    if held_out.all() or not held_out.any():
        # Few episodes: every fifth stretch of each side; a single one is cut in the order of time.
        chain = np.unique(columns["chain"], return_inverse=True)[1]
        held_out = chain % _HELD_OUT == _HELD_OUT - 1
        if not held_out.any():
            held_out = np.arange(count) >= count * (_HELD_OUT - 1) // _HELD_OUT
    return held_out


class _RowFile:
    """Row numbers, appended to a file without a name and read as a memory map."""

    def __init__(self, folder: Path | None) -> None:
        self._file, self._count = tempfile.TemporaryFile(dir=folder), 0

    def add(self, rows: NDArray[np.int64]) -> None:
        self._file.write(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
        self._count += len(rows)

    def close(self) -> NDArray[np.int64]:
        with self._file:
            self._file.flush()
            if self._count == 0:  # cannot be mapped
                return np.empty(0, dtype=np.int64)
            return np.memmap(self._file, dtype=np.int64, mode="r", shape=(self._count,))
