# SPDX-License-Identifier: Apache-2.0
"""The spill test's table: who lost how many, and whether that can be chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from safe_transfer_ros.reporting.spill import almonds_lost, almonds_lost_text
from safe_transfer_ros.studies.study import StudyCurves, StudyRun


def runs(lost: Sequence[float]) -> list[StudyCurves]:
    """Runs of two iterations that end with as many almonds lost; half of them are lost in the first."""
    return [StudyCurves(run=StudyRun(iterations=2), columns={"almonds_lost": np.array([end / 2, end])}) for end in lost]


def test_the_test_of_significance_is_the_exact_one_sided_one() -> None:
    lines = almonds_lost({"ours": runs([4, 6, 8, 5, 7]), "theirs": runs([9, 20, 30, 15, 10]), "best": runs([0] * 5)})
    assert [line.p_value for line in lines] == [
        "",
        pytest.approx(1 / 252, abs=5e-5),  # of the orders of ten runs one has ours first
        1.0,
    ]
    overlapping = almonds_lost({"ours": runs([1, 4]), "theirs": runs([2, 3])})[1]
    assert overlapping.p_value == pytest.approx(4 / 6, abs=5e-5)  # U = 2 or less in four of six orders


def test_the_numbers_are_those_of_the_last_iteration() -> None:
    (line,) = almonds_lost({"ours": runs([4, 6, 8])})
    assert (line.mean, line.standard_deviation, line.fewest, line.most, line.runs) == (6.0, 2.0, 4, 8, 3)
    assert "| ours | 6.0 ± 2.0 | 4 to 8 | 3 | |" in " ".join(almonds_lost_text([line]).split())


def test_one_run_has_no_spread() -> None:
    (line,) = almonds_lost({"ours": runs([4])})
    assert line.standard_deviation == "" and "| ours | 4.0 | 4 to 4 | 1 | |" in " ".join(
        almonds_lost_text([line]).split()
    )
