# SPDX-License-Identifier: Apache-2.0
"""What further episodes say of methods, from made-up runs whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.reporting.judged import judged, judged_text
from safe_transfer_ros.robots.simulation import PERTURBATIONS
from safe_transfer_ros.studies.study import StudyCurves, StudyRun

NAN = float("nan")


def made_up(
    seed: int, returns: list[float], true: list[float], earned: list[float], damage: float = 0.1, arm: str = "literal"
) -> StudyCurves:
    columns = {
        "expected_damage": np.full(len(returns), damage),
        "torque_limit": np.linspace(0.1, seed + 1.0, len(returns)),
        "mean_return": np.array(returns),
        "true_damage": np.array(true),
        "true_return": np.array(earned),
    }
    return StudyCurves(
        run=StudyRun(seed=seed, iterations=len(returns), perturbation=PERTURBATIONS[arm]), columns=columns
    )


PAPER = [made_up(0, [0, 0, 0], [0.2, NAN, 0.7], [1, NAN, 2]), made_up(1, [9, 9, 9], [0.1, NAN, 0.3], [5, NAN, 6])]
OURS = [
    made_up(0, [2, 2, 2], [0.6, NAN, 0.1], [1, NAN, 4], damage=0.4),
    made_up(1, [13, 13, 13], [0.1, NAN, 0.1], [7, NAN, 8]),
]


def test_methods_are_compared_with_the_first_by_seed() -> None:
    paper, ours = judged({"paper": PAPER, "ours": OURS})
    assert (paper.looks, paper.true_over, paper.largest_true, paper.largest) == (4, 1, 0.7, 0.1)
    assert (ours.true_over, ours.largest_true, ours.largest, ours.last_limit) == (1, 0.6, 0.4, 1.5)
    assert (paper.run_return, paper.run_return_stddev) == (4.5, round(9 / np.sqrt(2), 1))
    assert (paper.more, paper.more_low, paper.more_high) == (0.0, 0.0, 0.0)
    assert (ours.more, ours.more_low, ours.more_high) == (3.0, 2.0, 4.0), "of 2 and 4: the seeds' own spread cancels"
    assert ours.more_at_looks == "1 (0 to 2), 2 (2 to 2)"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in judged_text([paper, ours]).splitlines()]
    assert rows[2] == ["paper", "1 of 4", "0.10, 0.70", "1.50", "4 +- 6", "0 (0, 0)"]
    assert rows[3] == ["ours", "1 of 4", "0.40, 0.60", "1.50", "8 +- 8", "3 (2, 4)"]


def test_methods_on_another_arm_are_compared_with_the_first_there() -> None:
    tenth = [made_up(seed, [-1, -1, -1], [0.1, NAN, 0.1], [0, NAN, 0], arm="tenth") for seed in (0, 1)]
    better = [made_up(seed, [5, 5, 5], [0.1, NAN, 0.1], [1, NAN, 1], arm="tenth") for seed in (0, 1)]
    lines = judged({"paper": PAPER, "tenth": tenth, "ours": OURS, "tenth, better": better})
    assert [line.more for line in lines] == [0.0, 0.0, 3.0, 6.0]


def test_nothing_is_said_where_nothing_was_judged() -> None:
    blind = [made_up(0, [0.0], [NAN], [NAN])]
    assert judged({"paper": blind, "ours": blind}) == []


def test_other_seeds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="expected the same seeds of ours as of the first method"):
        judged({"paper": PAPER, "ours": OURS[::-1]})
