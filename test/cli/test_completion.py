# SPDX-License-Identifier: Apache-2.0
"""Completion as bash does it."""

from __future__ import annotations

import subprocess

import pytest

from safe_transfer_ros.cli.main import main


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("safe_transfer wat", ["watch"]),
        ("safe_transfer re", ["report", "reproduce"]),
        ("safe_transfer up pr2", ["pr2_cup_swirl"]),
        ("safe_transfer up pr2_cup_swirl iter", ["iterations:="]),
        ("safe_transfer commission panda_push tas", ["task:="]),
        ("safe_transfer watch iter", []),
    ],
)
def test_the_word_under_the_cursor_is_completed(
    typed: str, expected: list[str], capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    assert main(["completion"]) == 0
    words = typed.split(" ")
    array = " ".join(f"'{word}'" for word in words)
    program = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({array}); COMP_CWORD={len(words) - 1}\n"
        '_safe_transfer; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-u", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == expected
