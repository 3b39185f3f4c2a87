# SPDX-License-Identifier: Apache-2.0
"""Record of a process's actions, in a file that survives it: one fixed record per event, appended at once.

The observer's word for what was published would be hearsay. A stand-in writes down each message just before it is
published (from then on it may be on its way) and again just after (from then on it must not be lost).
"""

from __future__ import annotations

import os
import struct
import time
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

_RECORD = struct.Struct("<qqdq")
_DTYPE = np.dtype([("time_ns", "<i8"), ("stamp_ns", "<i8"), ("value", "<f8"), ("kind", "<i8")])


class Kind(IntEnum):
    """Kind of a record."""

    GOOD = 0  # a message as it should be is about to be published
    BAD = 1  # a message that must be refused is about to be published
    SENT = 2  # publish() of either has returned
    STALL = 3  # this machine did not run a waiting thread for `value` seconds


class Ledger:
    """Appends to one file; records of a killed process are whole."""

    def __init__(self, path: Path | str) -> None:
        """Open `path` for appending, creating it."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, kind: Kind, stamp_ns: int = 0, value: float = 0.0) -> None:
        """Append one record with the time of now, CLOCK_MONOTONIC."""
        os.write(self._file, _RECORD.pack(time.monotonic_ns(), stamp_ns, value, kind))


def read(path: Path, first: int = 0) -> npt.NDArray[np.void]:
    """Records from number `first` on, shape (n,): time_ns, stamp_ns, value, kind; none if there is no file yet."""
    there = count(path) - first
    if there <= 0:
        return np.empty(0, _DTYPE)
    return np.fromfile(path, _DTYPE, count=there, offset=first * _RECORD.size)


def count(path: Path) -> int:
    """Whole records in a file; 0 if there is no file yet."""
    try:
        return path.stat().st_size // _RECORD.size
    except FileNotFoundError:
        return 0
