# SPDX-License-Identifier: Apache-2.0
"""The progress bar of every long command: what, how far, numbers of its own, time taken, time left."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

Shown = TypeVar("Shown", bound="BarDisplay")


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
      numbers: Format of what the task tells besides, as rich's TextColumn: its fields, which come last, or a unit.
      what: Format of what it is, in front of the bar.
      memory_s: Time over which the speed is estimated, s.
    """
    # On a narrow terminal the numbers are cut, and neither the bar nor the time that is left.
    elastic = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    told = "{task.fields" in numbers
    columns: list[ProgressColumn | str] = [
        TextColumn(what),
        BarColumn(bar_width=20 if console.width >= 100 else 10),
        MofNCompleteColumn(),
        *([] if told or not numbers else [TextColumn(numbers)]),
        TimeElapsedColumn(),
        "elapsed,",
        TimeRemainingColumn(),
        "left",
        *([TextColumn(numbers, table_column=elastic)] if told else []),
    ]
    return Progress(
        *columns,
        expand=told,
        console=console,
        disable=not console.is_terminal,
        speed_estimate_period=memory_s,
    )


class BarDisplay:
    """Base of a display that shows a bar for as long as its context lasts, and leaves it as it then is."""

    def __init__(self, console: Console, progress: Progress) -> None:
        """Prepare; nothing is shown until the context is entered."""
        self._console, self._progress = console, progress

    def __enter__(self: Shown) -> Shown:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it is."""
        self._progress.stop()
