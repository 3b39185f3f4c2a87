# SPDX-License-Identifier: Apache-2.0
"""Outputs on pages: what differs is found, and each is held against what is printed."""

from __future__ import annotations

import pytest
import transcripts

from safe_transfer_ros.cli import main

# Whose commands are typed, and where: here, or where a run is at hand anyway.
TYPED = {"critics.md": "test/critics/test_critics_page.py", "first_run.md": "test/graphs/test_whole_run.py"}

SHOWN = """\
run directory ...runs/first   (ROS_DOMAIN_ID=..., this machine only)
    0      1.26   0.000    1,400 of 1,400
"""


@pytest.mark.parametrize(
    "printed",
    [
        "run directory /tmp/x/runs/first (ROS_DOMAIN_ID=7, this machine only)\n0 1.26 0.000 1,400 of 1,400",
        "run directory runs/first (ROS_DOMAIN_ID=7, this machine only)\n\t0 1.27 0.001 1,400 of 1,400\n\n",
    ],
)
def test_the_same_is_the_same(printed: str) -> None:
    assert transcripts.difference(SHOWN, printed) == ""


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        ("run directory runs/second (ROS_DOMAIN_ID=7, this machine only)\n0 1.26 0.000 1,400 of 1,400", "line 1"),
        ("run directory runs/first (ROS_DOMAIN_ID=7, this machine only)\n0 1.36 0.000 1,400 of 1,400", "line 2"),
        ("run directory runs/first (ROS_DOMAIN_ID=7, this machine only)\n0 1.26 0.000 1,399 of 1,400", "line 2"),
        ("run directory runs/first (ROS_DOMAIN_ID=7, this machine only)", "line 2"),
        ("run directory runs/first (ROS_DOMAIN_ID=7, this machine only)\n0 1.26 0.000 1,400 of 1,400\nmore", "line 3"),
    ],
)
def test_what_differs_is_found(printed: str, line: str) -> None:
    assert transcripts.difference(SHOWN, printed).startswith(line)


def test_lines_and_numbers_may_be_left_open() -> None:
    shown = "begin\n...\nBrier 0.1 (base rate 0.2)\n...\n"
    printed = "begin\nupdate 1\nupdate 2\nBrier 0.7 (base rate 0.3)\nend"
    assert transcripts.difference(shown, printed, numbers=False) == ""
    assert transcripts.difference(shown, printed).startswith("line 3")
    assert transcripts.difference(shown, printed.replace("base", "bass"), numbers=False).startswith("line 3")
    assert transcripts.difference("begin\n...\nend", "begin\nend") == ""


def test_every_page_with_outputs_is_typed_by_a_test() -> None:
    shown = {path.name for path in transcripts.DOCS.rglob("*.md") if transcripts.BLOCK.search(path.read_text())}
    assert shown == set(TYPED)
    for page, test in TYPED.items():
        assert f'transcripts.of("{page}")' in (transcripts.DOCS.parent / test).read_text()
        assert all(
            shown.words[0] == "safe_transfer" and shown.words[1] in main.COMMANDS for shown in transcripts.of(page)
        )
