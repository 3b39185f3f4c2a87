# SPDX-License-Identifier: Apache-2.0
"""The progress of a run: a line per iteration, read from its iterations.csv, above a bar."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from safe_transfer_ros.cli.bars import BarDisplay, progress_bar
from safe_transfer_ros.record.iteration import IterationRecord, read
from safe_transfer_ros.untrusted import printable

LEGEND = """\
  p_u            share of decision periods in which the arm was unsafe
  T_lim          limit on every joint's torque, N·m
  damage         p_u times T_lim, N·m; meant to stay within D_safe = {d_safe:g}
  interventions  decisions changed by the filter: nearly all while T_lim is low"""
HEADER = "iteration    return     p_u    T_lim   damage  interventions"


class RunProgress(BarDisplay):
    """A line per iteration, with a bar below on a terminal; a context manager."""

    def __init__(self, csv: Path, iterations: int, d_safe: float, *, done: int = 0, explained: bool = False) -> None:
        """Prepare; nothing is shown until the context is entered.

        Args:
          csv: The run's table.
          iterations: It is to have.
          d_safe: Bound on the damage, N·m.
          done: Iterations of an earlier session.
          explained: Whether what the columns mean was said before.
        """
        self._csv, self._iterations, self._d_safe = csv, iterations, d_safe
        console = Console()
        super().__init__(console, progress_bar(console, "", memory_s=600.0))  # an iteration may take minutes
        self._task = self._progress.add_task("starting the graph", total=iterations, completed=done)
        self.done = done
        self._size = 0
        self._headed, self._explained = False, explained

    def update(self) -> None:
        """Show the iterations finished since the last call."""
        size = self._csv.stat().st_size if self._csv.exists() else 0
        if size == self._size:
            return
        self._size = size
        records = read(self._csv)
        for record in records[self.done :]:
            if not self._headed:
                if not self._explained:
                    self._print(LEGEND.format(d_safe=self._d_safe))
                self._print(HEADER)
                self._headed = True
            self._print(_row(record, self._d_safe))
            self._progress.update(self._task, completed=record.iteration + 1)
        self.done = len(records)

    def now(self, doing: str) -> None:
        """Show what the run is doing, in front of the bar."""
        self._progress.update(self._task, description=printable(doing)[:30])

    def say(self, text: str) -> None:
        """Print a line above the bar, without control characters from outside."""
        self._print(printable(text))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _row(record: IterationRecord, d_safe: float) -> str:
    over = f"  OVER D_safe {d_safe:g}" if record.expected_damage > d_safe else ""
    return (
        f"{record.iteration:9}{record.mean_return:10.2f}{record.unsafety_rate:8.3f}{record.torque_limit:9.3f}"
        f"{record.expected_damage:9.3f}{record.interventions:8} of {record.steps}{over}"
    )
