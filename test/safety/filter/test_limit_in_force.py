# SPDX-License-Identifier: Apache-2.0
"""Promise 4: the limit in force, and a motion under a limit of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from filter_runs import trip

from safe_transfer_ros.safety.reasons import Mode, Reason

MS = 1_000_000
S = 1_000 * MS


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


# A motion under a limit of its own: the slow moves of hardware


@pytest.mark.parametrize("limit", [0.0, -1.0, 3.01, math.nan, math.inf])
def test_no_motion_has_a_limit_above_the_ceiling(rig, limit):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    assert "for this motion" in arm.filter.arm(arm.now, own_limit=limit)
    assert arm.filter.mode is Mode.DISARMED
    assert arm.filter.own_limit is None


@pytest.mark.parametrize("limit", [1e-3, 3.0])
def test_a_motion_may_have_any_limit_up_to_the_ceiling(rig, limit):
    arm = rig(t_min=0.1)
    arm.state()
    arm.cycle()
    assert arm.filter.arm(arm.now, own_limit=limit) is None
    assert (arm.filter.mode, arm.filter.own_limit) == (Mode.ARMED, limit)


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
