# SPDX-License-Identifier: Apache-2.0
"""Shared part of `train` and `correct`: how many runs of which size, and what is written of them."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_transfer_ros.tasks.task import TASKS

if TYPE_CHECKING:  # torch and matplotlib are loaded when there is something to do
    from safe_transfer_ros.studies.learner_run import LearnerRun, LearnerStore
    from safe_transfer_ros.studies.run_store import Columns

_QUICK = """
--quick shows that everything works, not how methods differ: in three epochs neither a multiplier nor a critic has
learned enough to act, so that curves and training columns may be equal, and one seed has no spread. Leave it out for
that."""


def add_options(parser: argparse.ArgumentParser, out: Path) -> None:
    """Add the options that both commands have; `out` is the folder by default."""
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds per method (3)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="the first of them (0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs per run (40)")
    parser.add_argument("--episodes", type=int, metavar="N", help="episodes per epoch (20)")
    parser.add_argument(
        "--evaluate-every",
        type=int,
        metavar="N",
        help="epochs from one evaluation to the next; 0: only after the last (off-policy methods 1, others 0)",
    )
    parser.add_argument(
        "--chi",
        type=float,
        nargs="+",
        metavar="X",
        help="accepted failures per episode (0.05; sum of costs where the task has a limit of it: ant_avenue 25, "
        "panda_push_obstacle_movable 2.5); "
        "several values: each is run",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (all cores); does not change the numbers")
    parser.add_argument("--quick", action="store_true", help="one seed, three epochs of eight episodes")
    parser.add_argument("--fresh", action="store_true", help="repeat runs made by an earlier version of the code")
    add_any_code(parser)
    parser.add_argument("--table-only", action="store_true", help="report finished runs only; train nothing")
    parser.add_argument("--out", type=Path, default=out, help=f"folder ({out})")


def add_any_code(parser: argparse.ArgumentParser) -> None:
    """Add the option that goes on with unfinished runs of another state of the code."""
    parser.add_argument(
        "--any-code",
        action="store_true",
        help="go on with unfinished runs, too, that an earlier version of the code began",
    )


def computing(
    runs: Sequence[LearnerRun], store: LearnerStore, options: argparse.Namespace
) -> Callable[[LearnerRun, Path | None], Columns]:
    """Function that does runs; hours of work by other code are neither thrown away nor mixed in without a word.

    Args:
      runs: Wanted.
      store: Where they are kept, and begun.
      options: Parsed; any_code and fresh say what to do with a run that other code has begun.

    Raises:
      ValueError: if there is one, and nothing is said.
    """
    from safe_transfer_ros.reporting.tables import several
    from safe_transfer_ros.studies.learner_run import compute

    if options.fresh and options.any_code:
        raise ValueError("one of --fresh and --any-code, please")
    if options.fresh:
        return compute
    begun = [cut for run in runs if store.load(run) is None and (cut := store.unfinished(run)) is not None]
    others = [cut for cut in begun if not cut.same_code]
    if others and not options.any_code:
        raise ValueError(
            f"{several(len(others), 'unfinished run')} in {store.folder}: begun by an earlier version of the code. "
            "--any-code goes on, and the tables say so; --fresh begins again"
        )
    return partial(compute, any_code=options.any_code)


def check(options: argparse.Namespace) -> None:
    """Refuse numbers and a task that cannot be.

    Raises:
      ValueError: the message says what to do.
    """
    for name in ("seeds", "epochs", "episodes", "jobs"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    for name in ("first_seed", "evaluate_every"):
        if (getattr(options, name) or 0) < 0:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 0, got {getattr(options, name)}")
    if options.episodes == 1:
        raise ValueError("--episodes must be at least 2: each episode is held against the others")
    TASKS[options.task]  # an unknown one is refused, with the nearest


def seeds(options: argparse.Namespace) -> range:
    """Seeds of the runs."""
    return range(options.first_seed, options.first_seed + (options.seeds or (1 if options.quick else 3)))


def size(options: argparse.Namespace, *, explores: bool) -> dict[str, Any]:
    """Fields of `LearnerRun` that say how long a run is and how often it is evaluated.

    Args:
      options: Parsed.
      explores: Of the method.
    """
    quick = options.quick
    found = {
        "task": options.task,
        "evaluate_every": int(explores) if options.evaluate_every is None else options.evaluate_every,
    }
    iterations, episodes = options.epochs or (3 if quick else None), options.episodes or (8 if quick else None)
    chosen = {"iterations": iterations, "episodes": episodes, "evaluation_episodes": 8 if quick else None}
    return found | {name: value for name, value in chosen.items() if value is not None}


def complete(runs: Sequence[LearnerRun], options: argparse.Namespace, *, heading: str = "") -> None:
    """Compute the missing runs, then write policies, tables and picture, and print the summary.

    Args:
      runs: Of one task.
      options: Parsed.
      heading: Printed before the summary.

    Raises:
      ValueError: if only finished runs are wanted and none is.
      OSError: if the folder cannot be written.
    """
    from safe_transfer_ros.cli import study
    from safe_transfer_ros.learning.workers import LocalWorkers
    from safe_transfer_ros.reporting import learners
    from safe_transfer_ros.reporting.tables import several
    from safe_transfer_ros.studies.learner_run import LearnerStore

    store = LearnerStore(options.out / "cache")
    if options.table_only:
        finished = [curves for one in runs if (curves := store.load(one)) is not None]
        if not finished:
            planned = several(len(runs), "run")
            raise ValueError(f"of {planned} none is finished in {store.folder}: leave out --table-only")
    else:
        compute = computing(runs, store, options)
        options.out.mkdir(parents=True, exist_ok=True)
        done = study.complete(runs, store, compute, lambda: LocalWorkers(options.jobs), fresh=options.fresh)
        finished = [done[one] for one in runs]
    for one, name in zip(runs, learners.names(runs), strict=True):
        if store.policy(one).exists():
            shutil.copyfile(store.policy(one), options.out / f"{learners.stem(one)}_{name}_seed{one.seed}.safetensors")
    if heading:
        print(heading)
    print(learners.write(finished, options.out))
    if options.quick:
        print(_QUICK)
