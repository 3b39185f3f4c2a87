# SPDX-License-Identifier: Apache-2.0
"""The progress bar of every long command: what, how far, numbers of its own, time taken, time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(
    console: Console,
    numbers: str = "{task.fields[numbers]}",
    *,
    what: str = "{task.description}",
    memory_s: float = 30.0,
) -> Progress:
    """A bar that shows on a terminal only: elsewhere (a log file, CI) the caller writes lines instead.

    Args:
      console: Where to; its own lines scroll above the bar.
      numbers: Format of what the task tells besides, as rich's TextColumn.
      what: Format of what it is, in front of the bar.
      memory_s: Time over which the speed is estimated, s.
    """
    return Progress(
        TextColumn(what),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn(numbers),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        speed_estimate_period=memory_s,
    )
