# SPDX-License-Identifier: Apache-2.0
"""The filter's promises one by one, on a steady clock of our own."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from filter_runs import soft_limits, trip

from safe_transfer_ros.safety.filter.proposal import Distribution
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, SafetyFilter
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Reason, Verdict

MS = 1_000_000
BAD = [math.nan, math.inf, -math.inf]


# What passes


def test_a_fresh_proposal_of_an_armed_filter_is_applied_and_held(rig):
    arm = rig().arm()
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert arm.propose([0.1, -0.2, 0.3]) is Reason.NONE
    np.testing.assert_array_equal(arm.cycle(), [0.1, -0.2, 0.3])
    assert (arm.filter.verdict, arm.filter.last_reasons) == (Verdict.ACCEPTED, Reason.NONE)
    arm.state()
    np.testing.assert_array_equal(arm.cycle(), [0.1, -0.2, 0.3])  # zero-order hold
    np.testing.assert_array_equal(arm.filter.position, arm.stamp * 1e-12)
    np.testing.assert_array_equal(arm.filter.velocity, arm.stamp * 1e-12 + 1.0)
    assert arm.filter.state_stamp_ns == arm.stamp


def test_the_envelope_bounds_it_and_says_so(rig):
    arm = rig(t_min=0.2).arm()
    arm.propose([0.5, -0.1, 0.1])
    np.testing.assert_array_equal(arm.cycle(), [0.2, -0.1, 0.1])
    assert arm.filter.last_reasons == Reason.CLAMPED_TORQUE_LIMIT
    assert arm.filter.verdict is Verdict.BOUNDED
    assert arm.filter.torque_limit == 0.2


def test_soft_limits_bound_a_proposal_by_the_newest_joint_state(rig):
    arm = rig(soft_limits=soft_limits(speed=2.0)).arm()
    arm.propose([3.0, 3.0, 0.1])
    arm.state(velocity=np.array([0.0, 1.9, 1.9]))
    np.testing.assert_allclose(arm.cycle(), [3.0, 1.0, 0.1])
    assert arm.filter.last_reasons == Reason.CLAMPED_SOFT_VELOCITY
    assert arm.filter.verdict is Verdict.BOUNDED
    arm.state(velocity=np.array([0.0, 2.1, 0.0]))
    np.testing.assert_allclose(arm.cycle(), [3.0, -1.0, 0.1])


def test_soft_limits_never_move_an_arm_that_is_being_stopped(rig):
    arm = rig(soft_limits=soft_limits(speed=2.0)).run()
    trip(arm, Reason.OPERATOR_STOP)
    for _ in range(3):
        arm.state(velocity=np.full(3, 50.0))
        np.testing.assert_array_equal(arm.cycle(), 0.0)


def test_scaling_keeps_a_proposals_direction(rig):
    arm = rig(clamp="scale").arm()
    arm.propose([6.0, -3.0, 0.2])
    arm.wait(5)
    np.testing.assert_allclose(arm.filter.applied, [3.0, -1.5, 0.1])


def test_torque_ramps_at_the_rate_measured_on_the_steady_clock(rig):
    arm = rig(t_min=1.0, ceiling=1.0, torque_rate_limit=10.0).arm()  # 0.05 N·m in 5 ms
    arm.propose([1.0, 1.0, 0.02])
    arm.now += 5 * MS
    np.testing.assert_allclose(arm.cycle(), [0.05, 0.05, 0.02])
    assert arm.filter.last_reasons == Reason.CLAMPED_TORQUE_RATE
    arm.now += 1 * MS
    np.testing.assert_allclose(arm.cycle(), [0.06, 0.06, 0.02])
    np.testing.assert_allclose(arm.cycle(), [0.06, 0.06, 0.02])  # the same instant again
    arm.now += 40 * MS  # a stall earns one nominal period, no more
    np.testing.assert_allclose(arm.cycle(), [0.11, 0.11, 0.02])


def test_a_second_torque_in_the_same_instant_replaces_the_first(rig):
    arm = rig(t_min=1.0, ceiling=1.0, torque_rate_limit=10.0).arm()
    arm.propose([1.0, 0.0, 0.0])
    arm.now += 5 * MS
    np.testing.assert_allclose(arm.cycle(), [0.05, 0.0, 0.0])
    arm.filter.trip(Reason.OPERATOR_STOP, arm.now)
    np.testing.assert_array_equal(arm.cycle(), 0.0)


def test_the_callers_hands_are_kept_off_the_filters_arrays(rig):
    arm = rig().run()
    for array in (arm.filter.applied, arm.filter.position, arm.filter.velocity, arm.filter.cycle(arm.now)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9.0


def test_values_handed_in_may_be_reused_by_the_caller(rig):
    arm = rig().arm()
    effort = np.array([0.1, 0.1, 0.1])
    arm.filter.propose(arm.proposal(effort), arm.now)
    effort[:] = 0.4
    np.testing.assert_array_equal(arm.cycle(), 0.1)


# Promise 1: a bad proposal is rejected whole, never repaired


@pytest.mark.parametrize("field", ["effort", "mean", "stddev"])
@pytest.mark.parametrize("bad", BAD)
def test_one_bad_number_refuses_the_whole_proposal_and_the_one_before_stands(rig, field, bad):
    arm = rig().run([0.1, 0.1, 0.1])
    arm.state()
    values = np.full(3, 0.3)
    values[1] = bad
    assert arm.propose(**{"effort": np.full(3, 0.3)} | {field: values}) is Reason.PROPOSAL_NOT_FINITE
    assert arm.filter.verdict is Verdict.REJECTED
    np.testing.assert_array_equal(arm.cycle(), 0.1)
    assert arm.filter.last_reasons == Reason.PROPOSAL_NOT_FINITE


@pytest.mark.parametrize("stddev", [0.0, -1.0])
def test_a_standard_deviation_that_is_none_refuses_it_too(rig, stddev):
    assert rig().run().propose(stamp_ns=10**15, stddev=np.array([1.0, stddev, 1.0])) is Reason.PROPOSAL_FROM_FUTURE
    arm = rig().arm()
    assert arm.propose(stddev=np.array([1.0, stddev, 1.0])) is Reason.PROPOSAL_NOT_FINITE


@pytest.mark.parametrize("stddev", [np.zeros(3), np.empty(0)])
def test_a_policy_without_noise_may_propose_if_it_says_so(rig, stddev):
    law = {"distribution": Distribution.DETERMINISTIC, "stddev": stddev}
    arm = rig().arm()
    assert arm.propose([0.1, 0.2, 0.3], mean=np.array([0.1, 0.2, 0.3]), **law) is Reason.NONE
    np.testing.assert_array_equal(arm.cycle(), [0.1, 0.2, 0.3])
    arm.state()
    assert arm.propose(stddev=stddev), "one that does not say so is no Gaussian"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stddev": np.array([0.0, 1e-9, 0.0])}, Reason.PROPOSAL_NOT_FINITE),
        ({"stddev": np.array([0.0, math.nan, 0.0])}, Reason.PROPOSAL_NOT_FINITE),
        ({"mean": np.array([0.1, 0.1, 0.2])}, Reason.PROPOSAL_NOT_FINITE),
        ({"mean": np.array([0.1, 0.1, math.nan])}, Reason.PROPOSAL_NOT_FINITE),
        ({"stddev": np.zeros(2)}, Reason.PROPOSAL_WRONG_LENGTH),
        ({"mean": np.empty(0)}, Reason.PROPOSAL_WRONG_LENGTH),
    ],
)
def test_a_deterministic_proposal_that_contradicts_itself_is_refused(rig, changes, reason):
    arm = rig().arm()
    law = {"distribution": Distribution.DETERMINISTIC, "stddev": np.zeros(3), "mean": np.full(3, 0.1)}
    assert arm.propose(**law | changes) is reason


@pytest.mark.parametrize("field", ["effort", "mean", "stddev"])
@pytest.mark.parametrize("length", [0, 2, 4])
def test_a_wrong_length_refuses_it(rig, field, length):
    arm = rig().arm()
    assert arm.propose(**{"effort": np.full(3, 0.3)} | {field: np.ones(length)}) is Reason.PROPOSAL_WRONG_LENGTH
    np.testing.assert_array_equal(arm.cycle(), 0.0)


def test_what_the_caller_could_not_match_is_recorded(rig):
    arm = rig().run()
    assert arm.filter.reject(Reason.PROPOSAL_WRONG_LENGTH, arm.now) is Reason.PROPOSAL_WRONG_LENGTH
    assert arm.filter.verdict is Verdict.ACCEPTED, "it is about the latest proposal that was handed over"
    assert arm.propose(fault=Reason.PROPOSAL_WRONG_JOINTS) is Reason.PROPOSAL_WRONG_JOINTS
    assert arm.filter.verdict is Verdict.REJECTED
    arm.filter.reject(Reason.JOINT_STATE_WRONG_JOINTS, arm.now)
    arm.cycle()
    everything = Reason.PROPOSAL_WRONG_LENGTH | Reason.PROPOSAL_WRONG_JOINTS | Reason.JOINT_STATE_WRONG_JOINTS
    assert arm.filter.last_reasons == everything
    arm.cycle()
    assert arm.filter.last_reasons is Reason.NONE


def test_a_filter_that_is_not_armed_takes_nothing(rig):
    arm = rig()
    arm.state()
    assert arm.propose() is Reason.NOT_ARMED
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert arm.filter.last_reasons == Reason.NOT_ARMED
    arm.arm()
    np.testing.assert_array_equal(arm.cycle(), 0.0)  # what came before arming is not kept for later


# Promise 8's part: stop torque obeys the rate and says when it is done


def test_stop_torque_comes_down_at_the_rate_and_reaches_zero(rig):
    arm = rig(torque_rate_limit=1000.0).arm()
    arm.propose([3.0, -3.0, 0.0])
    arm.wait(5)
    np.testing.assert_array_equal(arm.filter.applied, [3.0, -3.0, 0.0])
    arm.filter.trip(Reason.SHUTDOWN, arm.now)
    torques = []
    while not arm.filter.stopped:
        arm.now += 1 * MS
        torques.append(arm.cycle()[0])
    np.testing.assert_allclose(torques, [2.0, 1.0, 0.0], atol=1e-15)
    assert arm.filter.last_reasons & Reason.SHUTDOWN


# Construction


@pytest.mark.parametrize("name", sorted(set(FilterSettings.__dataclass_fields__) - {"clamp"}))
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_settings_are_checked(name, value):
    if name == "stop_damping" and value == 0.0:
        assert FilterSettings(stop_damping=0.0).stop_damping == 0.0
        return
    with pytest.raises(ValueError, match=f"{name} must be finite and > 0"):
        FilterSettings(**{name: value})


def test_an_unknown_clamp_is_refused():
    with pytest.raises(ValueError, match="clamp must be one of joint, scale"):
        FilterSettings(clamp="none")


def test_the_trip_timeout_is_not_shorter_than_the_action_timeout():
    with pytest.raises(ValueError, match="trip_timeout_s"):
        FilterSettings(action_timeout_s=0.2, trip_timeout_s=0.1)


@pytest.mark.parametrize("effort", [np.ones(2), np.array([1.0, 0.0, 1.0]), np.array([1.0, math.nan, 1.0])])
def test_effort_limits_fit_the_joints(effort):
    with pytest.raises(ValueError, match="effort"):
        SafetyFilter(("a", "b", "c"), effort, FilterSettings(), TorqueLimitGuard(0.1, 3.0))


def test_a_stop_from_the_ceiling_takes_no_longer_than_the_action_timeout(rig):
    with pytest.raises(ValueError, match="from the ceiling of 3 N·m to a stop would take 0.3 s"):
        rig(torque_rate_limit=10.0)
    arm = rig(torque_rate_limit=60.0)
    shorter = dataclasses.replace(arm.filter.settings, action_timeout_s=0.04)
    assert "to a stop would take 0.05 s" in arm.filter.tighten(shorter)
    assert arm.filter.settings.action_timeout_s == 0.1
    assert arm.filter.tighten(dataclasses.replace(shorter, action_timeout_s=0.05)) is None


def test_timeouts_of_who_asks_for_none_are_the_documented_ones():
    """docs/safety.md and docs/parameters.md give them; a default that drifts is a promise that does."""
    assert FilterSettings() == FilterSettings(
        action_timeout_s=0.1,
        trip_timeout_s=0.5,
        joint_state_timeout_s=0.05,
        frozen_timeout_s=0.2,
        object_timeout_s=0.2,
        object_frozen_timeout_s=1.0,
        future_tolerance_s=0.01,
        state_period_s=0.005,
        torque_rate_limit=1000.0,
        clamp="joint",
        stop_damping=0.0,
        stop_damping_time_s=0.5,
    )


# Before anything was heard, and what is told together


def test_a_filter_that_heard_nothing_says_so(rig):
    fresh = rig(t_min=0.4).filter
    assert (fresh.torque_limit, fresh.last_reasons, fresh.critic_error) == (0.4, Reason.NONE, "")
    assert math.isnan(fresh.risk) and fresh.state_stamp_ns == -1
    assert fresh.object_pose is None, "a task without an object"
    tracking = rig(tracks_object=True)
    assert tracking.filter.object_pose is None
    pose = np.array([0.5, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0])
    assert tracking.filter.observe_object(0, pose, tracking.now) is Reason.NONE
    np.testing.assert_array_equal(tracking.filter.object_pose, pose)


def test_an_arm_whose_first_stamp_is_zero_is_carried(rig):
    arm = rig(gravity=lambda position: np.full(3, 0.2))
    arm.state(stamp_ns=0)
    np.testing.assert_array_equal(arm.cycle(), 0.2)


def test_the_lost_lease_is_told_beside_what_else_there_is(rig):
    arm = rig(t_min=0.1)
    arm.filter.guard.decide(0)
    assert arm.filter.offer_limit(1, 0.105, 0.02, arm.now) is None
    arm.arm().propose((1.0, 0.0, 0.0))
    arm.now += 30 * MS
    arm.cycle()
    assert arm.filter.last_reasons == Reason.LIMIT_LEASE_LOST | Reason.CLAMPED_TORQUE_LIMIT
