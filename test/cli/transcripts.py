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


def difference(shown: str, printed: str, *, numbers: bool = True) -> str:
    """The first line in which what a page shows is not what was printed; empty where there is none.

    Widths of spaces do not count, and numbers that are no counts may differ by TOLERANCE. A line of "..." alone stands
    for any lines.

    Args:
      shown: Lines of the page.
      printed: Lines of a command.
      numbers: Whether numbers count at all.
    """
    ours, theirs = ([" ".join(line.split()) for line in text.strip().splitlines()] for text in (shown, printed))
    at = 0
    for number, told in enumerate(ours):
        if told == "...":
            after = ours[number + 1] if number + 1 < len(ours) else None
            while at < len(theirs) and (after is None or not _same(after, theirs[at], numbers)):
                at += 1
        elif at < len(theirs) and _same(told, theirs[at], numbers):
            at += 1
        else:
            return f"line {number + 1}: the page shows '{told}', printed was '{(theirs[at:] or [''])[0]}'"
    return "" if at == len(theirs) else f"line {len(ours) + 1}: the page ends, printed was '{theirs[at]}'"


def _same(told: str, came: str, numbers: bool) -> bool:
    """Whether a line fits: its words as they stand, its numbers nearly, or whatever they are."""
    pattern, wanted, at = "", [], 0
    for match in re.finditer(rf"\.\.\.|{NUMBER.pattern}", told):
        pattern += re.escape(told[at : match.start()])
        if match[0] == "...":
            pattern += ".*?"
        else:
            pattern += r"(-?\d[\d,]*(?:\.\d+)?)" if numbers else r"(nan|-?\d[\d,]*(?:\.\d+)?)"
            wanted.append(match[0])
        at = match.end()
    found = re.fullmatch(pattern + re.escape(told[at:]), came)
    return found is not None and (not numbers or all(map(_near, wanted, found.groups())))


def _near(told: str, came: str) -> bool:
    if "." not in told:  # a count
        return told == came
    told, came = told.replace(",", ""), came.replace(",", "")
    return math.isclose(float(told), float(came), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
