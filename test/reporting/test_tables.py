# SPDX-License-Identifier: Apache-2.0
"""Tables that are Markdown and can be read on a terminal."""

from __future__ import annotations

from safe_transfer_ros.reporting.tables import markdown, several


def test_cells_are_as_wide_as_their_column() -> None:
    assert markdown([("method", "a"), ("CSC", "1.25"), ("x", "")]).splitlines() == [
        "| method | a    |",
        "| ------ | ---- |",
        "| CSC    | 1.25 |",
        "| x      |      |",
    ]


def test_one_is_singular() -> None:
    assert [several(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
