# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce sqrl_quadruped`: SQRL and its rivals on the quadruped, pre-trained, then fine-tuned.

A command does the runs it is asked for and reports all that are there, so that long runs can be spread over many.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from safe_transfer_ros.cli.learner_runs import computing
from safe_transfer_ros.cli.study import complete

if TYPE_CHECKING:
    from safe_transfer_ros.learning.workers import Workers

NAME = "sqrl_quadruped"
_QUICK_SEEDS, _QUICK_EPOCHS, _LOOKED_AT = 1, 2, 20


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, seed by seed and pre-training first, then write tables and curves of each task.

    Raises:
      ValueError: if a method is unknown, or other code began a run and nothing is said about it.
      OSError: the folder cannot be written, or the policy of a finished run is gone.
    """
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
    from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers
    from safe_transfer_ros.reporting import sqrl as report
    from safe_transfer_ros.studies import sqrl_quadruped as study
    from safe_transfer_ros.studies.learner_run import LearnerStore

    chosen = study.cases([word.strip() for word in options.methods.split(",") if word.strip()])
    store = LearnerStore(options.out / "cache")
    options.out.mkdir(parents=True, exist_ok=True)
    count = options.seeds or (_QUICK_SEEDS if options.quick else study.SEEDS)
    epochs = options.iterations or (_QUICK_EPOCHS if options.quick else None)

    def workers() -> Workers:
        return RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs)

    for seed in range(options.first_seed, options.first_seed + count):
        first = list(dict.fromkeys(study.pre_training(case, seed, epochs) for case in chosen))
        complete(first, store, computing(first, store, options), workers, fresh=options.fresh)
        second = [one.fine_tuning(case, seed, store, epochs) for case in chosen for one in study.COMPARISONS.values()]
        complete(second, store, computing(second, store, options), workers, fresh=options.fresh)
    for task in study.COMPARISONS:
        looked_at = range(max(_LOOKED_AT, options.first_seed + count))
        curves = study.finished(task, looked_at, store, epochs)
        print(report.write(f"{NAME}_{task.removeprefix('quadruped_')}", task, curves, options.out))
    return 0
