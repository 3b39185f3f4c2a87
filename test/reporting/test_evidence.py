# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of a study, from made-up runs whose numbers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from safe_transfer_ros.reporting.evidence import draw, violations, violations_text
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.studies.study import StudyCurves, StudyRun


def made_up(damage: list[float], limit: list[float], returns: list[float], rule: str = "adaptive") -> StudyCurves:
    count = len(damage)
    columns = {
        "expected_damage": np.array(damage),
        "torque_limit": np.array(limit),
        "mean_return": np.array(returns),
        "true_damage": np.full(count, np.nan),
    }
    return StudyCurves(run=StudyRun(iterations=count, governor=GovernorSettings(rule=rule)), columns=columns)


FIRST = made_up([0.1, 0.7, 0.5, 0.2], [0.1, 1.0, 3.0, 3.0], [0.0, 1.0, 2.0, 3.0])
SECOND = made_up([0.1, 0.2, 0.6, 0.2], [0.1, 1.0, 1.0, 1.2], [0.0, 1.0, 2.0, 5.0])


def test_violations_are_counted_as_they_are() -> None:
    line = violations("ours", [FIRST, SECOND])
    assert (line.over, line.iterations, line.first_over) == (2, 8, 1)  # .5 itself is within the bound
    assert line.over_in_mean == 1  # (.5 + .6) / 2
    assert line.worst_excess == 0.2
    assert (line.at_maximum, line.first_at_maximum) == (1, 2.0)
    assert line.last_limit == 2.1
    assert (line.final_return, line.final_low, line.final_high) == (1.8, 1.5, 2.0)
    assert line.true_over == ""


def test_true_violations_are_those_of_the_evaluation() -> None:
    run = made_up([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], [0.0, 0.0, 0.0])
    run.columns["true_damage"][:] = [0.6, np.nan, 0.4]
    assert violations("ours", [run]).true_over == 1
    text = " ".join(violations_text([violations("ours", [run])]).split())
    assert "| 1 |" in text and "| 0 (one run) |" in text, "one run has no interval"


def test_the_table_says_nothing_of_what_was_not_measured() -> None:
    text = " ".join(violations_text([violations("ours", [FIRST, SECOND])]).split())
    assert "truly over" not in text and "| 2 of 8 | 1 | 0.200 | 1 of 2, 2.0 | 2.10 | 2 (2, 2) |" in text


def test_the_same_runs_draw_the_same_picture(tmp_path: Path) -> None:
    curves = {"ours": [FIRST, SECOND], "fixed": [made_up([2.0] * 4, [3.0] * 4, [-900.0] * 4, "fixed")]}
    columns = ("mean_return", "expected_damage", "torque_limit", "true_damage")
    pictures = [draw("Title", curves, columns, tmp_path / f"{n}.png").read_bytes() for n in range(2)]
    assert pictures[0] == pictures[1] and pictures[0].startswith(b"\x89PNG") and len(pictures[0]) > 20_000
