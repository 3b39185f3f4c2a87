# SPDX-License-Identifier: Apache-2.0
"""What accepting more or fewer failures costs CSC: chi varied on a pushing task.

    nice -n 19 python benchmarks/csc_chi.py --seeds 3 --epochs 40 --jobs 1

The same runs as `safe_transfer train csc TASK --chi CHI` for each chi, in one table and picture. Finished runs are kept
in <out>/cache; stopped, give the same command again. `--table-only` shows what is finished.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safe_transfer_ros.cli.study import complete
from safe_transfer_ros.reporting import evidence, learners
from safe_transfer_ros.transfer.learners.method import LearnerSettings
from safe_transfer_ros.transfer.learners.run import LearnerRun, LearnerStore, compute
from safe_transfer_ros.transfer.workers import LocalWorkers

PANELS = ("mean_return", "failures_per_episode", "cumulative_failures", "success_rate")


def main() -> None:
    """Do what is missing, then write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="panda_push_boundary")
    parser.add_argument("--chi", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.2])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/csc_chi"))
    options = parser.parse_args()
    # Seed by seed, so that every chi has as many runs whenever it is stopped.
    runs = [
        LearnerRun(task=options.task, seed=seed, iterations=options.epochs, settings=LearnerSettings(chi=chi))
        for seed in range(options.seeds)
        for chi in options.chi
    ]
    store = LearnerStore(options.out / "cache")
    if options.table_only:
        finished = [curves for one in runs if (curves := store.load(one)) is not None]
        if not finished:
            raise SystemExit(f"nothing is finished in {store.folder}")
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        done = complete(runs, store, compute, lambda: LocalWorkers(options.jobs))
        finished = [done[one] for one in runs]
    groups = {f"χ = {chi:g}": [one for one in finished if one.run.settings.chi == chi] for chi in options.chi}
    groups = {label: of for label, of in groups.items() if of}
    print(learners.summary(groups, options.out / f"{options.task}_chi.csv"))
    title = f"CSC on {options.task}: accepted failures varied, {options.seeds} seeds or fewer"
    print(evidence.draw(title, groups, PANELS, options.out / f"{options.task}_chi.png", along=("episodes", "episodes")))


if __name__ == "__main__":
    main()
