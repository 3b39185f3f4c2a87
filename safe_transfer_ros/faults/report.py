# SPDX-License-Identifier: Apache-2.0
"""The campaign's rows as the Markdown table of docs/safety.md."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from safe_transfer_ros.faults.campaign import Row
from safe_transfer_ros.faults.table import FAULTS

BEGIN, END = "<!-- faults: safe_transfer fault-campaign --docs docs/safety.md -->", "<!-- end -->"
_HEAD = (
    "| fault | expected | observed | to safe torque, ms: median / max (allowed) | data lost | repeats |",
    "|---|---|---|---|---|---|",
)


def faults_table(rows: Sequence[Row]) -> str:
    """One line per fault, in the order of the table of faults; faults without rows are left out."""
    lines = list(_HEAD)
    for fault in FAULTS:
        mine = [row for row in rows if row.fault == fault.name]
        if mine:
            lines.append(_line(fault.what, mine))
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Number of repeats that kept every promise, in one sentence."""
    count = Counter(row.kept for row in rows)
    text = f"{count['yes']} of {len(rows) - count['not run']} repeats kept every promise"
    if count["stalled"]:
        text += f"; in {count['stalled']} only a bound on time was missed, while the machine itself stood still"
    if count["not run"]:
        text += f"; {count['not run']} faults could not be injected here"
    return text


def write_into(document: Path, rows: Sequence[Row]) -> None:
    """Replace the text between the markers of a document.

    Raises:
      ValueError: the markers are not there.
    """
    text = document.read_text(encoding="utf-8")
    between = re.compile(re.escape(BEGIN) + r"\n.*?" + re.escape(END), re.DOTALL)
    if not between.search(text):
        raise ValueError(f"{document} has no place for the table: put the lines '{BEGIN}' and '{END}' into it")
    document.write_text(between.sub(lambda _: f"{BEGIN}\n{faults_table(rows)}\n{END}", text), encoding="utf-8")


def _line(what: str, rows: Sequence[Row]) -> str:
    if rows[0].kept == "not run":
        return f"| {what} | {rows[0].expected} | {rows[0].observed} | | | 0 |"
    times = [float(row.time_to_safe_ms) for row in rows if row.time_to_safe_ms]
    allowed = next((row.allowed_ms for row in rows if row.allowed_ms), "")
    time = f"{statistics.median(times):.0f} / {max(times):.0f} ({allowed})" if times else "torque goes on"
    lost = sum(int(row.data_lost) for row in rows)
    return f"| {what} | {rows[0].expected} | {_observed(rows)} | {time} | {lost or 'none'} | {_repeats(rows)} |"


def _observed(rows: Sequence[Row]) -> str:
    """Most frequent observation, and the others with their number."""
    told = Counter(row.observed for row in rows)
    (first, _), *others = told.most_common()
    broken = Counter(row.broken for row in rows if row.kept == "no")
    parts = [first, *(f"{count} x {text}" for text, count in others)]
    parts += [f"**BROKEN** {count} x: {text}" for text, count in broken.most_common()]
    return "; ".join(parts)


def _repeats(rows: Sequence[Row]) -> str:
    count = Counter(row.kept for row in rows)
    text = f"{count['yes']}/{len(rows)}"
    return text + (f", {count['stalled']} late with the machine" if count["stalled"] else "")
