# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown that can be read on a terminal as well: cells are padded to the width of their column."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head.

    Args:
      rows: Cells, as many in each row.
    """
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    head, *body = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )
    return "\n".join([head, "| " + " | ".join("-" * width for width in widths) + " |", *body])


def several(count: int, noun: str) -> str:
    """A number and its noun: "1 run", "2 runs"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
