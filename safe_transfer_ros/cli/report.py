# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer report`: the page of a run, or every number of it again from the bag alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from safe_transfer_ros.untrusted import printable


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="write report.html of a run; given a bag, recompute every number first",
        description="Write report.html with its plots. Given a run directory, use the files in it. Given a "
        "bag, recompute everything from the bag alone, write it to <bag>-report/ beside the bag, and compare it "
        "with the run's own iterations.csv where there is one.",
    )
    parser.add_argument("path", type=Path, metavar="RUN_DIR_OR_BAG", help="run directory, bag folder or .mcap file")
    parser.add_argument("--compare", type=Path, metavar="RUN_DIR", help="another run to show in the same plots")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: see above")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the report and print its path."""
    # matplotlib takes a second to import: only who asks for a report pays for it.
    from safe_transfer_ros.record.iteration import ROWS, read
    from safe_transfer_ros.reporting.report import write
    from safe_transfer_ros.reporting.run import is_bag, largest_differences, load, whole_bag

    loaded = load(options.path)
    compare = None if options.compare is None else load(options.compare)
    differences = loaded.differences
    if is_bag(options.path):
        live = whole_bag(options.path).parent / ROWS
        print(f"{len(loaded.records)} iterations recomputed from {options.path}")
        if live.exists():
            differences = largest_differences(read(live), loaded.records)
            _print_differences(live, differences)
    for note in loaded.notes:
        print(f"note: {printable(note)}")
    print(f"report: {write(loaded, compare, out=options.out)}")
    return 0


def _print_differences(live: Path, differences: dict[str, float] | None) -> None:
    if differences is None:
        print(f"no iteration is both in {live} and in the bag")
        return
    print(f"largest difference to {live}, by column:")
    for name, value in differences.items():
        print(f"  {name:26}{value:.3g}")
