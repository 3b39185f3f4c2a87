# SPDX-License-Identifier: Apache-2.0
"""A torque that outlives its controller is told, whichever joint has it and whenever it comes; so is not knowing."""

from __future__ import annotations

import numpy as np
import pytest

from safe_transfer_ros.safety.supervisor.rest_effort import Rest, RestEffort

MS = 1_000_000
JOINTS = ("a", "b", "c")
ZERO = np.zeros(3)


@pytest.fixture
def rest() -> RestEffort:
    """Watched since 1000 ms, with 500 ms for the torque to end and .1 N·m of tolerance."""
    rest = RestEffort(JOINTS, 0.1, 0.5)
    rest.watch(1000 * MS)
    return rest


def test_while_a_controller_is_active_there_may_be_torque() -> None:
    rest = RestEffort(JOINTS, 0.1, 0.5)
    rest.hear(np.full(3, 5.0), 0)
    assert rest.verdict(0) is Rest.UNWATCHED and rest.describe(0) == ""
    rest.watch(0)
    rest.unwatch()
    assert rest.verdict(10_000 * MS) is Rest.UNWATCHED


def test_torque_that_has_ended_is_at_rest(rest: RestEffort) -> None:
    rest.hear(np.array([0.1, -0.1, 0.0]), 1501 * MS)
    assert rest.verdict(1500 * MS) is Rest.PENDING and rest.describe(1500 * MS) == ""
    assert rest.verdict(1501 * MS) is Rest.AT_REST and rest.describe(1501 * MS) == ""


@pytest.mark.parametrize(("joint", "effort"), [(0, -0.98), (1, 0.101), (2, 8.6)])
def test_a_torque_on_any_joint_is_told_with_its_joint(rest: RestEffort, joint: int, effort: float) -> None:
    beyond = ZERO.copy()
    beyond[joint] = effort
    rest.hear(beyond, 1501 * MS)
    assert rest.verdict(1501 * MS) is Rest.TORQUE_HELD
    says = rest.describe(1501 * MS)
    assert f"drives {JOINTS[joint]}," in says and f"{effort:+.2g} N·m" in says and "HARDWARE EMERGENCY STOP" in says


def test_a_torque_that_comes_back_later_is_told_and_its_end_too(rest: RestEffort) -> None:
    for time, effort, verdict in ((1501, 0.0, Rest.AT_REST), (1600, 1.0, Rest.TORQUE_HELD), (1700, 0.0, Rest.AT_REST)):
        rest.hear(np.full(3, effort), time * MS)
        assert rest.verdict(time * MS) is verdict


def test_the_time_to_end_counts_from_the_first_watch(rest: RestEffort) -> None:
    rest.watch(1400 * MS)
    rest.hear(np.full(3, 1.0), 1501 * MS)
    assert rest.verdict(1501 * MS) is Rest.TORQUE_HELD


@pytest.mark.parametrize(
    ("beyond", "heard", "settled"),
    [(0.1, 1001, True), (0.11, 1001, False), (0.0, 1000, False), (0.0, 900, False), (np.nan, 1001, False)],
)
def test_settled_is_rest_measured_since(rest: RestEffort, beyond: float, heard: int, settled: bool) -> None:
    assert not rest.settled(1000 * MS), "nothing was heard"
    rest.hear(np.array([0.0, 0.0, beyond]), heard * MS)
    assert rest.settled(1000 * MS) is settled


@pytest.mark.parametrize("told", [[np.nan, 0.0, 0.0], [0.0, 0.0, np.inf], [np.nan] * 3])
def test_an_effort_that_is_not_told_is_not_rest(rest: RestEffort, told: list[float]) -> None:
    rest.hear(np.array(told), 1501 * MS)
    assert rest.verdict(1501 * MS) is Rest.EFFORT_UNKNOWN and "EFFORT_UNKNOWN" in rest.describe(1501 * MS)


def test_a_measurement_that_may_be_anothers_tells_nothing(rest: RestEffort) -> None:
    rest.hear(ZERO, 1501 * MS, "joint_states has 2 publishers")
    assert rest.verdict(1501 * MS) is Rest.EFFORT_UNKNOWN and not rest.settled(1000 * MS)
    assert "EFFORT_UNKNOWN: joint_states has 2 publishers, so it is not known" in rest.describe(1501 * MS)
    rest.hear(np.full(3, 1.0), 1502 * MS)
    assert rest.verdict(1502 * MS) is Rest.TORQUE_HELD
    rest.hear(np.array([np.nan, 0.0, 0.0]), 1503 * MS)
    assert "EFFORT_UNKNOWN: joint_states tell no effort, so" in rest.describe(1503 * MS)


@pytest.mark.parametrize(
    ("heard", "now", "told"),
    [
        (None, 1501, "no joint state of its joints has come yet, so"),
        (0, 1501, "no joint state of its joints has come yet, so"),
        (1000, 1501, "no joint state of its joints has come for 0.5 s, so"),
        (1600, 1599, "the clock went back, so no joint state has an age, so"),
    ],
)
def test_without_a_fresh_measurement_nothing_is_known(rest: RestEffort, heard: int | None, now: int, told: str) -> None:
    """And it is told which: an arm that was never heard is another fault than one that has no effort."""
    if heard is not None:
        rest.hear(ZERO, heard * MS)
    assert rest.verdict(now * MS) is Rest.EFFORT_UNKNOWN
    assert f"EFFORT_UNKNOWN: {told}" in rest.describe(now * MS)


def test_a_clock_that_went_back_gives_no_time_to_end(rest: RestEffort) -> None:
    rest.hear(np.full(3, 1.0), 999 * MS)
    assert rest.verdict(999 * MS) is Rest.TORQUE_HELD


@pytest.mark.parametrize(("tolerance", "timeout"), [(0.0, 1.0), (float("inf"), 1.0), (0.1, 0.0), (0.1, float("nan"))])
def test_bounds_that_bound_nothing_are_refused(tolerance: float, timeout: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number"):
        RestEffort(JOINTS, tolerance, timeout)


def test_before_any_measurement_nothing_is_known(rest: RestEffort) -> None:
    assert rest.verdict(1500 * MS) is Rest.PENDING
    assert rest.verdict(1500 * MS + 1) is Rest.EFFORT_UNKNOWN


def test_small_numbers_are_numbers() -> None:
    rest = RestEffort(JOINTS, 0.005, 0.005)
    rest.watch(0)
    rest.hear(np.full(3, -0.004), 6 * MS)
    assert rest.verdict(6 * MS) is Rest.AT_REST


def test_a_measurement_is_as_old_as_it_may_be_at_the_timeout_and_no_older_nor_of_the_future(rest: RestEffort) -> None:
    rest.hear(ZERO, 2000 * MS)
    for now_ns, verdict in (
        (2000 * MS, Rest.AT_REST),
        (2500 * MS, Rest.AT_REST),
        (2500 * MS + 1, Rest.EFFORT_UNKNOWN),
        (2000 * MS - 1, Rest.EFFORT_UNKNOWN),
    ):
        assert rest.verdict(now_ns) is verdict, now_ns


def test_the_time_to_end_begins_with_the_watch_and_not_before(rest: RestEffort) -> None:
    rest.hear(np.full(3, 1.0), 1000 * MS - 1)
    assert rest.verdict(1000 * MS) is Rest.PENDING
    assert rest.verdict(1000 * MS - 1) is Rest.TORQUE_HELD, "a clock that went back waits for nothing"


def test_it_has_settled_where_each_joint_is_at_rest_whatever_the_sign(rest: RestEffort) -> None:
    for effort, settled in ((0.1, True), (-0.1, True), (0.2, False), (-0.2, False), (float("nan"), False)):
        rest.hear(np.array([0.0, effort, 0.0]), 1200 * MS)
        assert rest.settled(1100 * MS) is settled
