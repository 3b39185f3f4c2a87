# SPDX-License-Identifier: Apache-2.0
"""Does the adaptive torque limit make fine-tuning of a push safer? Runs through the ROS graph, counted from their bags.

    safe_transfer train trpo panda_push_boundary --seeds 1 --epochs 20 --out runs/early
    python benchmarks/panda_adaptive_limit.py --policy runs/early/panda_push_boundary_trpo_seed0.safetensors

Each of limit adaptive | fixed and learner pspt | csc, with the same seeds: a policy that is not finished goes on
learning on an arm of a tenth of the mass with dry friction. Runs that are there already are only counted.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import numpy as np

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.record.episode import Episode, episodes_from_decisions
from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.tasks.deployment import in_graph

TASK = in_graph("panda_push_boundary").task


def episodes_of(run: Path) -> list[Episode]:
    """What the filter recorded."""
    return episodes_from_decisions([message for _, message, _ in messages(run / "bag", ["/safety_filter/decision"])])


def counted(runs: list[Path]) -> str:
    """A line of the table: means over runs, range over runs in brackets."""
    failures, successes, ends, limits = [], [], [], []
    for run in runs:
        episodes = episodes_of(run)
        failed = [bool(~(TASK.outcome_of(one).unsafety[-1] <= TASK.unsafety_limit)) for one in episodes]
        failures.append(float(np.mean(failed)))
        successes.append(
            float(np.mean([one.terminated and not bad for one, bad in zip(episodes, failed, strict=True)]))
        )
        records = read(run / "iterations.csv")
        ends.append(np.mean([record.mean_return for record in records[-2:]]))
        limits.append(records[-1].torque_limit)

    def spread(values: list[float]) -> str:
        return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    return f"{spread(failures)} | {spread(successes)} | {spread(ends)} | {spread(limits)}"


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--perturbation", default="light_sticky")
    parser.add_argument("--learners", nargs="+", default=["pspt", "csc"])
    parser.add_argument("--out", type=Path, default=Path("runs/panda_adaptive_limit"))
    options = parser.parse_args()
    done: dict[tuple[str, str], list[Path]] = {}
    for seed in range(options.seeds):
        for learner in options.learners:
            for limit in ("adaptive", "fixed"):
                run = options.out / f"{learner}-{limit}-{seed}"
                done.setdefault((learner, limit), []).append(run)
                if (run / "report.html").exists():
                    continue
                arguments = {
                    "task": "boundary",
                    "learner": learner,
                    "limit": limit,
                    "seed": seed,
                    "iterations": options.iterations,
                    "perturbation": options.perturbation,
                    "policy": options.policy,
                    "run_dir": run,
                }
                words = [f"{name}:={value}" for name, value in arguments.items()]
                command = module_command("safe_transfer_ros.cli.main", "up", "panda_push", *words)
                subprocess.run(command, check=True)
    print("| learner | limit | failures per episode | success | return, last 2 iterations | last limit, N·m |")
    print("|---|---|---|---|---|---|")
    for (learner, limit), runs in done.items():
        print(f"| {learner} | {limit} | {counted(runs)} |")


if __name__ == "__main__":
    main()
