# SPDX-License-Identifier: Apache-2.0
"""What a page shows of a terminal: commands behind `$`, and what they print, held against what they really print."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")
TOLERANCE = 0.02  # of a number, relative and absolute: another processor rounds otherwise


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A command on a page.

    Attributes:
      words: What is typed, the program's name first.
      output: What the page shows of its output; "..." stands for anything within a line.
    """

    words: list[str]
    output: str


def of(page: str) -> list[Shown]:
    """Every command of a page's console blocks, in their order."""
    found = []
    for block in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
        assert block.startswith("$ "), f"{page}: a console block begins with a command:\n{block}"
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(Shown(words=shlex.split(command), output=output))
    return found


def difference(shown: str, printed: str) -> str:
    """The first line in which what a page shows is not what was printed; empty where there is none.

    Widths of spaces do not count, and numbers that are no counts may differ by TOLERANCE.
    """
    ours, theirs = ([line.split() for line in text.strip().splitlines()] for text in (shown, printed))
    for number in range(max(len(ours), len(theirs))):
        told, came = (" ".join(lines[number]) if number < len(lines) else "" for lines in (ours, theirs))
        if not _same(told, came):
            return f"line {number + 1}: the page shows '{told}', printed was '{came}'"
    return ""


def _same(told: str, came: str) -> bool:
    """Whether a line fits: its words as they stand, its numbers nearly."""
    pattern, wanted, at = "", [], 0
    for match in re.finditer(rf"\.\.\.|{NUMBER.pattern}", told):
        pattern += re.escape(told[at : match.start()])
        if match[0] == "...":
            pattern += ".*?"
        else:
            pattern += r"(-?\d[\d,]*(?:\.\d+)?)"
            wanted.append(match[0])
        at = match.end()
    found = re.fullmatch(pattern + re.escape(told[at:]), came)
    return found is not None and all(map(_near, wanted, found.groups()))


def _near(told: str, came: str) -> bool:
    if "." not in told:  # a count
        return told == came
    told, came = told.replace(",", ""), came.replace(",", "")
    return math.isclose(float(told), float(came), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
