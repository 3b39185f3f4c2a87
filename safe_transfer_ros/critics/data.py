# SPDX-License-Identifier: Apache-2.0
"""Training and held-out data of a safety critic: transitions split by episode, in memory that does not grow."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.critics.calibration import Futures, futures, sight
from safe_transfer_ros.learning.transitions import TransitionColumns

Array = NDArray[np.float64]

# Of ten episodes two judge the critic when it is done and one, another, says when to stop: what chose among critics
# would flatter the one it chose.
_TENTHS = 10
_JUDGING, _STOPPING = (0, 5), (1,)
_HELD_OUT_MOST = 250_000  # transitions that the calibration looks at: more would not change it, and take memory
_BLOCK = 8192
_COUNTED = 1000
_HASHED = ("observation", "applied", "mean", "stddev", "bound", "torque_limit", "cost", "terminated")
_HASHED += ("next_observation", "next_mean", "next_stddev", "next_bound", "next_torque_limit")  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Row numbers of transitions never learned from, and what followed these.

    Attributes:
      rows: Those with what followed them known, shape (k,).
      future: What followed each, shape (k,).
    """

    rows: NDArray[np.int64]
    future: Futures


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """Transitions as training needs them. What grows with the recording lies in files, not in memory.

    Attributes:
      columns: All transitions.
      training: Rows to learn from, shape (m,).
      unsafe: How many of these led to an unsafe state.
      unsafe_episodes: In how many episodes; no longer counted when there are plenty.
      stopping: Of other episodes, those that say when training ends.
      judging: Of yet others, those that the critic is judged on.
      digest: Hash of what the critic sees.
      action_bound: See `bounded`.
    """

    columns: TransitionColumns
    training: NDArray[np.int64]
    unsafe: int
    unsafe_episodes: int
    stopping: HeldOut
    judging: HeldOut
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
    """Bound for `bounded`, from the metadata of transitions."""
    bound = about.get("action_bound")
    return None if bound is None else np.asarray(bound, dtype=np.float64)


def data_set(
    columns: TransitionColumns, gamma: float, folder: Path | None = None, *, action_bound: Array | None = None
) -> DataSet:
    """Split transitions by episode, and look ahead from those held out.

    Three episodes in ten are held out, by their numbers; so live and offline training hold out the same ones.

    Args:
      columns: All transitions.
      gamma: gamma_safe.
      folder: Where the list of rows to learn from is kept, in a file without a name; by default where temporary files
        are, which may be memory.
      action_bound: See `bounded`.

    Raises:
      ValueError: if there is nothing to learn from.
    """
    count = len(columns["cost"])
    nothing = (
        "no transition to learn from: expected steps of an episode that follow each other, with nothing refused in "
        f"between, got {count} transitions, of which none can be used; record whole episodes"
    )
    if count == 0:
        raise ValueError(nothing)
    tenth = _tenths(columns)
    rows, unsafe, episodes = _RowFile(folder), 0, set[tuple[int, int]]()
    for block in blocks(len(tenth)):
        # Cut at its horizon, nobody knows the torque that would have come next. Such a step is left out even where it
        # failed: to keep just those would make failures look more frequent than they are.
        usable = np.isfinite(columns["next_mean"][block][:, 0]) | np.asarray(columns["terminated"][block])
        usable &= ~np.isin(tenth[block], _STOPPING + _JUDGING)
        rows.add(np.flatnonzero(usable) + block.start)
        failed = np.flatnonzero(usable & (np.asarray(columns["cost"][block]) > 0.5)) + block.start
        unsafe += len(failed)
        if len(episodes) < _COUNTED:
            episodes |= {(int(columns["iteration"][row]), int(columns["episode"][row])) for row in failed}
    training = rows.close()
    if len(training) == 0:
        raise ValueError(nothing)
    digest = hashlib.sha256(b"" if action_bound is None else action_bound.tobytes())
    for name in _HASHED:
        column = columns[name]
        for block in blocks(len(column)):
            digest.update(np.ascontiguousarray(column[block]).tobytes())
    return DataSet(
        columns=columns,
        training=training,
        unsafe=unsafe,
        unsafe_episodes=len(episodes),
        stopping=_held_out(columns, tenth, _STOPPING, gamma),
        judging=_held_out(columns, tenth, _JUDGING, gamma),
        digest=digest.hexdigest()[:20],
        action_bound=action_bound,
    )


def blocks(count: int) -> Iterator[slice]:
    """Blocks of rows, each small enough to be held in memory."""
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def _held_out(columns: TransitionColumns, tenth: NDArray[np.uint8], which: tuple[int, ...], gamma: float) -> HeldOut:
    """The transitions in these tenths, `_HELD_OUT_MOST` at most, with what followed them where that is known."""
    parts, count = [np.empty(0, dtype=np.int64)], 0
    for block in blocks(len(tenth)):
        if count < _HELD_OUT_MOST:
            parts.append(np.flatnonzero(np.isin(tenth[block], which)) + block.start)
            count += len(parts[-1])
    rows = np.concatenate(parts)[:_HELD_OUT_MOST]
    future = futures(columns["chain"][rows], columns["cost"][rows], columns["terminated"][rows])
    known = future.known(sight(gamma))
    return HeldOut(rows=rows[known], future=future.of(known))


def _tenths(columns: TransitionColumns) -> NDArray[np.uint8]:
    """Tenth of the episodes that each transition is in, shape (n,), 0 to 9."""
    count = len(columns["cost"])
    tenth, held = np.zeros(count, dtype=np.uint8), np.zeros(_TENTHS, dtype=np.int64)
    for block in blocks(count):
        number = columns["iteration"][block].astype(np.uint64) * np.uint64(1_000_003) + columns["episode"][block]
        tenth[block] = (number * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(_TENTHS)
        held += np.bincount(tenth[block], minlength=_TENTHS)
    parts = held[list(_JUDGING)].sum(), held[list(_STOPPING)].sum()
    if not all(parts) or sum(parts) == count:
        # Few episodes: each stretch a tenth, from the last one on; one or two are cut, in the order of time.
        chain = np.unique(columns["chain"], return_inverse=True)[1]
        tenth = ((chain.max() - chain) % _TENTHS).astype(np.uint8)
        if chain.max() < 2:
            back = np.arange(count)[::-1] * _TENTHS // count
            tenth = np.array([_JUDGING[0], _JUDGING[1], _STOPPING[0], *[_TENTHS - 1] * 7], dtype=np.uint8)[back]
    return tenth


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
