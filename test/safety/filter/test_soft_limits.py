# SPDX-License-Identifier: Apache-2.0
"""Position bounds velocity, velocity bounds effort: by hand, without bounds, and whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.filter.soft_limits import SoftLimits, soft_effort_bounds, soft_velocity_bounds

INF = math.inf
POSITIVE = st.one_of(st.floats(1e-6, 1e6), st.just(INF), st.sampled_from([5e-324, 1e308]))
ANY_FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


def limits(lower=-1.0, upper=1.0, velocity=2.0, k_position=100.0, k_velocity=10.0):
    return SoftLimits(
        soft_lower=np.atleast_1d(lower),
        soft_upper=np.atleast_1d(upper),
        velocity=np.atleast_1d(velocity),
        k_position=np.atleast_1d(k_position),
        k_velocity=np.atleast_1d(k_velocity),
    )


def bounds(soft, q, dq):
    """(v_lower, v_upper, e_lower, e_upper) of one joint."""
    slowest, fastest = soft_velocity_bounds(soft, np.array([q]))
    lower, upper = soft_effort_bounds(soft, np.array([dq]), slowest, fastest)
    return slowest.item(), fastest.item(), lower.item(), upper.item()


@pytest.mark.parametrize(
    "q, dq, expected",
    [
        (0.0, 0.0, (-2, 2, -20, 20)),  # far from everything
        (0.0, 1.5, (-2, 2, -35, 5)),  # fast: little more torque that way
        (0.0, 2.0, (-2, 2, -40, 0)),  # at the speed limit: none
        (0.0, 2.5, (-2, 2, -45, -5)),  # above it: against the motion
        (0.99, 0.0, (-2, 1, -20, 10)),  # 1/100 rad from the soft limit: half the speed
        (1.0, 0.0, (-2, 0, -20, 0)),
        (1.005, 0.0, (-2, -0.5, -20, -5)),  # beyond: must come back
        (1.5, 0.0, (-2, -2, -20, -20)),  # no faster than the speed limit
        (-1.005, 0.25, (0.5, 2, 2.5, 17.5)),
        (-1.5, -3.0, (2, 2, 50, 50)),
    ],
)
def test_the_equations_by_hand(q, dq, expected):
    np.testing.assert_allclose(bounds(limits(), q, dq), expected, atol=1e-12)


def test_a_joint_that_turns_for_ever_has_its_speed_bounded_alone():
    soft = limits(lower=-INF, upper=INF, k_position=INF)
    for q in (-1e6, 0.0, 1e6):
        assert bounds(soft, q, 1.5) == (-2.0, 2.0, -35.0, 5.0)


@pytest.mark.parametrize("q", [-1e6, -1.0, 0.0, 1.0, 1e6])
def test_without_its_gain_nothing_bounds(q):
    assert bounds(limits(k_velocity=INF), q, 1e6)[2:] == (-INF, INF)
    assert bounds(limits(k_position=INF), q, 0.0) == (-2.0, 2.0, -20.0, 20.0)


def test_one_end_may_be_open():
    assert bounds(limits(upper=INF), 1e6, 0.0) == (-2.0, 2.0, -20.0, 20.0)
    assert bounds(limits(upper=INF), -1.5, 0.0) == (2.0, 2.0, 20.0, 20.0)


def test_speed_may_be_unlimited_where_position_is_not():
    assert bounds(limits(velocity=INF), 0.5, 0.0) == (-150.0, 50.0, -1500.0, 500.0)


@given(ANY_FINITE, ANY_FINITE, POSITIVE, POSITIVE, POSITIVE, ANY_FINITE, ANY_FINITE)
def test_the_bounds_are_never_nan_nor_crossed(q, dq, velocity, k_position, k_velocity, one, other):
    if one == other:
        return
    soft = limits(min(one, other), max(one, other), velocity, k_position, k_velocity)
    slowest, fastest, lower, upper = bounds(soft, q, dq)
    assert -velocity <= slowest <= fastest <= velocity or math.isinf(k_velocity)
    assert lower <= upper


def test_rows_are_the_fields_and_nobody_can_change_them():
    speeds = np.array([2.0, 3.0])
    soft = limits([-1, -INF], [1, INF], speeds, [100, INF], [10, 5])
    speeds[0] = 9.0
    assert soft.rows() == [(-1.0, 1.0, 2.0, 100.0, 10.0), (-INF, INF, 3.0, 1.0, 5.0)]
    with pytest.raises(ValueError, match="read-only"):
        soft.velocity[0] = 9.0


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"velocity": 0.0}, "velocity must be > 0"),
        ({"velocity": math.nan}, "velocity must be > 0"),
        ({"k_position": -1.0}, "k_position must be > 0"),
        ({"k_velocity": 0.0}, "k_velocity must be > 0"),
        ({"lower": 1.0}, "soft_lower must be below soft_upper"),
        ({"upper": math.nan}, "soft_lower must be below soft_upper"),
        ({"velocity": [1.0, 2.0]}, "vectors of one length"),
        ({"velocity": [[1.0]]}, "vectors of one length"),
    ],
)
def test_senseless_limits_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        limits(**changes)


@pytest.mark.parametrize("shape", [(1, 1), (0,), ()])
def test_limits_that_are_no_vector_are_refused_though_all_are_alike(shape):
    given = {name: np.ones(shape) for name in ("soft_upper", "velocity", "k_position", "k_velocity")}
    with pytest.raises(ValueError, match="vectors of one length"):
        SoftLimits(soft_lower=np.zeros(shape), **given)
