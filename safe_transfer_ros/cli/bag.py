# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer bag info|check`: what a recording holds, and whether anything is missing in it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser("bag", help="look into a recording: info, check")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("info", "topics, types, counts and times"),
        (
            "check",
            "the same, and what is missing: messages, steps, joint states, the end; status 1 if anything is",
        ),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("path", type=Path, metavar="BAG", help="bag folder or .mcap file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was asked for; 1 if a check found something missing."""
    from safe_transfer_ros.bags.read import Bag
    from safe_transfer_ros.transfer.continuity import gaps

    bag = Bag(options.path)
    summaries = bag.summary()
    size = sum(file.stat().st_size for file in bag.files)
    print(f"{bag.path}: {len(bag.files)} file{'s' * (len(bag.files) != 1)}, {size / 1e6:.1f} MB")
    if summaries:
        start, end = min(s.first_ns for s in summaries), max(s.last_ns for s in summaries)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start / 1e9))
        print(f"from {stamp}, {(end - start) / 1e9:.1f} s, {sum(s.count for s in summaries):,} messages")
    for s in summaries:
        seconds = (s.last_ns - s.first_ns) / 1e9
        rate = f"{(s.count - 1) / seconds:8.1f} Hz" if seconds > 0 else " " * 11
        print(f"  {s.topic:34}{s.count:>10,} {rate}  {s.type_name}")
    found = [damage.describe() for damage in bag.damage if not damage.whole]
    found += [
        f"{s.topic}: {s.lost_before_recording} messages were sent that the recorder never got"
        for s in summaries
        if s.lost_before_recording
    ]
    if options.action == "check":
        found += gaps(bag)
    for text in found:
        print(f"  ! {text}")
    if options.action == "info":
        return 0
    if not found:
        print("nothing is missing")
    return 1 if found else 0
