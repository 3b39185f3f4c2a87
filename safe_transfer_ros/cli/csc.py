# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce csc`: CSC and its rivals on CSC's tasks, tuned on some seeds, compared on others."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from safe_transfer_ros.cli.study import complete
from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers, Workers

if TYPE_CHECKING:
    from safe_transfer_ros.studies.csc import Study
    from safe_transfer_ros.studies.learner_run import LearnerRun

PARTS = ("tune", "compare", "chi", "base", "tuples")
_QUICK_EPOCHS, _QUICK_EPISODES = 2, 4


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add the options that choose a part of the study."""
    parser.add_argument(
        "--part",
        choices=PARTS,
        nargs="+",
        default=[],
        help="csc: tune (sweeps, on tuning seeds), compare (fresh seeds), chi (accepted failures varied), base (SAC in "
        "TRPO's place), tuples (a critic that was shown 1,000 labelled tuples); tune and compare by default",
    )
    parser.add_argument("--task", nargs="+", default=[], metavar="NAME", help="csc: of these tasks only")


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, task by task and method by method, then write what is finished in the folder.

    Raises:
      ValueError: unknown names, or a comparison of what is not tuned yet.
      OSError: the folder cannot be written.
    """
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
    from safe_transfer_ros.reporting import csc as report
    from safe_transfer_ros.studies import csc as study
    from safe_transfer_ros.studies.learner_run import LearnerStore, compute

    tasks = _of(options.task, study.TASKS, "task")
    methods = _of([name.strip() for name in options.methods.split(",") if name.strip()], study.METHODS, "method")
    seeds = study.FRESH_SEEDS[: 1 if options.quick and not options.seeds else options.seeds]
    if options.seeds and options.seeds > len(study.FRESH_SEEDS):
        raise ValueError(f"--seeds: there are {len(study.FRESH_SEEDS)} fresh ones, got {options.seeds}")
    epochs = options.iterations or (_QUICK_EPOCHS if options.quick else study.EPOCHS)
    whole = study.Study(store=LearnerStore(options.out / "cache"), epochs=epochs)
    if options.quick:
        whole = dataclasses.replace(whole, episodes=_QUICK_EPISODES, tuning_seeds=study.TUNING_SEEDS[:1])
    options.out.mkdir(parents=True, exist_ok=True)

    def workers() -> Workers:
        return RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs)

    def do(wanted: Sequence[LearnerRun]) -> None:
        complete(list(dict.fromkeys(wanted)), whole.store, compute, workers, fresh=options.fresh)

    if study.STANDING[1] in tasks:
        do([whole.standing()])
    for part in options.part or PARTS[:2]:
        for task in tasks:
            do(_runs(whole, part, task, methods, seeds))
    print(report.write(whole, options.out))
    return 0


def _runs(whole: Study, part: str, task: str, methods: Sequence[str], seeds: Sequence[int]) -> list[LearnerRun]:
    """Runs of a part of the study, in the order in which they are done."""
    from safe_transfer_ros.studies import csc as study

    if part == "tune":
        return [run for method in methods for runs in whole.tuning(task, method).values() for run in runs]
    if part == "compare":
        return [run for method in methods for run in whole.compared(task, method, seeds)]
    asides = [aside for aside in study.asides(part) if task in aside.tasks]
    return [run for aside in asides for run in whole.beside(aside, task, seeds)]


def _of(asked: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"unknown {what} {unknown[0]!r} of csc; known: {', '.join(known)}")
    return [name for name in known if not asked or name in asked]
