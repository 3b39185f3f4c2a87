# SPDX-License-Identifier: Apache-2.0
"""What carries an arm is added behind every bound, and bounded itself; where it cannot be told the arm is stopped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safe_transfer_ros.safety.filter.gravity_term import GravityTerm, at_rest
from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000
EFFORT = np.array([30.0, 10.0])
ARM_EFFORT = np.array([30.0, 10.0, 0.5])  # of the rig
any_float = st.floats(allow_nan=True, allow_infinity=True)


def carried(term, *torque):
    return term.carry(np.array(torque), np.empty(len(torque)))


def term(rate: float = 1e9) -> GravityTerm:
    return GravityTerm(lambda position: 8.0 * np.cos(position), EFFORT, rate)


def test_gravity_is_added_to_what_was_decided() -> None:
    carrying = term()
    np.testing.assert_array_equal(carried(carrying, 0.1, -0.1), [0.1, -0.1])
    carrying.move(np.array([0.0, np.pi]), 0, 0.005)
    np.testing.assert_allclose(carried(carrying, 0.1, -0.1), [8.1, -8.1])


def test_the_sum_is_within_the_effort_limit() -> None:
    carrying = term()
    carrying.move(np.zeros(2), 0, 0.005)
    np.testing.assert_array_equal(carried(carrying, 29.0, 3.0), EFFORT)


def test_it_follows_the_arm_no_faster_than_the_rate() -> None:
    carrying = term(rate=100.0)
    carrying.move(np.zeros(2), 0, 0.005)
    np.testing.assert_array_equal(carrying.torque, 8.0)
    carrying.move(np.full(2, np.pi), 5 * MS, 0.005)
    np.testing.assert_allclose(carrying.torque, 7.5)
    carrying.move(np.full(2, np.pi), 5 * MS, 0.005)
    np.testing.assert_allclose(carrying.torque, 7.5, err_msg="the same instant again")
    carrying.move(np.full(2, np.pi), 900 * MS, 0.005)
    np.testing.assert_allclose(carrying.torque, 7.0, err_msg="a stall earns no jump")
    carrying.move(np.full(2, np.pi), 0, 0.005)
    np.testing.assert_allclose(carrying.torque, 7.0, err_msg="nor does a clock that went back")


@given(st.lists(st.tuples(st.tuples(any_float, any_float), st.integers(-MS, MS)), max_size=8))
def test_whatever_is_measured_it_stays_finite_and_bounded(moves: list[tuple[tuple[float, float], int]]) -> None:
    carrying = term(rate=1000.0)
    for position, now in moves:
        before = carrying.torque.copy()
        carrying.move(np.array(position), now, 0.005)
        if not all(map(math.isfinite, position)):
            np.testing.assert_array_equal(carrying.torque, before, err_msg="the last one stands")
    sums = carried(carrying, 30.0, -10.0)
    assert np.isfinite(sums).all() and (np.abs(sums) <= EFFORT).all()
    assert (np.abs(carrying.torque) <= 8.0).all()


def raises(position):
    raise RuntimeError("no model")


def constant(*torque):
    return lambda position: np.array(torque)


BROKEN = [
    constant(math.nan, 1.0),
    constant(1.0, math.nan),
    constant(math.inf, 1.0),
    constant(1.0),
    constant([1.0, 1.0]),
    lambda position: None,
    raises,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_where_it_cannot_be_told_the_last_one_stands_and_that_is_said(broken) -> None:
    answers = {"now": constant(8.0, -8.0)}
    carrying = GravityTerm(lambda position: answers["now"](position), EFFORT, 1e9)
    carrying.move(np.zeros(2), 0, 0.005)
    answers["now"] = broken
    carrying.move(np.zeros(2), MS, 0.005)
    assert carrying.failed
    np.testing.assert_array_equal(carried(carrying, 0.5, 0.5), [8.5, -7.5])
    answers["now"] = constant(7.0, -7.0)
    carrying.move(np.zeros(2), 2 * MS, 0.005)
    assert not carrying.failed
    np.testing.assert_array_equal(carried(carrying, 0.5, 0.5), [7.5, -6.5])


class Model:
    """g(q) as told."""

    def __init__(self):
        self.torque = np.array([8.0, -8.0, 0.1])

    def __call__(self, position):
        return self.torque


@pytest.fixture
def carrying(rig):
    """A rig whose filter carries the arm by a model that a test can change."""
    model = Model()
    arm = rig(gravity=model, t_min=0.3)
    arm.model = model
    return arm


def test_what_cycle_returns_is_what_is_published_gravity_included(carrying):
    carrying.run([0.3, 0.3, 0.3])
    np.testing.assert_allclose(carrying.cycle(), [8.3, -7.7, 0.4])
    np.testing.assert_allclose(carrying.filter.command, [8.3, -7.7, 0.4])
    np.testing.assert_array_equal(carrying.filter.applied, 0.3, err_msg="the torque limit bounds what moves the arm")
    with pytest.raises(ValueError, match="read-only"):
        carrying.filter.command[0] = 9.0


def test_a_stopped_arm_is_carried_on(carrying):
    carrying.run()
    carrying.filter.trip(Reason.OPERATOR_STOP, carrying.now)
    carrying.wait(5)
    assert carrying.filter.stopped
    np.testing.assert_array_equal(carrying.filter.command, [8.0, -8.0, 0.1])
    carrying.wait(100, states=False)
    np.testing.assert_array_equal(carrying.filter.command, [8.0, -8.0, 0.1])


def test_before_the_first_joint_state_nothing_is_carried(carrying):
    np.testing.assert_array_equal(carrying.cycle(), 0.0)


@pytest.mark.parametrize("joint", [0, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_gravity_that_is_no_number_trips_in_that_cycle_and_never_reaches_the_motors(carrying, joint, bad):
    carrying.run()
    carrying.state()
    carrying.model.torque = carrying.model.torque.copy()
    carrying.model.torque[joint] = bad
    np.testing.assert_array_equal(carrying.cycle(), [8.0, -8.0, 0.1])
    assert (carrying.filter.mode, carrying.filter.cause) == (Mode.TRIPPED, Reason.GRAVITY_FAILED)
    assert carrying.filter.last_reasons & Reason.GRAVITY_FAILED
    carrying.wait(5)
    assert "g(q)" in carrying.filter.reset(carrying.now)
    carrying.model.torque = np.zeros(3)
    carrying.wait(5)
    assert carrying.filter.reset(carrying.now) is None


def test_an_arm_that_cannot_be_carried_is_not_armed(carrying):
    carrying.model.torque = np.full(3, math.nan)
    carrying.state()
    np.testing.assert_array_equal(carrying.cycle(), 0.0)
    assert (carrying.filter.mode, carrying.filter.last_reasons) == (Mode.DISARMED, Reason.GRAVITY_FAILED)
    assert "g(q)" in carrying.filter.arm(carrying.now)
    assert "g(q)" in carrying.filter.arm(carrying.now, own_limit=0.1)


WILD = st.one_of(st.floats(-20.0, 20.0), st.floats(width=64), st.sampled_from([math.nan, math.inf, -math.inf, 1e308]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.tuples(WILD, WILD, WILD), st.sampled_from([0, 1, 5, 40])), max_size=12))
def test_whatever_the_model_says_commands_are_finite_bounded_and_a_failure_stops_the_arm(rig, answers):
    model = Model()
    arm = rig(gravity=model, t_min=0.3)
    arm.run()
    carried = arm.filter.command - arm.filter.applied
    for torque, ms in answers:
        arm.state()
        arm.now += ms * MS
        arm.propose()
        model.torque = np.array(torque)
        command = arm.cycle()
        assert np.isfinite(command).all() and (np.abs(command) <= ARM_EFFORT).all()
        assert (np.abs(arm.filter.applied) <= 0.3).all()
        if not all(map(math.isfinite, torque)):
            assert arm.filter.mode is Mode.TRIPPED and arm.filter.cause & Reason.GRAVITY_FAILED
            assert not arm.filter.applied.any()
            expected = np.clip(carried, -ARM_EFFORT, ARM_EFFORT)
            np.testing.assert_allclose(command, expected, atol=1e-9, err_msg="the last one stands")
        elif (np.abs(command) < ARM_EFFORT).all():
            carried = command - arm.filter.applied
        else:
            return  # cut at an effort limit: what was carried cannot be told from outside


@pytest.mark.parametrize(("command", "rests"), [([8.0, 8.0], True), ([9.0, 8.0], False), ([8.0, 8.6], False)])
def test_rest_is_what_carries_the_arm(command: list[float], rests: bool) -> None:
    effort = np.array([10.0, 10.0])
    assert at_rest(np.array(command), np.array([8.0, 8.0]), effort) is rests
    assert at_rest(effort, np.array([90.0, 90.0]), effort), "what the motors cannot hold cannot be commanded either"


@pytest.mark.parametrize(("command", "rests"), [([8.0, 8.0], True), ([9.0, 8.0], True), ([8.0, 8.6], False)])
def test_rest_is_judged_by_each_joints_own_limit(command: list[float], rests: bool) -> None:
    assert at_rest(np.array(command), np.array([8.0, 8.0]), EFFORT) is rests


def test_a_change_is_as_large_as_the_time_since_allows() -> None:
    carrying = term(rate=100.0)
    assert carrying.failed is False
    carrying.move(np.zeros(2), 0, 0.005)
    carrying.move(np.full(2, np.pi), 2 * MS, 0.005)
    np.testing.assert_allclose(carrying.torque, 7.8)


def test_rest_may_differ_by_the_tolerance_to_either_side() -> None:
    for command, rests in ((7.5, True), (8.5, True), (7.49, False), (8.51, False), (-8.0, False)):
        assert at_rest(np.array([command]), np.array([8.0]), np.array([10.0]), tolerance=0.05) is rests, command
