# SPDX-License-Identifier: Apache-2.0
"""Promise 3: joint states that are stale, frozen or not finite stop the arm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from filter_runs import frozen_run

from safe_transfer_ros.safety.filter.joint_state import JointStateWatch
from safe_transfer_ros.safety.filter.plausibility import Plausibility
from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000
BAD = [math.nan, math.inf, -math.inf]


def test_joint_states_that_cease_trip(rig):
    arm = rig().run()
    arm.wait(50, states=False)
    assert arm.filter.mode is Mode.ARMED
    arm.wait(5, states=False)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.JOINT_STATE_STALE)
    np.testing.assert_array_equal(arm.filter.applied, 0.0)


@pytest.mark.parametrize("age_ms", [0, 5, 1000])
def test_old_joint_states_again_do_not_count_as_new(rig, age_ms):
    arm = rig().run()
    old = arm.stamp - age_ms * MS
    for _ in range(11):
        assert arm.state(stamp_ns=old) is Reason.JOINT_STATE_STALE
        arm.cycle()
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.JOINT_STATE_STALE)


@pytest.mark.parametrize("field", ["position", "velocity"])
@pytest.mark.parametrize("bad", BAD)
def test_a_joint_state_that_is_no_number_trips(rig, field, bad):
    arm = rig().run()
    values = np.zeros(3)
    values[2] = bad
    assert arm.state(**{field: values}) is Reason.JOINT_STATE_NOT_FINITE
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.JOINT_STATE_NOT_FINITE)
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert np.isfinite(arm.filter.position).all() and np.isfinite(arm.filter.velocity).all()


@pytest.mark.parametrize("field", ["position", "velocity"])
def test_a_joint_state_of_another_robot_is_left_out_and_then_missed(rig, field):
    arm = rig().run()
    for _ in range(11):
        assert arm.state(**{field: np.zeros(2)}) is Reason.JOINT_STATE_WRONG_JOINTS
        arm.cycle()
    assert arm.filter.cause == Reason.JOINT_STATE_STALE


def test_joint_states_frozen_with_fresh_stamps_trip_while_torque_is_applied(rig):
    arm = rig().run()
    still = {"position": np.ones(3), "velocity": np.zeros(3)}
    frozen_run(arm, 41, **still)
    assert arm.filter.mode is Mode.ARMED
    frozen_run(arm, 1, **still)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.JOINT_STATE_FROZEN)


@pytest.mark.parametrize("joint", [0, 2])
@pytest.mark.parametrize("field", ["position", "velocity"])
def test_one_bit_that_changes_is_life(rig, field, joint):
    arm = rig().run()
    values = np.ones(3)
    for _ in range(100):
        values[joint] = np.nextafter(values[joint], 2.0)
        frozen_run(arm, 1, **{"position": np.ones(3), "velocity": np.zeros(3)} | {field: values})
    assert arm.filter.mode is Mode.ARMED


def test_a_still_arm_without_torque_is_not_frozen(rig):
    arm = rig().arm()
    still = {"position": np.ones(3), "velocity": np.zeros(3)}
    frozen_run(arm, 100, effort=(0.0, 0.0, 0.0), **still)
    assert arm.filter.mode is Mode.ARMED
    frozen_run(arm, 41, **still)  # only the time with torque on it counts
    assert arm.filter.mode is Mode.ARMED
    frozen_run(arm, 1, **still)
    assert arm.filter.cause == Reason.JOINT_STATE_FROZEN


def test_only_torque_without_a_break_counts_towards_frozen(rig):
    still = {"position": np.ones(3), "velocity": np.zeros(3)}
    arm = rig().run()
    frozen_run(arm, 30)  # torque on a moving arm
    frozen_run(arm, 60, effort=(0.0, 0.0, 0.0), **still)
    frozen_run(arm, 30, **still)
    assert arm.filter.mode is Mode.ARMED

    arm = rig().run()
    arm.filter.disarm(arm.now)
    frozen_run(arm, 60, **still)
    arm.filter.arm(arm.now)
    frozen_run(arm, 30, **still)
    assert arm.filter.mode is Mode.ARMED


def test_states_that_ceased_long_ago_are_stale_not_frozen(rig):
    arm = rig().run()
    arm.now += 300 * MS
    arm.cycle()
    assert arm.filter.cause == Reason.JOINT_STATE_STALE


def test_bad_joint_states_without_torque_at_stake_are_told_and_trip_nothing(rig):
    arm = rig()
    arm.state()
    arm.state(position=np.full(3, math.nan))
    arm.now -= 1
    arm.cycle()
    assert (arm.filter.mode, arm.filter.cause) == (Mode.DISARMED, Reason.NONE)
    assert arm.filter.last_reasons == Reason.JOINT_STATE_NOT_FINITE | Reason.CLOCK_WENT_BACK


# The watch by itself


@pytest.fixture
def watch():
    plausible = Plausibility(np.full(3, -9.0), np.full(3, 9.0), np.ones(3))
    return JointStateWatch(3, 0.05, 0.2, plausible)


def observe(watch, stamp_ns, value, now_ns, *, ordered=True):
    return watch.observe(stamp_ns, np.full(3, value), np.zeros(3), now_ns, ordered=ordered)


def test_the_first_state_may_be_anywhere_and_have_the_stamp_zero(watch):
    assert (watch.age_ns(5), watch.stale(5)) == (math.inf, True)
    assert observe(watch, 0, 5.0, 7) is Reason.NONE
    assert (watch.age_ns(10), watch.stale(10)) == (3, False)
    watch.forget_age(2)
    assert (watch.age_ns(2), watch.stale(2)) == (math.inf, True)


def test_what_can_be_reached_goes_by_the_longer_of_both_clocks(watch):
    """Ten times 1 rad/s, and .1 rad of noise."""
    observe(watch, 0, 0.0, 0)
    assert observe(watch, 10 * MS, 0.6, 10 * MS) is Reason.JOINT_STATE_IMPLAUSIBLE
    assert watch.problem(10 * MS) == "the newest joint state cannot be: too far from the one before"
    assert observe(watch, 60 * MS, 0.6, 10 * MS) is Reason.NONE
    assert watch.problem(10 * MS) is None
    assert observe(watch, 61 * MS, 1.2, 70 * MS) is Reason.NONE


def test_a_stamp_again_is_no_state_and_one_set_back_only_without_torque_at_stake(watch):
    observe(watch, 5, 0.0, 0)
    for ordered in (True, False):
        assert observe(watch, 5, 0.01, 1, ordered=ordered) is Reason.JOINT_STATE_STALE
    assert observe(watch, 4, 0.01, 1) is Reason.JOINT_STATE_STALE
    assert observe(watch, 4, 0.01, 1, ordered=False) is Reason.NONE
