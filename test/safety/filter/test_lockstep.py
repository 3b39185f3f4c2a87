# SPDX-License-Identifier: Apache-2.0
"""Lockstep: a joint state is answered by its own proposal, whichever came first."""

from __future__ import annotations

import pytest
from control_loops import anew
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.reasons import Reason, Verdict


def test_a_joint_state_is_answered_when_its_own_proposal_is_here_whichever_came_first(lockstep):
    loop = lockstep(control_period_s=0.005).armed()
    assert not loop.out
    loop.propose()
    assert len(loop.out) == len(loop.decisions) == 1
    loop.propose(ahead_ms=5)
    assert len(loop.out) == 1
    loop.state()
    assert len(loop.out) == 2 and loop.decisions[-1].proposal.step == 1
    loop.watch(10_000)
    assert len(loop.out) == 2, "the wall clock has no say"


def test_joint_states_between_two_proposals_are_answered_at_once(lockstep):
    loop = lockstep(control_period_s=0.02).armed()
    loop.propose()
    for count in (2, 3, 4):
        loop.state()
        assert len(loop.out) == count
    loop.state()  # 20 ms: the next proposal's
    assert len(loop.out) == 4
    loop.propose()
    assert len(loop.out) == 5


def test_a_joint_state_waits_for_the_sight_of_the_object(lockstep):
    loop = lockstep().armed()
    loop.sight.blind = True
    loop.propose()
    assert not loop.out
    loop.sight.blind = False
    loop.loop.sighted(loop.now)
    assert len(loop.out) == 1


def test_a_new_arming_answers_no_state_by_the_motion_before(lockstep):
    loop = lockstep(control_period_s=0.02).armed()
    loop.propose()
    loop.loop.disarm(loop.now)
    loop.loop.stop(loop.now, 0)
    loop.state()
    before = len(loop.out)
    assert loop.loop.arm(loop.now) is None
    loop.state()
    assert len(loop.out) == before


@pytest.mark.parametrize("blind", [False, True])
def test_silence_in_lockstep_trips_on_the_wall_clock(lockstep, blind):
    loop = lockstep().armed()
    loop.sight.blind = blind
    assert loop.watch(20_000) is Reason.NONE
    missing = Reason.OBJECT_POSE_STALE if blind else Reason.JOINT_STATE_STALE
    assert loop.watch(1) == Reason.PROPOSAL_TIMEOUT | missing
    loop.loop.disarm(loop.now)
    assert loop.watch(1) is Reason.NONE, "nothing moves that would have to be stopped"


@anew
@given(
    st.lists(
        st.tuples(st.sampled_from(["state", "state", "propose"]), st.sampled_from([0, 0, 0, 5, 10, -5])), max_size=40
    )
)
def test_in_lockstep_no_proposal_is_judged_before_its_state_and_none_is_answered_twice(lockstep, events):
    loop = lockstep(control_period_s=0.005, action_timeout_s=9.0, trip_timeout_s=9.0).armed()
    waiting = None
    for kind, value in events:
        if kind == "propose":
            waiting = loop.propose(value)
        before = len(loop.out)
        if kind == "state":
            loop.state()
        for _, _, decision in loop.out[before:]:
            assert decision.proposal.stamp_ns <= decision.stamp_ns == loop.stamp
        if waiting is not None and waiting.stamp_ns <= loop.stamp:
            assert loop.decisions[-1].proposal is waiting, "the newest, as soon as it can be"
            waiting = None
    steps = [decision.proposal.step for decision in loop.decisions]
    assert steps == sorted(set(steps)) and len(steps) == len(loop.out)


def test_before_the_first_joint_state_there_is_no_time_and_nothing_arms(lockstep):
    loop = lockstep()
    assert loop.loop.time(loop.now) == 0
    assert "no joint state" in loop.loop.arm(loop.now)
    assert loop.watch(30_000) is Reason.NONE


def test_a_proposal_is_a_sign_of_life_too(lockstep):
    loop = lockstep().armed()
    loop.watch(15_000)
    loop.propose(ahead_ms=1000)
    assert loop.watch(20_000) is Reason.NONE
    assert loop.watch(1) == Reason.PROPOSAL_TIMEOUT | Reason.JOINT_STATE_STALE


@pytest.mark.parametrize(("stamp_ms", "answered"), [(19.999999, True), (20, False)])
def test_the_next_proposals_joint_state_is_a_control_period_after_the_one_before(lockstep, stamp_ms, answered):
    loop = lockstep(control_period_s=0.02).armed()
    loop.propose()
    before = len(loop.out)
    loop.state(stamp_ms=stamp_ms)
    assert (len(loop.out) > before) is answered


def test_a_proposal_before_the_first_joint_state_waits_for_it(lockstep):
    loop = lockstep()
    loop.propose(ahead_ms=5)
    assert not loop.out
    loop.state()
    assert [decision.verdict for decision in loop.decisions] == [Verdict.REJECTED], "it was not armed"


def test_the_same_joint_state_again_is_answered_no_second_time(lockstep):
    loop = lockstep(control_period_s=0.02).armed()
    loop.propose()
    before = len(loop.out)
    loop.state(stamp_ms=0)
    assert len(loop.out) == before


def test_between_two_proposals_it_is_joint_states_that_are_missed_and_no_sight(lockstep):
    loop = lockstep(control_period_s=0.02).armed()
    loop.propose()
    loop.state()
    loop.sight.blind = True
    assert loop.watch(20_001) == Reason.PROPOSAL_TIMEOUT | Reason.JOINT_STATE_STALE


def test_a_stop_in_lockstep_is_over_before_the_robots_next_state(lockstep):
    loop = lockstep(torque_rate_limit=40.0, t_min=0.5, ceiling=0.5).armed()
    for _ in range(3):
        loop.propose(effort=0.5)
        loop.state()
    loop.filter.trip(Reason.OPERATOR_STOP, loop.stamp)
    turn = 0
    while loop.loop.stop(loop.now, turn) == 0.0:
        turn += 1
    loop.state(50)
    loop.loop.stop(loop.now, 0)
    assert turn and not loop.filter.last_reasons & Reason.CLOCK_WENT_BACK
