# SPDX-License-Identifier: Apache-2.0
"""Follower of a node's output during a run, from the log that its launcher keeps."""

from __future__ import annotations

import re
from pathlib import Path

MAX_BYTES = 65_536  # of one look: a node that says more than a person can read is not shown whole


class LogFollower:
    """Gives what a node logged since last asked."""

    def __init__(self, log: Path, node: str, *, repeats: bool = True) -> None:
        """Begin at the start of a log, which need not be there yet.

        Args:
          log: The node's own log file.
          node: Its name, as in the lines of its logger.
          repeats: Whether a line that differs from an earlier one only in its numbers is given.
        """
        self._log, self._mark = log, f"[{node}]: "
        self._read = 0
        self._given: set[str] | None = None if repeats else set()

    def lines(self) -> list[str]:
        """Whole lines of the node's logger, without level and time; lines of anything else are left out."""
        try:
            with open(self._log, "rb") as file:
                file.seek(self._read)
                data = file.read(MAX_BYTES)
        except OSError:
            return []
        end = data.rfind(b"\n") + 1
        if not end and len(data) == MAX_BYTES:
            end = len(data)  # one line that never ends
        self._read += end
        text = data[:end].decode(errors="replace")
        said = [line.partition(self._mark)[2] for line in text.splitlines() if self._mark in line]
        return [line for line in said if self._is_new(line)]

    def _is_new(self, line: str) -> bool:
        kind = re.sub(r"\d+(\.\d+)?", "#", line)
        if self._given is None or kind not in self._given:
            if self._given is not None:
                self._given.add(kind)
            return True
        return False
