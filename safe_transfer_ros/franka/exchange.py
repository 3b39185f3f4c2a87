# SPDX-License-Identifier: Apache-2.0
"""Newest command, order and state between the arm's process and the ROS side, in memory that both map.

Each record has one writer and a number that is odd while it is written (a sequence lock), so nobody ever waits: a
reader that meets a half-written record keeps the one before, and a writer that is killed in the middle leaves a record
that is never read again, which looks like silence. Plain loads and stores in program order, as x86-64 keeps them;
libfranka's wheel is for nothing else.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

JOINTS = 7
WORDS = 240  # bytes of a sentence
_TRIES = 8


class OrderKind(IntEnum):
    """Wishes of an operator."""

    START = 1
    STOP = 2
    RECOVER = 3


COMMAND = np.dtype(
    [("torque", "f8", JOINTS), ("torque_limit", "f8"), ("received_ns", "i8"), ("permitted", "i8")], align=True
)
"""From the ROS side: torque, N·m; T_lim, N·m; steady time of receipt; whether the supervisor permits torque."""

ORDER = np.dtype([("number", "i8"), ("kind", "i8"), ("given_ns", "i8")], align=True)
"""From the ROS side: the newest order, its number one above that of the order before."""

STATE = np.dtype(
    [
        ("cycle", "i8"),  # states read since the process began
        ("stamp_ns", "i8"),  # steady time at which this one was read
        ("arm_ms", "i8"),  # the arm's own time
        ("position", "f8", JOINTS),  # rad
        ("velocity", "f8", JOINTS),  # rad/s
        ("effort", "f8", JOINTS),  # measured, N·m
        ("external", "f8", JOINTS),  # the arm's estimate of external torque, N·m
        ("sent", "f8", JOINTS),  # torque written last, N·m
        ("mode", "i8"),  # ArmMode
        ("moving", "i8"),  # a motion of ours is under way
        ("standing", "i8"),  # Cause that stands against a motion now
        ("ended", "i8"),  # Cause for which the last motion ended
        ("success_rate", "f8"),  # of the arm's last 100 cycles, in [0, 1]
        ("lost", "i8"),  # the arm's cycles in this motion that brought no state
        ("read_to_write_ns", "i8"),  # of the last cycle
        ("slowest_ns", "i8"),  # the longest of this motion
        ("answered", "i8"),  # number of the newest order that is done or refused
        ("refused", "i8"),
        ("words", f"S{WORDS}"),  # why, in the arm's or libfranka's own words
    ],
    align=True,
)
"""From the arm's process."""

_HEADER = 64  # bytes before each record: a number, on a cache line of its own


def _room(kind: np.dtype[np.void]) -> int:
    return _HEADER + (kind.itemsize + 63) // 64 * 64


SIZE = _room(COMMAND) + _room(ORDER) + _room(STATE)


class _Slot:
    """Place of one record in the memory."""

    def __init__(self, memory: mmap.mmap, offset: int, kind: np.dtype[np.void]) -> None:
        self._number: npt.NDArray[np.uint64] = np.ndarray(1, np.uint64, memory, offset)
        self._shared = np.ndarray(kind.itemsize, np.uint8, memory, offset + _HEADER)
        self.record = np.zeros(1, kind)
        self._own = self.record.view(np.uint8).reshape(-1)


class Writer(_Slot):
    """Writing end: fill in `record[0]`, then `publish`."""

    def publish(self) -> None:
        """Make the record the newest."""
        number = int(self._number[0]) | 1  # odd also if a writer before us was killed in the middle
        self._number[0] = number
        self._shared[:] = self._own
        self._number[0] = number + 1


class Reader(_Slot):
    """Reading end: `record` is the newest that was read whole."""

    def __init__(self, memory: mmap.mmap, offset: int, kind: np.dtype[np.void]) -> None:
        """Have read nothing: a record of zeros."""
        super().__init__(memory, offset, kind)
        self._copy = np.zeros_like(self._own)
        self._read = 0

    def read(self) -> bool:
        """Take the newest record; whether there is a newer one than before."""
        for _ in range(_TRIES):
            before = int(self._number[0])
            if before == self._read:
                return False
            self._copy[:] = self._shared
            if not before & 1 and int(self._number[0]) == before:
                self._own[:] = self._copy
                self._read = before
                return True
        return False


End = TypeVar("End", bound=_Slot)


class Exchange:
    """Memory of the two processes; it has no name, so nobody else can map it, and it goes when both have gone.

    Attributes:
      descriptor: File descriptor to be handed down.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Map the memory.

        Args:
          descriptor: As handed down; None: new memory.

        Raises:
          ValueError: if what was handed down is not such memory.
        """
        if descriptor is None:
            descriptor = os.memfd_create("safe_transfer_franka", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, SIZE)
        if os.fstat(descriptor).st_size != SIZE:
            raise ValueError(f"expected {SIZE} bytes of shared memory, got {os.fstat(descriptor).st_size}")
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)

    def commands(self, end: type[End]) -> End:
        """One end of the commands."""
        return end(self._memory, 0, COMMAND)

    def orders(self, end: type[End]) -> End:
        """One end of the orders."""
        return end(self._memory, _room(COMMAND), ORDER)

    def states(self, end: type[End]) -> End:
        """One end of the states."""
        return end(self._memory, _room(COMMAND) + _room(ORDER), STATE)
