# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce sqrl_spider`: SQRL and its rivals on the drunk spider, pre-trained, then fine-tuned."""

from __future__ import annotations

import argparse

from safe_transfer_ros.cli.learner_runs import computing
from safe_transfer_ros.cli.study import complete
from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers, Workers

_QUICK_SEEDS, _QUICK_EPOCHS = 1, 2


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, pre-training first, then write table, curves and the map of learned ways.

    Raises:
      OSError: the folder cannot be written, or the policy of a finished run is gone.
    """
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
    from safe_transfer_ros.reporting import sqrl_spider as report
    from safe_transfer_ros.studies import sqrl_spider as study
    from safe_transfer_ros.studies.learner_run import LearnerStore

    store = LearnerStore(options.out / "cache")
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = range(options.seeds or (_QUICK_SEEDS if options.quick else study.SEEDS))
    epochs = options.iterations or (_QUICK_EPOCHS if options.quick else None)

    def workers() -> Workers:
        return RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs)

    each = [(case, seed) for seed in seeds for case in study.CASES]
    first = list(dict.fromkeys(study.pre_training(case, seed, epochs) for case, seed in each))
    complete(first, store, computing(first, store, options), workers, fresh=options.fresh)
    second = {(case.name, seed): study.fine_tuning(case, seed, store, epochs) for case, seed in each}
    wanted = list(second.values())
    finished = complete(wanted, store, computing(wanted, store, options), workers, fresh=options.fresh)
    curves = {case.name: [finished[second[case.name, seed]] for seed in seeds] for case in study.CASES}
    print(report.write(study.NAME, curves, options.out))
    noisy = {case.name: second[case.name, seeds[0]] for case in study.CASES if case.environment}
    policies = {name: study.policy(one, store).read_bytes() for name, one in noisy.items()}
    print(report.draw_policies(policies, 0.2, options.out / f"{study.NAME}_ways.png"))
    return 0
