# SPDX-License-Identifier: Apache-2.0
"""The operator at the terminal: a slip of the finger costs a question, not the procedure."""

from __future__ import annotations

import builtins

import pytest

from safe_transfer_ros.cli.commission import Terminal
from safe_transfer_ros.cli.interrupts import Interrupts


@pytest.mark.parametrize(
    ("answers", "confirmed", "questions"),
    [
        (["yes"], True, 1),
        (["y"], True, 1),
        ([" YES "], True, 1),
        (["no"], False, 1),
        (["n"], False, 1),
        (["", "yse", "maybe", "y"], True, 4),
        (["yy", "n"], False, 2),
        ([], False, 1),
        (["ja"], False, 2),
    ],
)
def test_only_a_yes_goes_on_and_only_a_no_ends(
    monkeypatch: pytest.MonkeyPatch, answers: list[str], confirmed: bool, questions: int
) -> None:
    asked: list[str] = []
    left = iter(answers)

    def answer(question: str) -> str:
        asked.append(question)
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None  # nobody is there any more

    monkeypatch.setattr(builtins, "input", answer)
    with Interrupts() as interrupts:
        assert Terminal(interrupts).confirm("A joint is pushed.") is confirmed
    assert len(asked) == questions and "A joint is pushed." in asked[0]
    assert all("neither yes nor no" in question for question in asked[1:])
