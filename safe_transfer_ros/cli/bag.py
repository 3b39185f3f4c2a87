# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer bag`: what a recording holds, whether anything is missing, and what can be learned from it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from safe_transfer_ros.untrusted import printable


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser("bag", help="inspect a recording, repair it, convert it to transitions")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    info = actions.add_parser("info", help="list topics, types, counts and times")
    check = actions.add_parser(
        "check",
        help="list the same and report missing messages, steps, joint states or end; status 1 if anything is missing",
    )
    repair_ = actions.add_parser(
        "repair", help="write a new bag with what can be read of a damaged one; status 1 if something is lost"
    )
    transitions = actions.add_parser(
        "to-transitions",
        help="write (s, a, r, c, s') as memory-mapped arrays for training; status 1 on known losses",
    )
    for action, what in ((info, _info), (check, _info), (repair_, _repair)):
        action.add_argument("path", type=Path, metavar="BAG", help="bag folder, .mcap or .db3 file")
        action.set_defaults(run=what)
    repair_.add_argument("out", type=Path, metavar="OUT", help="folder of the new bag")
    transitions.add_argument("paths", type=Path, nargs="+", metavar="BAG", help="bag folders, .mcap or .db3 files")
    transitions.add_argument("--out", type=Path, required=True, help="folder to create")
    transitions.add_argument("--task", default="pr2_cup_swirl", help="the task it was recorded with (pr2_cup_swirl)")
    transitions.add_argument(
        "--mapping",
        type=Path,
        metavar="YAML",
        help="topics and fields of a recording from another stack: docs/critics.md",
    )
    transitions.set_defaults(run=_transitions)
    export = actions.add_parser(
        "export-minari", help="write transitions as a Minari dataset, for other offline-RL libraries"
    )
    export.add_argument("path", type=Path, metavar="TRANSITIONS", help="folder of to-transitions")
    export.add_argument("--out", type=Path, required=True, help="folder to create")
    export.set_defaults(run=_export)


def _info(options: argparse.Namespace) -> int:
    """Print what was asked for; 1 if a check found something missing."""
    from safe_transfer_ros.bags.read import Bag
    from safe_transfer_ros.record.continuity import gaps

    bag = Bag(options.path)
    summaries = bag.summary()
    size = sum(file.stat().st_size for file in bag.files)
    print(f"{bag.path}: {len(bag.files)} file{'s' * (len(bag.files) != 1)}, {size / 1e6:.1f} MB")
    if summaries:
        start, end = min(s.first_ns for s in summaries), max(s.last_ns for s in summaries)
        print(f"from {_date(start)}, {(end - start) / 1e9:.1f} s, {sum(s.count for s in summaries):,} messages")
    for s in summaries:
        seconds = (s.last_ns - s.first_ns) / 1e9
        rate = f"{(s.count - 1) / seconds:8.1f} Hz" if seconds > 0 else " " * 11
        print(f"  {printable(s.topic):34}{s.count:>10,} {rate}  {printable(s.type_name)}")
    found = bag.losses() + [bag.clock.describe()] * bool(bag.clock.jumps)
    found += [
        f"{printable(s.topic)}: {s.lost_before_recording} messages were sent that the recorder never got"
        for s in summaries
        if s.lost_before_recording
    ]
    if options.action == "check":
        found += [printable(text) for text in gaps(bag)]
    for text in found:
        print(f"  ! {text}")
    if options.action == "info":
        return 0
    if not found:
        print("nothing is missing")
    return 1 if found else 0


def _date(time_ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ns / 1e9))
    except (OverflowError, OSError, ValueError):  # a clock that was never set
        return f"{time_ns / 1e9:.0f} s after 1970"


def _repair(options: argparse.Namespace) -> int:
    """Write the new bag and say what could not be saved; 1 if that is anything."""
    from safe_transfer_ros.bags.repair import repair

    repaired = repair(options.path, options.out)
    for text in repaired.lost:
        print(f"  ! {text}")
    print(f"{options.out}: {repaired.messages:,} messages")
    return 1 if repaired.lost else 0


def _transitions(options: argparse.Namespace) -> int:
    """Write the folder of transitions and say what was left out; 1 if something of the recordings is lost."""
    from safe_transfer_ros.bags.foreign import write_foreign_transitions
    from safe_transfer_ros.bags.read import Bag
    from safe_transfer_ros.bags.recording_map import read_mapping
    from safe_transfer_ros.bags.transitions import write_transitions
    from safe_transfer_ros.tasks.deployment import in_graph

    bags = [Bag(path) for path in options.paths]
    if options.mapping is None:
        _, counts = write_transitions(bags, in_graph(options.task), options.out)
    elif len(bags) == 1:
        _, counts = write_foreign_transitions(bags[0], read_mapping(options.mapping), options.out)
    else:
        raise ValueError(f"--mapping takes one recording at a time, got {len(bags)}")
    lost = [text for bag in bags for text in bag.losses()]
    for text in lost:
        print(f"  ! {text}")
    print(f"{options.out}: {counts.describe()}")
    return 1 if lost else 0


def _export(options: argparse.Namespace) -> int:
    """Write the dataset."""
    from safe_transfer_ros.bags.export_minari import export_minari
    from safe_transfer_ros.bags.transition_store import Transitions

    transitions = Transitions(options.path)
    episodes = export_minari(transitions, options.out)
    print(f"{options.out / 'data'}: {episodes} episodes, {len(transitions):,} steps")
    return 0
