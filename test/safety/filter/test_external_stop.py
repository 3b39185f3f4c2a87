# SPDX-License-Identifier: Apache-2.0
"""A stop button over a topic: pressed, silent, and not required."""

import pytest

from safe_transfer_ros.safety.filter.external_stop import ExternalStop

MS = 1_000_000


def test_without_a_lease_only_a_press_counts() -> None:
    stop = ExternalStop()
    assert stop.problem(0) is None
    stop.hear(True, 5)
    assert "pressed" in str(stop.problem(10**15))
    stop.hear(False, 6)
    assert stop.problem(10**15) is None


def test_with_a_lease_silence_counts_from_the_start() -> None:
    stop = ExternalStop(0.1)
    assert "has not been heard" in str(stop.problem(0))
    stop.hear(False, 0)
    assert stop.problem(100 * MS) is None
    assert "silent" in str(stop.problem(100 * MS + 1))
    stop.hear(False, 200 * MS)
    assert stop.problem(250 * MS) is None


def test_a_clock_that_went_back_counts_as_silence() -> None:
    stop = ExternalStop(0.1)
    stop.hear(False, 10 * MS)
    assert "silent" in str(stop.problem(9 * MS))


@pytest.mark.parametrize("lease", [-1.0, float("nan"), float("inf")])
def test_a_lease_that_makes_no_sense_is_refused(lease: float) -> None:
    with pytest.raises(ValueError, match="lease_s"):
        ExternalStop(lease)


def test_it_may_be_something_else_that_forbids_motion() -> None:
    permission = ExternalStop(0.1, "the controller supervisor", "permits no torque")
    assert str(permission.problem(0)).startswith("the controller supervisor has not been heard")
    permission.hear(True, 0)
    assert permission.problem(0) == "the controller supervisor permits no torque"
