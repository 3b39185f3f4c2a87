# SPDX-License-Identifier: Apache-2.0
"""Transitions on disk: one .npy file per column, written as they come, read as memory maps.

A folder of columns is opened in constant time and memory however long the recording was, and by any program that
knows numpy's format. Without its about.json a folder was not finished, and is refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.files import FolderLock, write_atomically
from safe_transfer_ros.safety.filter.proposal import LAWS, Distribution
from safe_transfer_ros.untrusted import read_text

ABOUT = "about.json"
_FORMAT = 2
# Columns that format 1 did not have. It held Gaussian and deterministic actions only, told apart by their spread.
_SINCE_2 = ("distribution", "bound", "log_density", "next_distribution", "next_bound")


def transition_dtype(n_actions: int, n_observations: int) -> np.dtype[Any]:
    """One transition (s, a, r, c, s') as a numpy structure.

    Fields: stamp_ns of s; iteration, episode, step as proposed; chain, the running number of the unbroken stretch it
    belongs to (transition i + 1 follows i wherever both have the same chain); observation and next_observation
    (n_observations,); proposed action, chosen (the one proposed, or what a critic let pass instead; before any bound)
    and applied, as a critic judges it: the torque sent to the arm, N·m, or the motion chosen, cut to its bound, each
    (n_actions,); the law proposed in s: distribution, index into `safety.filter.proposal.LAWS`, mean, stddev (0 where
    it is deterministic) and bound (NaN but for a tanh Gaussian), and log_density, the logarithm of the density that the
    action chosen had under it (NaN where it has none); next_distribution, next_mean, next_stddev and next_bound of the
    law in s' (the arrays NaN where the episode ended there); torque_limit in s and in s', N·m; reward, of the action
    chosen; unsafety of s'; cost, 1 where s' is unsafe; terminated; truncated; risk; policy_version; critic, index into
    the store's list of critic versions.
    """
    actions, seen = (n_actions,), (n_observations,)
    return np.dtype(
        [
            ("stamp_ns", "<i8"),
            ("iteration", "<u4"),
            ("episode", "<u4"),
            ("step", "<u4"),
            ("chain", "<i4"),
            ("observation", "<f4", seen),
            ("proposed", "<f4", actions),
            ("chosen", "<f4", actions),
            ("applied", "<f4", actions),
            ("mean", "<f4", actions),
            ("stddev", "<f4", actions),
            ("distribution", "u1"),
            ("bound", "<f4", actions),
            ("log_density", "<f4"),
            ("torque_limit", "<f4"),
            ("reward", "<f4"),
            ("cost", "<f4"),
            ("unsafety", "<f4"),
            ("next_observation", "<f4", seen),
            ("next_mean", "<f4", actions),
            ("next_stddev", "<f4", actions),
            ("next_distribution", "u1"),
            ("next_bound", "<f4", actions),
            ("next_torque_limit", "<f4"),
            ("terminated", "?"),
            ("truncated", "?"),
            ("risk", "<f4"),
            ("policy_version", "<u8"),
            ("critic", "<i2"),
        ]
    )


class TransitionWriter:
    """Appends transitions to a new folder; finished by `close`.

    Use as a context manager: left by an error, nothing stays behind that would stand in the way of another try.

    Args:
      folder: Folder to create; must not exist or be empty, but for what an unfinished writer left there.
      dtype: See `transition_dtype`.

    Raises:
      BagError: if the folder holds something.
    """

    def __init__(self, folder: Path | str, dtype: np.dtype[Any]) -> None:
        self.folder, self._dtype, self.count = Path(folder), dtype, 0
        self._created = not self.folder.exists()
        self._closed = False
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = FolderLock(self.folder)
        except BlockingIOError:
            raise BagError(f"{self.folder} is being written by another process: choose another folder") from None
        except OSError as error:
            raise BagError(f"cannot lock {self.folder}: {error.strerror or error}; choose another folder") from error
        # Columns without an about.json are of a writer that was killed: worth nothing to anybody.
        unfinished = {f"{name}.npy" for name in dtype.names or ()}
        if any(entry.is_symlink() or entry.name not in unfinished for entry in self.folder.iterdir()):
            self._lock.close()
            raise BagError(f"{self.folder} already holds something: choose another folder for the transitions")
        self._files: dict[str, BinaryIO] = {}
        for name in dtype.names or ():
            file = open(self.folder / f"{name}.npy", "wb")
            file.write(_header(dtype[name], 0))
            self._files[name] = file

    def add(self, transitions: NDArray[Any]) -> None:
        """Append a structured array of the writer's dtype."""
        for name, file in self._files.items():
            file.write(np.ascontiguousarray(transitions[name]).tobytes())
        self.count += len(transitions)

    def close(self, about: Mapping[str, Any]) -> None:
        """Make the folder valid: final headers, then about.json with what the transitions are."""
        for name, file in self._files.items():
            file.seek(0)
            file.write(_header(self._dtype[name], self.count))
            file.close()
        text = json.dumps({"format": _FORMAT, "count": self.count} | dict(about), indent=1)
        write_atomically(self.folder / ABOUT, text + "\n")
        self._closed = True
        self._lock.close()

    def __enter__(self) -> TransitionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        if not self._closed:
            self._closed = True
            if kind is not None:
                self._remove()
            self._lock.close()

    def _remove(self) -> None:
        """Take away what was written."""
        for name in self._files:
            (self.folder / f"{name}.npy").unlink(missing_ok=True)
        if self._created:
            with suppress(OSError):  # somebody else has put something there
                self.folder.rmdir()


def _header(column: np.dtype[Any], count: int) -> bytes:
    # numpy pads its headers so that the first dimension can grow in place.
    base, shape = column.subdtype if column.subdtype is not None else (column, ())
    described = {"descr": base.str, "fortran_order": False, "shape": (count, *shape)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


class Transitions:
    """A finished folder of transitions; columns are memory maps.

    Args:
      folder: Written by `TransitionWriter`.

    Attributes:
      about: Content of about.json.

    Raises:
      BagError: if it is not finished, or damaged.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        damaged = f"{self.folder / ABOUT} is damaged: run safe_transfer bag to-transitions again"
        try:
            about = json.loads(read_text(self.folder / ABOUT))
        except OSError as error:
            raise BagError(
                f"{self.folder} holds no finished transitions (no {ABOUT}): run safe_transfer bag to-transitions again"
            ) from error
        except (ValueError, RecursionError) as error:
            raise BagError(damaged) from error
        if not isinstance(about, dict) or type(about.get("count")) is not int or about["count"] < 0:
            raise BagError(damaged)
        self.about: dict[str, Any] = about
        self._columns: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return int(self.about["count"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, shape (count, ...), read-only; see `transition_dtype`."""
        if name in _SINCE_2 and self.about.get("format") == 1:
            return self._of_format_1(name)
        if name not in self._columns:
            path = self.folder / f"{name}.npy"
            if path.exists() and not path.is_file():  # a pipe could keep a reader waiting for ever
                raise BagError(f"the column {path} is no regular file")
            try:
                # A file of no rows cannot be mapped.
                column = np.load(path, mmap_mode="r" if len(self) else None, allow_pickle=False)
            except (OSError, ValueError, OverflowError, MemoryError) as error:
                raise BagError(f"the column {path} is missing or damaged: {error}") from error
            if not isinstance(column, np.ndarray) or column.ndim == 0 or column.dtype.kind not in "biuf":
                raise BagError(f"the column {path} is damaged: it holds other than a number for each row")
            if len(column) != len(self):
                raise BagError(f"the column {path} has {len(column)} rows, not {len(self)}")
            self._columns[name] = column
        return self._columns[name]

    def _of_format_1(self, name: str) -> NDArray[Any]:
        if name in ("bound", "next_bound"):
            return np.broadcast_to(np.float32(np.nan), self["mean"].shape)
        if name == "log_density":
            return np.broadcast_to(np.float32(np.nan), (len(self),))
        deterministic = (self[name.replace("distribution", "stddev")] == 0.0).all(axis=1)
        return np.where(deterministic, LAWS.index(Distribution.DETERMINISTIC), 0).astype(np.uint8)
