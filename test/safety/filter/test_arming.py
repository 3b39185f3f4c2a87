# SPDX-License-Identifier: Apache-2.0
"""Arming, disarming, and promise 6: a reset is refused while the cause stands."""

from __future__ import annotations

import math

import numpy as np
from filter_runs import frozen_run, trip

from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

MS = 1_000_000
S = 1_000 * MS


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


# Promise 6: reset


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
