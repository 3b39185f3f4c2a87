# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce`: the experiments behind PSPT's figures, in simulation and without ROS."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console

from safe_transfer_ros.cli.bars import progress_bar
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.transfer import study
from safe_transfer_ros.transfer.experiments import EXPERIMENTS, Experiment, experiment
from safe_transfer_ros.transfer.study import StudyCurves, StudyRun, StudyStore
from safe_transfer_ros.transfer.workers import LocalWorkers, RayWorkers, Workers

_QUICK_SEEDS, _QUICK_ITERATIONS = 2, 6


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("reproduce", help="the experiments behind PSPT's figures, in simulation")
    parser.add_argument("figure", help=f"one of: {', '.join(EXPERIMENTS)}, all")
    parser.add_argument("--seeds", type=int, help="seeds per method (the paper's number)")
    parser.add_argument("--iterations", type=int, help="iterations per run (the figure's own number)")
    parser.add_argument("--jobs", type=int, help="processes (all cores); does not change the numbers")
    parser.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster instead: auto, local or host:port")
    parser.add_argument("--quick", action="store_true", help="two seeds, six iterations: does it work at all?")
    parser.add_argument(
        "--fresh", action="store_true", help="compute runs again that an earlier state of the code made"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder (runs/reproduce)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what is missing, then write CSV, picture and table of each figure.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    for name in ("seeds", "iterations", "jobs"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    chosen = [one for one in EXPERIMENTS.values() if one.of_the_paper]
    if options.figure != "all":
        chosen = [experiment(options.figure)]
    seeds = options.seeds or (_QUICK_SEEDS if options.quick else None)
    iterations = options.iterations or (_QUICK_ITERATIONS if options.quick else None)
    plans = [(one, one.runs(seeds or one.seeds, iterations)) for one in chosen]
    store = StudyStore(options.out / "cache")
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = list(dict.fromkeys(run for _, plan in plans for _, run in plan))
    finished = _finished(wanted, store, fresh=options.fresh)
    missing = [run for run in wanted if run not in finished]
    if missing:
        with RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs) as workers:
            finished |= _compute(missing, len(finished), store, workers)
    for one, plan in plans:
        curves: dict[str, list[StudyCurves]] = {method.label: [] for method in one.methods}
        for label, planned in plan:
            curves[label].append(finished[planned])
        print(write(one, curves, options.out))
    return 0


def write(one: Experiment, curves: evidence.Curves, folder: Path) -> str:
    """Write <figure>.csv, <figure>_violations.csv and <figure>.png.

    Returns:
      The table of violations as text, and where the picture is.
    """
    lines = [evidence.violations(label, runs) for label, runs in curves.items()]
    _write_csv(folder / f"{one.name}_violations.csv", [dataclasses.asdict(line) for line in lines])
    _write_csv(folder / f"{one.name}.csv", list(_rows(curves)))
    picture = evidence.draw(one.title, curves, one.columns, folder / f"{one.name}.png")
    return f"\n{one.title}\n\n{evidence.violations_text(lines)}\n\n{picture}"


def _rows(curves: evidence.Curves) -> list[dict[str, object]]:
    return [
        {"method": label, "seed": run.run.seed} | {name: repr(float(run.columns[name][at])) for name in _columns(run)}
        for label, runs in curves.items()
        for run in runs
        for at in range(run.run.iterations)
    ]


def _columns(run: StudyCurves) -> list[str]:
    """Columns that are the same every time and hold something."""
    found_out = {"true": bool(run.run.evaluate_every), "almonds": bool(run.run.almonds), "wall": False}
    return [name for name in run.columns if found_out.get(name.split("_")[0], True)]


def _write_csv(path: Path, rows: Sequence[dict[str, object]]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def _finished(wanted: Sequence[StudyRun], store: StudyStore, *, fresh: bool) -> dict[StudyRun, StudyCurves]:
    """What the store has; says so if other code made it."""
    found = {run: curves for run in wanted if (curves := store.load(run)) is not None}
    other = [run for run, curves in found.items() if not curves.same_code]
    if other and not fresh:
        print(f"{len(other)} of {len(wanted)} runs were made by an earlier state of the code; --fresh repeats them")
    return {run: curves for run, curves in found.items() if not (fresh and run in other)}


def _compute(missing: list[StudyRun], cached: int, store: StudyStore, workers: Workers) -> dict[StudyRun, StudyCurves]:
    made: dict[StudyRun, StudyCurves] = {}
    seconds = 0.0
    with _Display(missing, store if workers.same_machine else None, cached, workers.count) as display, workers:

        def keep(position: int, result: tuple[dict[str, list[float]], float]) -> None:
            nonlocal seconds
            made[missing[position]] = store.save(missing[position], result[0])
            seconds += result[1]
            display.done(missing[position])

        workers.map(study.work, study.items(missing, store if workers.same_machine else None), keep)
    iterations = sum(run.iterations for run in missing)
    print(f"{len(missing)} runs, {iterations} iterations, {seconds / iterations:.2f} s each")
    return made


class _Display:
    """One bar over the iterations of all runs; elsewhere than on a terminal a line per finished run."""

    def __init__(self, runs: Sequence[StudyRun], store: StudyStore | None, cached: int, workers: int) -> None:
        self._store, self._runs = store, list(runs)
        self._finished: set[StudyRun] = set()
        self._console = Console()
        what = f"{len(runs)} runs" + (f" (+ {cached} kept)" if cached else "") + f" on {workers} workers"
        self._progress = progress_bar(self._console, "iterations", what=what, memory_s=120.0)
        self._bar = self._progress.add_task("", total=sum(run.iterations for run in runs))
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Display:
        self._forget()
        self._progress.start()
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
        self._progress.stop()

    def done(self, run: StudyRun) -> None:
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

    def _iterations(self, run: StudyRun) -> int:
        if run in self._finished:
            return run.iterations
        if self._store is None:
            return 0
        try:
            return int(self._store.progress_file(run).read_text() or 0)
        except (OSError, ValueError):
            return 0

    def _forget(self) -> None:
        """Remove what runs at work told, and what those of a killed process left."""
        for file in self._store.folder.glob("*.progress") if self._store is not None else ():
            file.unlink(missing_ok=True)
