# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer shadow-report` and `promote`: a candidate critic beside the active one, and in its place."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.untrusted import printable, read_text


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both subcommands."""
    report = subparsers.add_parser(
        "shadow-report",
        help="evaluate a candidate critic on recordings: what it would have refused, and how often rightly",
    )
    report.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="recordings, or one folder of transitions")
    report.add_argument("--candidate", type=Path, required=True, metavar="CRITIC", help="the critic to evaluate")
    report.add_argument("--active", type=Path, metavar="CRITIC", help="the active critic; omit if there is none yet")
    report.add_argument("--horizon", type=int, help="steps within which a failure counts (what the candidate can see)")
    report.add_argument("--task", default="pr2_cup_swirl", help="the task of the recordings (pr2_cup_swirl)")
    report.add_argument("--out", type=Path, default=Path("shadow_report.json"), help="report (shadow_report.json)")
    report.set_defaults(run=_report)
    promote = subparsers.add_parser("promote", help="replace the active critic by a candidate")
    promote.add_argument("candidate", type=Path, help="the critic that takes its place")
    promote.add_argument("active", type=Path, help="the file of critic:=, read again between iterations")
    promote.add_argument("--report", type=Path, required=True, help="the candidate's shadow report")
    promote.add_argument("--force", metavar="WHY", help="promote despite the report; the reason is recorded")
    promote.set_defaults(run=_promote)


def _report(options: argparse.Namespace) -> int:
    """Judge both on the same steps; status 1 if the candidate may not be promoted."""
    from safe_transfer_ros.critics.data import action_bound
    from safe_transfer_ros.critics.safety_critic import load_critic
    from safe_transfer_ros.critics.shadow import objections, shadow_report

    candidate = load_critic(options.candidate)
    active = load_critic(options.active) if options.active else None
    horizon = options.horizon or max(1, round(candidate.number("horizon_steps")))
    with tempfile.TemporaryDirectory() as temporary:
        columns = _columns(options, Path(temporary))
        bound = action_bound(columns.about)
        reports = [
            shadow_report(one, columns, horizon=horizon, epsilon=one.number("epsilon"), action_bound=bound)
            for one in (candidate, active)
            if one is not None
        ]
    against = objections(reports[0], reports[1] if active else None, certified=candidate.certified)
    document = {"candidate": reports[0].as_dict(), "active": reports[1].as_dict() if active else None}
    write_atomically(options.out, json.dumps(document | {"against": against}, indent=1) + "\n")
    for name, one in zip(("candidate", "active"), reports, strict=False):
        print(
            f"{name} {one.version}: {one.steps:,} steps, {one.failures:,} within {horizon} steps of a failure; "
            f"would have refused {one.refused:,}, {one.refused_rightly:,} rightly; missed {one.missed_share:.1%}, "
            f"wrongly refused {one.false_share:.1%} ({one.unsupported:,} for want of data); AUROC {one.auroc:.3f}; "
            f"latency {one.latency_us[0]:.0f} us, 99 % {one.latency_us[1]:.0f} us"
        )
    for text in against:
        print(f"  ! not to be promoted: {printable(text)}")
    print(options.out)
    return 1 if against else 0


def _columns(options: argparse.Namespace, folder: Path) -> Any:
    from safe_transfer_ros.bags.read import Bag
    from safe_transfer_ros.bags.transition_store import ABOUT, Transitions
    from safe_transfer_ros.bags.transitions import write_transitions
    from safe_transfer_ros.tasks.deployment import in_graph

    if len(options.bags) == 1 and (options.bags[0] / ABOUT).exists():
        return Transitions(options.bags[0])
    return write_transitions([Bag(path) for path in options.bags], in_graph(options.task), folder / "transitions")[0]


def _promote(options: argparse.Namespace) -> int:
    """Replace the active file in one step, and record who took whose place and why.

    Raises:
      ValueError: if the report is of another critic, or stands against it and nothing was forced.
    """
    from safe_transfer_ros.critics.safety_critic import load_critic, read_critic_file

    candidate = load_critic(options.candidate)
    try:
        report = json.loads(read_text(options.report))
        version, against = str(report["candidate"]["version"]), list(map(str, report["against"]))
        judged_against = str((report.get("active") or {}).get("version", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{options.report} is not a shadow report: {error}") from error
    before = load_critic(options.active).version if options.active.exists() else ""
    if version != candidate.version:
        against.append(f"the report is of critic {version}, this one is {candidate.version}")
    if judged_against != before:
        against.append(f"it was compared with critic {judged_against or 'none'}, the active one is {before or 'none'}")
    if against and not options.force:
        raise ValueError("not promoted: " + "; ".join(against) + ' (--force "WHY" does it all the same, on record)')
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "from": before,
        "to": candidate.version,
        "against": against,
        "forced": options.force or "",
    }
    log = options.active.with_name(f"{options.active.name}.promotions.jsonl")
    with log.open("a") as file:  # before the file changes: no promotion without its record
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
    write_atomically(options.active, read_critic_file(options.candidate))
    print(f"{options.active}: critic {candidate.version} from the next iteration on; recorded in {log}")
    return 0
