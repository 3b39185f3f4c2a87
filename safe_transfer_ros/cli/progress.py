# SPDX-License-Identifier: Apache-2.0
"""The progress line of a run, read from its iterations.csv."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from safe_transfer_ros.cli.bars import BarDisplay, progress_bar
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.untrusted import printable


class RunProgress(BarDisplay):
    """A bar with return, unsafety rate, torque limit, expected damage and interventions; a context manager.

    On a terminal the bar is redrawn in place; elsewhere (a log file, CI) every iteration is one line.
    """

    def __init__(self, csv: Path, iterations: int, d_safe: float, *, done: int = 0) -> None:
        """Prepare; nothing is shown until the context is entered. `done` iterations of an earlier session count."""
        self._csv, self._iterations, self._d_safe = csv, iterations, d_safe
        console = Console()
        super().__init__(console, progress_bar(console))
        self._task = self._progress.add_task("starting the graph", total=iterations, completed=done, numbers="")
        self.done = done
        self._size = 0

    def update(self) -> None:
        """Show the iterations finished since the last call."""
        size = self._csv.stat().st_size if self._csv.exists() else 0
        if size == self._size:
            return
        self._size = size
        records = read(self._csv)
        for record in records[self.done :]:
            numbers = record.summary(self._d_safe)
            if self._console.is_terminal:
                self._progress.update(
                    self._task, completed=record.iteration + 1, description="iteration", numbers=numbers
                )
            else:
                print(f"iteration {record.iteration + 1}/{self._iterations}  {numbers}", flush=True)
        self.done = len(records)

    def say(self, text: str) -> None:
        """Print a line above the bar, without control characters from outside."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
