# SPDX-License-Identifier: Apache-2.0
"""Permission over a topic: withdrawn, silent, and not required."""

import pytest

from safe_transfer_ros.safety.filter.permission import Permission

MS = 1_000_000


def test_without_a_lease_only_its_word_counts() -> None:
    permission = Permission()
    assert permission.problem(0) is None
    permission.hear(False, 5)
    assert permission.problem(10**15) == "the controller supervisor permits no torque"
    permission.hear(True, 6)
    assert permission.problem(10**15) is None


def test_with_a_lease_silence_counts_from_the_start() -> None:
    permission = Permission(0.1)
    assert str(permission.problem(0)).startswith("the controller supervisor has not been heard")
    permission.hear(True, 0)
    assert permission.problem(100 * MS) is None
    assert "silent" in str(permission.problem(100 * MS + 1))
    permission.hear(True, 200 * MS)
    assert permission.problem(250 * MS) is None
    permission.hear(False, 260 * MS)
    assert permission.problem(260 * MS) == "the controller supervisor permits no torque"


def test_a_clock_that_went_back_counts_as_silence() -> None:
    permission = Permission(0.1)
    permission.hear(True, 10 * MS)
    assert "silent" in str(permission.problem(9 * MS))


@pytest.mark.parametrize("lease", [-1.0, -0.005, float("nan"), float("inf")])
def test_a_lease_that_makes_no_sense_is_refused(lease: float) -> None:
    with pytest.raises(ValueError, match="lease_s"):
        Permission(lease)


def test_the_moment_it_is_heard_is_within_the_lease_and_the_one_before_is_not() -> None:
    permission = Permission(0.1)
    permission.hear(True, 10 * MS)
    assert permission.problem(10 * MS) is None
    assert "silent" in str(permission.problem(10 * MS - 1))
