# SPDX-License-Identifier: Apache-2.0
"""Shared part of commands with many runs: finished runs are kept, the rest is done by workers under one bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic

from rich.console import Console

from safe_transfer_ros.cli.bars import BarDisplay, progress_bar
from safe_transfer_ros.learning.workers import Workers
from safe_transfer_ros.reporting.tables import several
from safe_transfer_ros.studies import run_store
from safe_transfer_ros.studies.run_store import Columns, Curves, Run, RunStore, WorkItem


def complete(
    wanted: Sequence[Run],
    store: RunStore[Run],
    compute: Callable[[Run, Path | None], Columns],
    workers: Callable[[], Workers],
    *,
    fresh: bool = False,
) -> dict[Run, Curves[Run]]:
    """Do the runs that the store does not have.

    Args:
      wanted: All runs.
      store: Keeps the finished ones.
      compute: Does a run; importable by name.
      workers: Starts the workers, if there is anything to do.
      fresh: Do those again, too, that an earlier state of the code made.

    Returns:
      Every run, finished.
    """
    finished = _finished(wanted, store, fresh=fresh)
    missing = [run for run in wanted if run not in finished]
    if missing:
        with workers() as started:
            finished |= _compute(missing, len(finished), store, compute, started)
    return finished


def _finished(wanted: Sequence[Run], store: RunStore[Run], *, fresh: bool) -> dict[Run, Curves[Run]]:
    """Finished runs of the store; prints a note if other code made them."""
    found = {run: curves for run in wanted if (curves := store.load(run)) is not None}
    other = [run for run, curves in found.items() if not curves.same_code]
    if other and not fresh:
        print(f"{len(other)} of {len(wanted)} runs were made by an earlier state of the code; --fresh repeats them")
    return {run: curves for run, curves in found.items() if not (fresh and run in other)}


def _compute(
    missing: list[Run],
    cached: int,
    store: RunStore[Run],
    compute: Callable[[Run, Path | None], Columns],
    workers: Workers,
) -> dict[Run, Curves[Run]]:
    made: dict[Run, Curves[Run]] = {}
    seconds = 0.0
    watched = store if workers.same_machine else None
    items = [WorkItem(compute, run, None if watched is None else watched.progress_file(run)) for run in missing]
    with _Display(missing, watched, cached, workers.count) as display:

        def keep(position: int, result: tuple[Columns, float]) -> None:
            nonlocal seconds
            made[missing[position]] = store.save(missing[position], result[0])
            seconds += result[1]
            display.done(missing[position])

        workers.map(run_store.work, items, keep)
    iterations = sum(run.iterations for run in missing)
    done = f"{several(len(missing), 'run')}, {several(iterations, 'iteration')}"
    print(f"{done}, {seconds / iterations:.2f} s each")
    return made


class _Display(BarDisplay, Generic[Run]):
    """One bar over the iterations of all runs; elsewhere than on a terminal a line per finished run."""

    def __init__(self, runs: Sequence[Run], store: RunStore[Run] | None, cached: int, workers: int) -> None:
        self._store, self._runs = store, list(runs)
        self._finished: set[Run] = set()
        console = Console()
        what = several(len(runs), "run") + (f" (+ {cached} kept)" if cached else "") + f" on {workers} workers"
        super().__init__(console, progress_bar(console, "iterations", what=what, memory_s=120.0))
        self._bar = self._progress.add_task("", total=sum(run.iterations for run in runs))
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Display[Run]:
        self._forget()
        super().__enter__()
        if self._store is not None and self._console.is_terminal:
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._watch.is_alive():
            self._watch.join()
        self._forget()
        super().__exit__(kind, error, trace)

    def done(self, run: Run) -> None:
        """A run is finished and kept."""
        self._finished.add(run)
        self._update()
        if not self._console.is_terminal:
            print(f"run {len(self._finished)} of {len(self._runs)} finished", flush=True)

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            self._update()

    def _update(self) -> None:
        self._progress.update(self._bar, completed=sum(self._iterations(run) for run in self._runs))

    def _iterations(self, run: Run) -> int:
        if run in self._finished:
            return run.iterations
        if self._store is None:
            return 0
        try:
            return int(self._store.progress_file(run).read_text() or 0)
        except (OSError, ValueError):
            return 0

    def _forget(self) -> None:
        """Remove the progress files of running and of killed processes."""
        for file in self._store.folder.glob("*.progress") if self._store is not None else ():
            file.unlink(missing_ok=True)
