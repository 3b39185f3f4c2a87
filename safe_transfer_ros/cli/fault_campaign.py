# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer fault-campaign`: put faults into real processes again and again and see what the filter does."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from safe_transfer_ros.cli.bars import progress_bar

EXIT_BROKEN = 1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "fault-campaign",
        help="inject faults into real processes and check the filter's promises; status 1 if one was broken",
        description="Each fault is injected while torque flows, and its effect is checked from outside: torque bounds "
        "and rate, modes, reasons, time to safe torque, data in the bag. Writes faults.csv (one row per repeat) and "
        "faults.md (one row per fault). Three faults need root (a network that is cut, twice, and a full disk).",
    )
    parser.add_argument("--repeats", type=int, default=20, help="repeats of each fault (default 20)")
    parser.add_argument("--faults", default="", metavar="NAME,...", help="only these; see --list")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/faults"), help="directory to write (default runs/faults)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which faults happen")
    parser.add_argument(
        "--priority",
        type=int,
        default=0,
        help="SCHED_FIFO priority of the filter (its realtime_priority) and of what stands in for its peers, for a "
        "machine that has other work (default 0: none)",
    )
    parser.add_argument("--docs", type=Path, help="put the table between its markers in this file, too")
    parser.add_argument("--list", action="store_true", help="list the faults and exit")
    parser.add_argument("--quick", action="store_true", help="one repeat of each fault")
    parser.add_argument("--resume", action="store_true", help="continue the campaign in --out")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the remaining repeats of the campaign and write its table."""
    from safe_transfer_ros.faults.table import find

    chosen = find([name for name in options.faults.split(",") if name])
    if options.list:
        for fault in chosen:
            print(f"{fault.name:26} {fault.what}\n{'':26}   expected: {fault.expected}")
        return 0
    from safe_transfer_ros.faults import campaign, report
    from safe_transfer_ros.launching import domain

    repeats = 1 if options.quick else options.repeats
    if repeats < 1:
        raise ValueError(f"--repeats must be at least 1, got {repeats}")
    if (options.out / campaign.CSV_NAME).exists() and not options.resume:
        raise ValueError(f"{options.out} holds a campaign already: add --resume to continue, or choose another --out")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    claimed = domain.claim()
    console = Console()
    bar = progress_bar(console, "", what="{task.description:26}")
    total = bar.add_task("starting", total=repeats * len(chosen))
    done: dict[str, int] = {}

    def told(name: str, number: int) -> None:
        done[name] = number
        bar.update(total, description=name, completed=sum(done.values()))

    wanted = campaign.Campaign(
        options.out, claimed.number, repeats=repeats, seed=options.seed, priority=options.priority, told=told
    )
    try:
        with bar:
            for fault in chosen:
                told(fault.name, 0)
                rows = wanted.run(fault)
                told(fault.name, repeats)
                _say(console, fault.name, rows)
    except KeyboardInterrupt:
        print(f"interrupted; finished repeats are kept: continue with --resume --out {options.out}", file=sys.stderr)
        raise
    finally:
        rows = campaign.read(wanted.csv)
        if rows:
            (options.out / "faults.md").write_text(report.faults_table(rows) + "\n", encoding="utf-8")
    if options.docs is not None:
        report.write_into(options.docs, rows)
    print(f"{report.summary(rows)}\n{wanted.csv}\n{options.out / 'faults.md'}")
    return EXIT_BROKEN if any(row.kept == "no" for row in rows) else 0


def _say(console: Console, name: str, rows: list) -> None:
    """Print one line per fault, and the promises that were broken."""
    times = [float(row.time_to_safe_ms) for row in rows if row.time_to_safe_ms]
    worst = f"safe torque after at most {max(times):5.1f} ms" if times else ""
    kept = sum(row.kept == "yes" for row in rows)
    console.print(f"{name:26} {kept:3} of {len(rows):3} kept  {worst}", highlight=False, soft_wrap=True)
    for row in rows:
        if row.kept != "yes":
            console.print(
                f"{'':26} repeat {row.repeat}: {row.kept}: {row.broken or row.observed}",
                highlight=False,
                soft_wrap=True,
            )
