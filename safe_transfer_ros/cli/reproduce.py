# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce`: the experiments behind PSPT's figures, in simulation and without ROS."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from safe_transfer_ros.cli import method_studies
from safe_transfer_ros.cli.learner_runs import add_any_code
from safe_transfer_ros.cli.study import complete
from safe_transfer_ros.files import write_rows
from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers
from safe_transfer_ros.reporting import evidence
from safe_transfer_ros.reporting.judged import judged, judged_text
from safe_transfer_ros.reporting.spill import almonds_lost, almonds_lost_text
from safe_transfer_ros.studies.experiments import EXPERIMENTS, Experiment, experiment
from safe_transfer_ros.studies.study import StudyCurves, StudyStore, compute

_QUICK_SEEDS, _QUICK_ITERATIONS = 2, 6


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("reproduce", help="reproduce the experiments behind PSPT's figures, in simulation")
    names = ", ".join([*EXPERIMENTS, *method_studies.STUDIES])
    parser.add_argument("figure", help=f"one of: {names}, all (of PSPT)")
    parser.add_argument("--seeds", type=int, help="seeds per method (the paper's number)")
    parser.add_argument("--iterations", type=int, help="iterations per run (the figure's own number)")
    parser.add_argument("--jobs", type=int, help="processes (all cores); does not change the numbers")
    parser.add_argument("--ray", metavar="ADDRESS", help="run on a Ray cluster instead: auto, local or host:port")
    parser.add_argument("--quick", action="store_true", help="short trial: two seeds, six iterations")
    parser.add_argument("--fresh", action="store_true", help="repeat runs made by an earlier version of the code")
    add_any_code(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder (runs/reproduce)")
    method_studies.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, then write CSV, picture and table of each figure.

    Raises:
      ValueError: wrong arguments; the message says what to do.
      OSError: the folder cannot be written.
    """
    for name in ("seeds", "iterations", "jobs", "steps", "pre_training_steps"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    method_studies.check(options)
    if options.figure in method_studies.STUDIES:
        return method_studies.STUDIES[options.figure].run(options)
    chosen = [one for one in EXPERIMENTS.values() if one.of_the_paper]
    if options.figure != "all":
        chosen = [experiment(options.figure)]
    seeds = options.seeds or (_QUICK_SEEDS if options.quick else None)
    iterations = options.iterations or (_QUICK_ITERATIONS if options.quick else None)
    plans = [(one, one.runs(seeds or one.seeds, iterations)) for one in chosen]
    store = StudyStore(options.out / "cache")
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = list(dict.fromkeys(run for _, plan in plans for _, run in plan))
    finished = complete(
        wanted,
        store,
        compute,
        lambda: RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs),
        fresh=options.fresh,
    )
    for one, plan in plans:
        curves: dict[str, list[StudyCurves]] = {method.label: [] for method in one.methods}
        for label, planned in plan:
            curves[label].append(finished[planned])
        print(write(one, curves, options.out))
    if options.quick:
        print(
            "\n--quick shows that everything works, not how methods differ: in six iterations limits have hardly "
            "moved, so that rows may be equal. Leave it out for that."
        )
    return 0


def write(one: Experiment, curves: evidence.Curves, folder: Path) -> str:
    """Write <figure>.csv, <figure>_violations.csv and <figure>.png; for what there is, <figure>_judged, _almonds.csv.

    Returns:
      The tables as text, and where the picture is.
    """
    lines = [evidence.violations(label, runs) for label, runs in curves.items()]
    write_rows(folder / f"{one.name}_violations.csv", [dataclasses.asdict(line) for line in lines])
    write_rows(folder / f"{one.name}.csv", list(_rows(curves)))
    tables = [evidence.violations_text(lines)]
    looked_at = judged(curves)
    if looked_at:
        write_rows(folder / f"{one.name}_judged.csv", [dataclasses.asdict(line) for line in looked_at])
        tables.append(judged_text(looked_at))
    if "almonds_lost" in one.columns:
        almonds = almonds_lost(curves)
        write_rows(folder / f"{one.name}_almonds.csv", [dataclasses.asdict(line) for line in almonds])
        tables.append(almonds_lost_text(almonds))
    picture = evidence.draw(one.title, curves, one.columns, folder / f"{one.name}.png")
    return "\n".join(("", one.title, "", *(f"{table}\n" for table in tables), f"{picture}"))


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
