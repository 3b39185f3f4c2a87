# SPDX-License-Identifier: Apache-2.0
"""The filter's promises one by one, on a steady clock of our own."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.proposal import Distribution
from safe_transfer_ros.safety.filter.safety_filter import FilterSettings, SafetyFilter
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

MS = 1_000_000
S = 1_000 * MS
BAD = [math.nan, math.inf, -math.inf]


def soft_limits(speed):
    """Speed limits alone, the same for every joint."""
    endless = np.full(3, math.inf)
    return SoftLimits(
        soft_lower=-endless,
        soft_upper=endless,
        velocity=np.full(3, speed),
        k_position=endless,
        k_velocity=np.full(3, 10.0),
    )


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


# Promise 2: age from receipt, stamps only for order


def test_no_fresh_proposal_within_the_action_timeout_stops_in_the_same_cycle(rig):
    arm = rig().run()
    arm.wait(100)
    assert arm.filter.mode is Mode.ARMED
    np.testing.assert_array_equal(arm.filter.applied, 0.1)
    arm.state()
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.HOLDING, Reason.PROPOSAL_TIMEOUT)
    assert arm.filter.last_reasons == Reason.PROPOSAL_TIMEOUT
    assert arm.filter.verdict is Verdict.STOPPED


def test_the_verdict_is_about_the_latest_proposal(rig):
    arm = rig(t_min=0.2).run()
    arm.state()
    arm.propose([math.nan, 0.0, 0.0])
    arm.wait(105)
    assert arm.filter.verdict is Verdict.REJECTED  # though the torque of the one before was stopped


def test_armed_without_ever_a_proposal_holds_too(rig):
    arm = rig().arm()
    arm.wait(105)
    assert arm.filter.mode is Mode.HOLDING


def test_a_fresh_proposal_ends_holding(rig):
    arm = rig().run()
    arm.wait(200)
    assert arm.propose([0.2, 0.2, 0.2]) is Reason.NONE
    np.testing.assert_array_equal(arm.cycle(), 0.2)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.ARMED, Reason.NONE)


def test_a_refused_proposal_is_not_fresh(rig):
    arm = rig().run()
    for _ in range(21):
        arm.state()
        assert arm.propose([math.nan, 0.0, 0.0])
        arm.cycle()
    assert arm.filter.mode is Mode.HOLDING
    np.testing.assert_array_equal(arm.filter.applied, 0.0)


def test_still_none_after_the_trip_timeout_trips_and_stays_tripped(rig):
    arm = rig().run()
    arm.wait(500)
    assert arm.filter.mode is Mode.HOLDING
    arm.wait(5)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.PROPOSAL_TIMEOUT)
    assert arm.propose() is Reason.NOT_ARMED
    assert "tripped (PROPOSAL_TIMEOUT): reset first" in arm.filter.arm(arm.now)
    arm.wait(50)
    assert (arm.filter.mode, arm.filter.last_reasons) == (Mode.TRIPPED, Reason.PROPOSAL_TIMEOUT)


def test_a_proposal_too_late_for_the_trip_timeout_is_not_taken_though_no_cycle_noticed(rig):
    arm = rig().run()
    arm.now += 501 * MS
    assert arm.propose(stamp_ns=arm.stamp + 1) is Reason.NOT_ARMED
    assert arm.filter.mode is Mode.TRIPPED


def test_old_stamps_are_refused_as_replays(rig):
    arm = rig().run()
    first = arm.stamp
    arm.state()
    assert arm.propose() is Reason.NONE
    for stamp in (arm.stamp, first, first - 1):
        assert arm.propose(stamp_ns=stamp) is Reason.PROPOSAL_STALE
    arm.state()
    assert arm.propose() is Reason.NONE


def test_an_answer_to_a_state_too_old_is_refused_though_it_is_newer_than_the_last(rig):
    arm = rig().run()
    arm.state()
    answered = arm.stamp
    arm.wait(95)
    arm.state()
    arm.state()
    assert arm.propose(stamp_ns=answered) is Reason.PROPOSAL_STALE
    assert arm.propose(stamp_ns=answered + 5 * MS) is Reason.NONE


def test_a_proposal_that_waited_for_its_joint_state_is_as_old_as_its_receipt(rig):
    arm = rig(action_timeout_s=0.1).arm()
    received, stamp = arm.now, arm.stamp + 60 * MS
    assert arm.filter.early(stamp)
    assert not arm.filter.early(arm.stamp + 10 * MS)  # the tolerance
    arm.wait(60)
    assert arm.filter.stopped
    assert not arm.filter.early(stamp)
    assert arm.filter.propose(arm.proposal(), arm.now, received) is Reason.NONE
    assert arm.filter.proposal_age_s(arm.now) == pytest.approx(0.06)
    arm.wait(40)
    assert arm.filter.applied.any()
    arm.wait(5)
    assert arm.filter.mode is Mode.HOLDING and arm.filter.stopped


def test_stamps_from_the_future_are_refused(rig):
    arm = rig().arm()
    assert arm.propose(stamp_ns=arm.stamp + 10 * MS + 1) is Reason.PROPOSAL_FROM_FUTURE
    assert arm.propose(stamp_ns=arm.stamp + 10 * MS) is Reason.NONE


@pytest.mark.parametrize("jump", [-40 * S, 3_600 * S])
def test_a_jump_of_the_robots_clock_can_refuse_data_but_not_keep_it_alive(rig, jump):
    arm = rig().run()
    arm.stamp += jump
    arm.wait(100)
    arm.propose(stamp_ns=arm.stamp - jump)  # the policy still lives in the old time
    arm.wait(10)
    assert arm.filter.mode is not Mode.ARMED
    np.testing.assert_array_equal(arm.filter.applied, 0.0)


def test_a_robot_whose_clock_was_set_back_works_again_after_a_reset(rig):
    arm = rig().run()
    arm.stamp -= 40 * S
    arm.wait(60)
    assert arm.filter.cause == Reason.JOINT_STATE_STALE
    arm.wait(5)
    assert arm.filter.reset(arm.now) is None
    arm.run([0.2, 0.2, 0.2])


def test_our_own_clock_going_back_trips(rig):
    arm = rig().run()
    arm.now -= 1
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.CLOCK_WENT_BACK)
    assert "no joint state" in arm.filter.reset(arm.now)  # none whose age could be told
    arm.state()
    assert arm.filter.reset(arm.now) is None


# Promise 3: joint states stale, frozen or not finite


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


def frozen_run(arm, cycles, effort=(0.1, 0.1, 0.1), **still):
    for _ in range(cycles):
        arm.state(**still)
        arm.propose(effort)
        arm.cycle()


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


# Arming


def test_arming_needs_a_joint_state_that_is_fresh_and_finite(rig):
    arm = rig()
    assert "no joint state" in arm.filter.arm(arm.now)
    arm.state()
    arm.state(velocity=np.full(3, math.inf))
    assert "not finite" in arm.filter.arm(arm.now)
    arm.state()
    arm.now += 51 * MS
    assert "0.051 s old (at most 0.05 s)" in arm.filter.arm(arm.now)
    assert arm.filter.mode is Mode.DISARMED
    arm.state()
    assert arm.filter.arm(arm.now) is None
    assert arm.filter.mode is Mode.ARMED


def test_arming_again_does_not_refresh_anything(rig):
    arm = rig().run()
    arm.wait(100)
    assert arm.filter.arm(arm.now) is None
    arm.wait(5)
    assert arm.filter.mode is Mode.HOLDING


def test_arming_waits_until_the_torque_has_come_to_zero(rig):
    arm = rig(t_min=1.0, ceiling=1.0, torque_rate_limit=10.0).arm()
    arm.propose()
    arm.wait(10)
    arm.filter.disarm(arm.now)
    arm.wait(5)
    assert not arm.filter.stopped
    assert "not come to zero" in arm.filter.arm(arm.now)
    arm.wait(10)
    assert arm.filter.stopped
    assert arm.filter.arm(arm.now) is None


def test_the_last_decision_of_an_episode_disarms_and_stops(rig):
    arm = rig().run()
    arm.state()
    assert arm.propose(last=True, mean=np.zeros(0), stddev=np.zeros(0), effort=np.zeros(0)) is Reason.NONE
    assert (arm.filter.mode, arm.filter.verdict) == (Mode.DISARMED, Verdict.EPISODE_END)
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert arm.filter.last_reasons is Reason.NONE
    arm.run([0.2, 0.2, 0.2])  # and the next episode begins with another arming


def test_nothing_of_an_earlier_arming_is_left_in_the_next(rig):
    arm = rig().run()
    arm.filter.disarm(arm.now)
    arm.wait(5)
    arm.arm()
    np.testing.assert_array_equal(arm.cycle(), 0.0)
    assert arm.filter.mode is Mode.ARMED


def test_the_last_decision_again_does_not_end_the_next_episode(rig):
    arm = rig().run()
    arm.state()
    ended = arm.stamp
    arm.propose(last=True)
    arm.wait(5)
    arm.arm()
    assert arm.propose(last=True, stamp_ns=ended) is Reason.PROPOSAL_STALE
    assert arm.filter.mode is Mode.ARMED


def test_an_old_last_decision_cannot_end_a_later_episode(rig):
    arm = rig().run()
    assert arm.propose(last=True) is Reason.PROPOSAL_STALE
    assert arm.filter.mode is Mode.ARMED


# Promise 4: the limit


def test_a_new_limit_takes_effect_in_the_next_cycle(rig):
    arm = rig(t_min=0.1).run([0.4, 0.0, 0.0])
    assert "while the filter is armed" in arm.filter.offer_limit(1, 0.105, 5.0, arm.now)
    arm.filter.disarm(arm.now)
    arm.cycle()
    assert arm.filter.offer_limit(1, 0.105, 5.0, arm.now) is None
    arm.arm().run([0.4, 0.0, 0.0])
    np.testing.assert_array_equal(arm.cycle(), [0.105, 0.0, 0.0])
    assert arm.filter.torque_limit == 0.105
    assert "more than 5 %" in arm.filter.offer_limit(2, 0.2, 5.0, arm.now)
    np.testing.assert_array_equal(arm.cycle(), [0.105, 0.0, 0.0])
    assert arm.filter.last_reasons & Reason.LIMIT_REFUSED
    assert arm.filter.offer_limit(2, 0.1, 5.0, arm.now) is None, "a lower one at once"
    np.testing.assert_array_equal(arm.cycle(), [0.1, 0.0, 0.0])


def test_a_limit_is_raised_between_two_iterations_only_with_proposals_accepted_in_the_one_before(rig):
    arm = rig(t_min=0.1)
    offer = arm.filter.offer_limit
    assert "no proposal was decided on in 0" in offer(1, 0.105, 5.0, arm.now)
    arm.arm().cycle()
    arm.propose([math.nan, 0.0, 0.0])
    arm.filter.disarm(arm.now)
    assert "no proposal was decided on in 0" in offer(1, 0.105, 5.0, arm.now), "a refused one is no evidence"
    arm.cycle()
    assert arm.filter.arm(arm.now, own_limit=0.1) is None
    arm.state()
    assert arm.propose([0.1, 0.0, 0.0]) is Reason.NONE
    arm.filter.disarm(arm.now)
    assert "no proposal was decided on in 0" in offer(1, 0.105, 5.0, arm.now), "nor is a slow move"
    arm.cycle()
    arm.arm().state()
    assert arm.propose([0.1, 0.0, 0.0]) is Reason.NONE
    arm.wait(125)
    assert arm.filter.mode is Mode.HOLDING
    assert "while the filter is armed" in offer(1, 0.105, 5.0, arm.now)
    arm.filter.disarm(arm.now)
    assert offer(1, 0.105, 5.0, arm.now) is None


def test_a_lost_lease_falls_to_the_lowest_limit_at_once_and_is_told_in_every_cycle(rig):
    arm = rig(t_min=0.1, ceiling=0.11, torque_rate_limit=1.0, action_timeout_s=0.2)
    arm.filter.guard.decide(0)
    arm.filter.offer_limit(1, 0.105, 0.1, arm.now)
    arm.arm()
    for _ in range(30):
        arm.state()
        arm.propose([0.4, 0.0, 0.0])
        before = arm.cycle()[0]
        if arm.filter.guard.lost:
            break
    assert before == 0.1  # by more than the rate would allow: the bound wins
    for _ in range(3):
        arm.state()
        arm.propose([0.0, 0.0, 0.0])
        arm.cycle()
        assert arm.filter.last_reasons & Reason.LIMIT_LEASE_LOST
    assert arm.filter.mode is Mode.ARMED


def test_leases_can_run_on_another_clock_than_a_simulated_now(rig):
    arm = rig(t_min=0.1)
    wall = 7 * S
    arm.filter.guard.decide(0)
    arm.filter.offer_limit(1, 0.105, 1.0, wall)
    arm.state()
    assert arm.filter.arm(arm.now) is None
    arm.filter.cycle(arm.now, lease_now_ns=wall + 1 * S)
    assert arm.filter.torque_limit == 0.105
    arm.filter.cycle(arm.now, lease_now_ns=wall + 1 * S + 1)
    assert arm.filter.torque_limit == 0.1


# Promise 6: reset


def trip(arm, reason):
    arm.filter.trip(reason, arm.now)
    arm.wait(5)
    return arm


def test_a_reset_disarms_and_torque_ramps_from_zero_after_it(rig):
    arm = trip(rig(t_min=1.0, ceiling=1.0, torque_rate_limit=10.0).arm(), Reason.OPERATOR_STOP)
    assert arm.filter.reset(arm.now) is None
    assert (arm.filter.mode, arm.filter.cause) == (Mode.DISARMED, Reason.NONE)
    arm.arm()
    arm.propose([0.4, 0.4, 0.4])
    torques = []
    for _ in range(4):
        arm.state()
        torques.append(arm.cycle()[0])
    np.testing.assert_allclose(torques, [0.05, 0.10, 0.15, 0.20])


def test_reset_is_refused_while_the_torque_has_not_come_to_zero(rig):
    arm = rig(t_min=1.0, ceiling=1.0, torque_rate_limit=10.0).arm()
    arm.propose()
    arm.wait(15)
    trip(arm, Reason.OPERATOR_STOP)
    assert "not come to zero" in arm.filter.reset(arm.now)
    arm.wait(15)
    assert arm.filter.reset(arm.now) is None


def test_reset_is_refused_while_joint_states_stay_away(rig):
    arm = rig().run()
    arm.wait(60, states=False)
    assert "s old" in arm.filter.reset(arm.now)
    assert arm.filter.mode is Mode.TRIPPED
    arm.state()
    assert arm.filter.reset(arm.now) is None


def test_reset_is_refused_while_the_stamps_of_joint_states_stand_still(rig):
    arm = rig().run()
    still = arm.stamp
    for _ in range(12):
        arm.state(stamp_ns=still)
        arm.cycle()
    assert arm.filter.cause == Reason.JOINT_STATE_STALE
    assert "s old" in arm.filter.reset(arm.now)
    arm.state(stamp_ns=still - 5 * MS)  # a clock that was set back may be the corrected one
    assert arm.filter.reset(arm.now) is None


def test_reset_is_refused_while_joint_states_are_no_numbers(rig):
    arm = rig().run()
    arm.state(position=np.full(3, math.nan))
    arm.cycle()
    assert "not finite" in arm.filter.reset(arm.now)
    arm.state()
    assert arm.filter.reset(arm.now) is None


def test_reset_is_refused_while_joint_states_are_frozen(rig):
    arm = rig().run()
    still = {"position": np.ones(3), "velocity": np.zeros(3)}
    frozen_run(arm, 60, **still)
    assert "not changed" in arm.filter.reset(arm.now)
    arm.state()
    assert arm.filter.reset(arm.now) is None


def test_a_clock_that_goes_back_does_not_make_frozen_states_look_alive_or_live_ones_frozen(rig):
    still = {"position": np.ones(3), "velocity": np.zeros(3)}
    arm = rig().run()
    frozen_run(arm, 60, **still)
    arm.now -= 10 * S
    arm.state(**still)
    arm.wait(5, states=False)
    assert "not changed" in arm.filter.reset(arm.now)
    arm.state()
    assert arm.filter.reset(arm.now) is None


def test_reset_is_refused_while_the_caller_still_sees_the_cause(rig):
    arm = trip(rig().run(), Reason.SECOND_PUBLISHER)
    assert "SECOND_PUBLISHER" in arm.filter.reset(arm.now, standing=Reason.SECOND_PUBLISHER)
    assert arm.filter.mode is Mode.TRIPPED
    assert arm.filter.reset(arm.now) is None


def test_a_cause_that_is_gone_does_not_wait_for_anything_else(rig):
    arm = rig()
    arm.filter.trip(Reason.OPERATOR_STOP, arm.now)
    assert arm.filter.reset(arm.now) is None  # no joint state was ever seen; arming will ask for one


def test_further_causes_add_up_while_tripped(rig):
    arm = trip(trip(rig().run(), Reason.SECOND_PUBLISHER), Reason.OPERATOR_STOP)
    assert arm.filter.cause == Reason.SECOND_PUBLISHER | Reason.OPERATOR_STOP
    arm.state(position=np.full(3, math.nan))
    assert arm.filter.cause & Reason.JOINT_STATE_NOT_FINITE
    assert "not finite" in arm.filter.reset(arm.now)


def test_a_trip_without_a_reason_is_an_operators(rig):
    assert trip(rig().run(), Reason.NONE).filter.cause == Reason.OPERATOR_STOP


def test_reset_and_disarm_of_a_running_filter_and_disarm_of_a_tripped_one(rig):
    arm = rig().run()
    assert arm.filter.reset(arm.now) is None
    assert arm.filter.mode is Mode.ARMED
    trip(arm, Reason.OPERATOR_STOP)
    arm.filter.disarm(arm.now)
    assert (arm.filter.mode, arm.filter.cause) == (Mode.TRIPPED, Reason.OPERATOR_STOP)


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


# A motion under a limit of its own: the slow moves of hardware


@pytest.mark.parametrize("limit", [0.0, -1.0, 3.01, math.nan, math.inf])
def test_no_motion_has_a_limit_above_the_ceiling(rig, limit):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    assert "for this motion" in arm.filter.arm(arm.now, own_limit=limit)
    assert arm.filter.mode is Mode.DISARMED
    assert arm.filter.own_limit is None


def test_a_motion_under_its_own_limit_is_bounded_by_that_and_the_limit_ends_with_it(rig):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    assert arm.filter.arm(arm.now, own_limit=0.4) is None
    assert not arm.propose([1.0, -1.0, 0.2])
    np.testing.assert_array_equal(arm.cycle(), [0.4, -0.4, 0.2])
    assert arm.filter.last_reasons == Reason.CLAMPED_TORQUE_LIMIT
    refused = arm.filter.arm(arm.now)
    assert refused == "armed for another motion: disarm first"
    arm.filter.disarm(arm.now)
    arm.wait(10)
    assert arm.filter.arm(arm.now) is None
    assert not arm.propose([1.0, -1.0, 0.2])
    np.testing.assert_array_equal(arm.cycle(), [0.1, -0.1, 0.1])


def test_a_trip_ends_a_limit_of_its_own(rig):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    arm.filter.arm(arm.now, own_limit=0.4)
    trip(arm, Reason.NO_PERMISSION)
    assert arm.filter.own_limit is None
    arm.wait(10)
    assert arm.filter.torque_limit == 0.1


def test_no_critic_judges_a_motion_that_no_policy_proposes(rig):
    class Refuses:
        def judge(self, *arguments):
            raise AssertionError("asked")

    arm = rig(gate=Refuses(), observe=lambda position, velocity, limit: position)
    arm.state()
    arm.cycle()
    arm.filter.arm(arm.now, own_limit=0.4)
    assert arm.propose([0.1, 0.1, 0.1]) is Reason.NONE
    np.testing.assert_array_equal(arm.cycle(), [0.1, 0.1, 0.1])
