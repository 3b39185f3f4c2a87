# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer reproduce sqrl_graph`: SQRL through the graph, with the adaptive limit, alone, and the limit alone."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safe_transfer_ros.cli.learner_runs import computing
from safe_transfer_ros.cli.study import complete
from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.learning.workers import LocalWorkers, RayWorkers, Workers

_QUICK_SEEDS, _QUICK_ITERATIONS, _QUICK_EPOCHS = 1, 2, 1


def run(options: argparse.Namespace) -> int:
    """Pre-train what is missing, do the missing runs of the graph, then write tables and curves.

    Raises:
      OSError: the folder cannot be written, or the policy of a finished pre-training is gone.
      ValueError: a run of the graph has failed.
    """
    import safe_transfer_ros.tasks  # noqa: F401 - makes our tasks known
    from safe_transfer_ros.reporting import sqrl_graph as report
    from safe_transfer_ros.studies import sqrl_graph as study
    from safe_transfer_ros.studies.learner_run import LearnerStore
    from safe_transfer_ros.studies.sqrl_spider import policy

    folder = options.out.absolute()
    store = LearnerStore(folder / "cache")
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(options.seeds or (_QUICK_SEEDS if options.quick else study.SEEDS))
    asked = options.iterations or (_QUICK_ITERATIONS if options.quick else 0)
    epochs = _QUICK_EPOCHS if options.quick else None

    def workers() -> Workers:
        return RayWorkers(options.ray) if options.ray else LocalWorkers(options.jobs)

    first = {(scene.name, seed): study.pre_training(scene, seed, epochs) for seed in seeds for scene in study.SCENES}
    wanted = list(first.values())
    complete(wanted, store, computing(wanted, store, options), workers, fresh=options.fresh)
    each = [(scene, case, seed) for seed in seeds for scene in study.SCENES for case in study.CASES]
    missing = []
    for scene, case, seed in each:
        start = policy(first[scene.name, seed], store)
        words = study.arguments(scene, case, seed, start, folder, asked or scene.iterations)
        if words is not None:
            missing.append([scene.graph, *words])
    finish(missing, jobs=options.jobs or 1)
    found = {
        scene.name: {
            case.name: [
                study.curves(study.run_dir(scene, case, seed, folder), asked or scene.iterations) for seed in seeds
            ]
            for case in study.CASES
        }
        for scene in study.SCENES
    }
    print(report.write(study.NAME, found, folder))
    return 0


def finish(runs: Sequence[Sequence[str]], *, jobs: int) -> None:
    """Do runs of graphs by `safe_transfer up`, so many at a time; all of them, even where one fails.

    Args:
      runs: Graph and launch arguments of each.
      jobs: Graphs side by side; each has processes of its own.

    Raises:
      ValueError: if one has failed; the others are kept.
    """
    failed: list[str] = []

    def do(number: int, words: Sequence[str]) -> None:
        command = module_command("safe_transfer_ros.cli.main", "up", "--no-report", *words)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            failed.append(f"{words[1]}: {(done.stderr.strip().splitlines() or ['no word of why'])[-1]}")
        said = "failed" if done.returncode else "finished"
        print(f"run {number} of {len(runs)} {said}: {Path(words[1].partition(':=')[2]).name}", flush=True)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        list(pool.map(do, range(1, len(runs) + 1), runs))
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(runs)} runs have failed, the same command goes on; the first: {failed[0]}"
        )
