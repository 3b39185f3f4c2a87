# SPDX-License-Identifier: Apache-2.0
"""Promise 2: a proposal's age counts from receipt; stamps only order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.proposal_watch import ProposalWatch
from safe_transfer_ros.safety.filter.settings import FilterSettings
from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

MS = 1_000_000
S = 1_000 * MS


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


# The watch by itself


def test_the_first_proposal_may_have_any_stamp_from_zero_on():
    watch = ProposalWatch(FilterSettings())
    assert watch.out_of_order(0, 0) is Reason.NONE
    watch.begin(0, 7)
    assert watch.out_of_order(0, 0) is Reason.NONE
    assert (watch.in_force, watch.age_s(10)) == (False, math.inf)
    watch.accept(0, 7)
    assert watch.age_s(7 + S) == 1.0
    assert watch.out_of_order(0, 0) is Reason.PROPOSAL_STALE


def test_after_arming_the_newest_state_may_be_answered_and_nothing_older_that_was():
    watch = ProposalWatch(FilterSettings())
    watch.accept(100 * MS, 0)
    watch.begin(150 * MS, 0)
    assert watch.out_of_order(100 * MS + 1, 150 * MS) is Reason.NONE
    assert watch.out_of_order(100 * MS, 150 * MS) is Reason.PROPOSAL_STALE
    for newest_ns in (100 * MS, 50 * MS):  # the same state again, and stamps that were set back
        watch.begin(newest_ns, 0)
        assert watch.out_of_order(newest_ns, newest_ns) is Reason.NONE
        assert watch.out_of_order(newest_ns - 1, newest_ns) is Reason.PROPOSAL_STALE
