# SPDX-License-Identifier: Apache-2.0
"""What carries an arm is added behind every bound, and bounded itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.filter.gravity_term import GravityTerm, at_rest

EFFORT = np.array([30.0, 10.0])
any_float = st.floats(allow_nan=True, allow_infinity=True)


def term(rate: float = 1e9) -> GravityTerm:
    return GravityTerm(lambda position: 8.0 * np.cos(position), EFFORT, rate)


def test_gravity_is_added_to_what_was_decided() -> None:
    carrying = term()
    np.testing.assert_array_equal(carrying.carry(np.array([0.1, -0.1])), [0.1, -0.1])
    carrying.move(np.array([0.0, np.pi]), 0.005)
    np.testing.assert_allclose(carrying.carry(np.array([0.1, -0.1])), [8.1, -8.1])


def test_the_sum_is_within_the_effort_limit() -> None:
    carrying = term()
    carrying.move(np.zeros(2), 0.005)
    np.testing.assert_array_equal(carrying.carry(np.array([29.0, 3.0])), EFFORT)


def test_it_follows_the_arm_no_faster_than_the_rate() -> None:
    carrying = term(rate=100.0)
    carrying.move(np.zeros(2), 0.005)
    np.testing.assert_array_equal(carrying.torque, 8.0)
    carrying.move(np.full(2, np.pi), 0.005)
    np.testing.assert_allclose(carrying.torque, 7.5)


@given(st.lists(st.tuples(st.tuples(any_float, any_float), st.floats(-1.0, 1.0)), max_size=8))
def test_whatever_is_measured_it_stays_finite_and_bounded(moves: list[tuple[tuple[float, float], float]]) -> None:
    carrying = term(rate=1000.0)
    for position, period in moves:
        before = carrying.torque
        carrying.move(np.array(position), period)
        if not all(map(math.isfinite, position)):
            np.testing.assert_array_equal(carrying.torque, before, err_msg="the last one stands")
    sums = carrying.carry(np.array([30.0, -10.0]))
    assert np.isfinite(sums).all() and (np.abs(sums) <= EFFORT).all()
    assert (np.abs(carrying.torque) <= 8.0).all()


@pytest.mark.parametrize(("command", "rests"), [([8.0, 8.0], True), ([9.0, 8.0], True), ([8.0, 8.6], False)])
def test_rest_is_what_carries_the_arm(command: list[float], rests: bool) -> None:
    assert at_rest(np.array(command), np.array([8.0, 8.0]), EFFORT) is rests
    assert at_rest(EFFORT, np.array([90.0, 90.0]), EFFORT), "what the motors cannot hold cannot be commanded either"
