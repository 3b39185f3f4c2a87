# SPDX-License-Identifier: Apache-2.0
"""A console that never makes a process wait: what a full pipe or a held terminal does not take is lost.

A log line is written by the thread that logs, which in a control loop is the one that commands torques. With a pipe
that nobody reads, or a terminal held by Ctrl-S, it would stand still with the last torque on.
"""

from __future__ import annotations

import io
import os
import stat
import sys


class _Lossy(io.RawIOBase):
    """Writes what the file takes at once, and never raises."""

    def __init__(self, number: int) -> None:
        self._number = number

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        try:
            os.write(self._number, content)
        except OSError:  # full, or nobody is there any more
            pass
        return len(content)


def never_block() -> None:
    """Make standard output and error of this process, from C and from Python, lose what would have to wait."""
    for number in (1, 2):
        _make_non_blocking(number)
    sys.stdout = io.TextIOWrapper(_Lossy(1), errors="backslashreplace", line_buffering=True, write_through=True)
    sys.stderr = io.TextIOWrapper(_Lossy(2), errors="backslashreplace", line_buffering=True, write_through=True)


def _make_non_blocking(number: int) -> None:
    """Of a file of our own where possible: the flag belongs to the open file, which a shell or a launcher may share."""
    try:
        kind = os.fstat(number).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            own = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.dup2(own, number)
            os.close(own)
        elif stat.S_ISSOCK(kind):  # cannot be opened again; a journal's is not shared with anybody who minds
            os.set_blocking(number, False)
    except OSError:  # closed, or of another user: nothing is printed, or as before
        pass
