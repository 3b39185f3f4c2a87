# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer critic-study`: gates, the adaptive limit and both on the cup swirl; table and picture."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "critic-study", help="compare safety critics as gates, with and without the adaptive limit"
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds per method (5)")
    parser.add_argument("--iterations", type=int, help="iterations per run, five episodes each (15)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only methods with this text in their names")
    parser.add_argument("--table-only", action="store_true", help="report finished runs only; compute nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/critic_study"), help="folder (runs/critic_study)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compute the missing runs, then write critic_study.csv and critic_study.png and print the table.

    Raises:
      ValueError: wrong arguments, or --table-only with nothing finished.
    """
    from safe_transfer_ros.reporting.critic_study import draw, summary, table
    from safe_transfer_ros.studies.critic_study import ARMS, ASIDE, finished, load_or_compute

    if options.seeds < 1 or (options.iterations or 1) < 1:
        raise ValueError("--seeds and --iterations must be at least 1")
    results: dict[str, list[list[dict[str, float]]]] = {arm.label: [] for arm in ARMS + ASIDE}
    store = options.out / "cache"
    # The question first, with all its seeds; what is only beside it afterwards.
    order = [(seed, arm) for arms in (ARMS, ASIDE) for seed in range(options.seeds) for arm in arms]
    for seed, arm in [(seed, arm) for seed, arm in order if options.only in arm.label]:
        planned = dataclasses.replace(arm, seed=seed, iterations=options.iterations or arm.iterations)
        rows = finished(planned, store) if options.table_only else load_or_compute(planned, store)
        if rows is not None:
            results[arm.label].append(rows)
            print(f"seed {seed}: {arm.label}", flush=True)
    results = {label: runs for label, runs in results.items() if runs}
    if not results:
        raise ValueError(f"nothing is finished in {store}")
    lines = summary(results)
    (options.out / "critic_study.csv").write_text(table(lines, separator=",") + "\n")
    print("\n" + table(lines))
    print(draw(results, options.out / "critic_study.png"))
    return 0
