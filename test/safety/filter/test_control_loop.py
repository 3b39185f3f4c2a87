# SPDX-License-Identifier: Apache-2.0
"""Which proposal is judged when, whatever order messages come in; what goes out is what the rules say."""

from __future__ import annotations

import numpy as np
import pytest
from control_loops import MS, TAKEN, Loop, S, anew
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.reasons import Mode, Reason, Verdict

# Real time


def test_every_joint_state_is_answered_at_once(realtime):
    loop = realtime().armed()
    loop.propose()
    assert len(loop.out) == 1
    for count in range(2, 6):
        loop.state()
        assert len(loop.out) == count
    np.testing.assert_array_equal(loop.out[-1][1], 0.1)
    assert [decision.proposal.step for decision in loop.decisions] == [0]


def test_an_early_proposal_waits_does_nothing_meanwhile_and_is_as_old_as_its_receipt(realtime):
    loop = realtime().armed()
    received = loop.now
    loop.propose(ahead_ms=60)
    for _ in range(9):
        loop.state()
        assert not loop.out[-1][1].any() and not loop.decisions
    loop.state()  # 50 ms: within the tolerance of 10
    assert loop.out[-1][1].any() and loop.decisions[-1].verdict in TAKEN
    while loop.filter.mode is Mode.ARMED:
        loop.state()
    assert 100 * MS < loop.now - received <= 105 * MS, "not 100 ms after it was judged"


def test_one_that_waits_is_refused_on_record_when_it_is_too_late(realtime):
    loop = realtime(action_timeout_s=0.2, joint_state_timeout_s=1.0).armed()
    loop.propose(ahead_ms=1000)
    for _ in range(20):
        loop.watch()
        assert not loop.decisions
    loop.watch()
    [refused] = loop.decisions
    assert refused.verdict is Verdict.REJECTED and refused.reasons & Reason.PROPOSAL_FROM_FUTURE


def test_one_that_waits_is_judged_before_the_next_and_each_has_its_decision(realtime):
    loop = realtime().armed()
    loop.propose(ahead_ms=1000)
    loop.propose()
    loop.propose(ahead_ms=5)
    loop.state()
    assert [decision.proposal.step for decision in loop.decisions] == [0, 1, 2]
    assert loop.decisions[0].reasons & Reason.PROPOSAL_FROM_FUTURE
    assert [decision.verdict in TAKEN for decision in loop.decisions] == [False, True, True]


@pytest.mark.parametrize("between", ["disarm", "trip"])
def test_one_that_waits_is_not_acted_on_in_the_next_motion(realtime, between):
    loop = realtime().armed()
    loop.propose(ahead_ms=40)
    loop.loop.disarm(loop.now) if between == "disarm" else loop.filter.trip(Reason.OPERATOR_STOP, loop.now)
    loop.state()
    loop.filter.reset(loop.now)
    assert loop.loop.arm(loop.now) is None
    for _ in range(12):
        loop.state()
        assert not loop.out[-1][1].any()
    assert not loop.decisions or between == "trip"


def test_silence_is_answered_by_the_watch_so_that_a_timeout_stops_the_arm(realtime):
    loop = realtime().armed()
    loop.propose()
    loop.state()
    assert not loop.watch(10) and len(loop.out) == 2, "two periods: nothing is missing yet"
    for _ in range(5):
        assert loop.watch() is Reason.NONE
    assert loop.filter.mode is Mode.TRIPPED and not loop.out[-1][1].any()
    assert (loop.decisions[-1].verdict, loop.decisions[-1].proposal) == (Verdict.STOPPED, None)
    assert loop.decisions[-1].reasons & Reason.JOINT_STATE_STALE


def test_before_anything_is_heard_the_watch_commands_zero(realtime):
    loop = realtime()
    loop.watch()
    assert len(loop.out) == 1 and not loop.out[0][1].any()


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("state"), st.sampled_from([1, 5, 5, 20, 60])),
        st.tuples(st.just("propose"), st.sampled_from([0, 0, 0, -5, 5, 11, 30, 90, 500])),
        st.tuples(st.just("last"), st.sampled_from([0, 0, 30])),
        st.tuples(st.just("watch"), st.sampled_from([1, 10, 10, 40, 120])),
        st.tuples(st.just("disarm"), st.just(0)),
        st.tuples(st.just("arm"), st.just(0)),
        st.tuples(st.just("trip"), st.just(0)),
        st.tuples(st.just("reset"), st.just(0)),
    ),
    max_size=40,
)


def play(loop, events):
    """Let things happen; when each proposal that was handed over was received, by its step."""
    received = {}
    for kind, value in events:
        if kind == "state":
            loop.state(value)
        elif kind in ("propose", "last"):
            received[loop.step] = loop.now
            loop.propose(value, last=kind == "last")
        elif kind == "watch":
            loop.watch(value)
        elif kind == "disarm":
            loop.loop.disarm(loop.now)
        elif kind == "arm":
            loop.loop.arm(loop.now)
        elif kind == "trip":
            loop.filter.trip(Reason.OPERATOR_STOP, loop.now)
        else:
            loop.filter.reset(loop.now)
        yield received


@anew
@given(EVENTS)
def test_in_real_time_any_order_of_messages_keeps_the_promises(realtime, events):
    loop = realtime().armed()
    taken_ns, seen = -S, 0
    for received in play(loop, events):
        for now, torque, decision in loop.out[seen:]:
            if decision is not None and decision.verdict in TAKEN:
                proposal = decision.proposal
                assert proposal.stamp_ns <= decision.stamp_ns + 10 * MS, "nothing blind"
                assert received[proposal.step] >= taken_ns
                taken_ns = received[proposal.step]
            if torque.any():
                assert now - taken_ns <= 100 * MS, "nothing old, however long it waited"
        seen = len(loop.out)
    steps = [decision.proposal.step for decision in loop.decisions if decision.proposal is not None]
    assert steps == sorted(set(steps)), "each at most once, in the order they came"


@anew
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3]), st.sampled_from([0, 0, 5, 30, 90])), max_size=12))
def test_in_real_time_every_proposal_has_its_decision(realtime, rounds):
    """However many come between two joint states, and however early."""
    loop = realtime(trip_timeout_s=9.0).armed()
    for count, ahead in rounds:
        for _ in range(count):
            loop.propose(ahead)
        loop.state()
    for _ in range(30):
        loop.state()
    assert [one.proposal.step for one in loop.decisions if one.proposal] == list(range(loop.step))


def test_one_that_waits_is_forgotten_when_the_operator_ends_the_motion(realtime):
    loop = realtime().armed()
    loop.propose(ahead_ms=40)
    loop.loop.disarm(loop.now)
    for _ in range(12):
        loop.state()
    assert not loop.decisions


def test_a_pose_that_is_not_taken_is_answered_with_why(realtime):
    loop = realtime(tracks_object=True)
    loop.state()
    pose = np.array([0.5, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0])
    assert loop.loop.object_pose(loop.stamp, pose, loop.now) is Reason.NONE
    assert loop.loop.object_pose(loop.stamp, pose * np.nan, loop.now) is Reason.OBJECT_POSE_NOT_FINITE


# A motion under its own limit


def test_a_policy_has_no_say_in_a_reset_move_and_no_critic_is_asked(rig):
    class Refuses:
        def judge(self, *arguments):
            raise AssertionError("asked")

    loop = Loop(rig, t_min=0.1, gate=Refuses(), observe=lambda position, velocity, limit: position)
    loop.state()
    assert loop.loop.arm(loop.now, own_limit=0.4) is None
    loop.propose(effort=0.3)
    loop.state()
    assert not loop.out[-1][1].any() and not loop.decisions
    assert loop.filter.last_reasons & Reason.NOT_ARMED
    loop.step = 0
    loop.loop.propose_motion(loop.proposal(effort=0.3), loop.now)
    loop.state()
    np.testing.assert_array_equal(loop.out[-1][1], 0.3)
    assert not loop.decisions and not loop.sight.begun, "no part of the policy's record"
    loop.propose(effort=0.2)
    loop.state()
    np.testing.assert_array_equal(loop.out[-1][1], 0.3)


def test_a_reset_moves_proposals_do_nothing_outside_one(realtime):
    loop = realtime().armed()
    loop.loop.propose_motion(loop.proposal(effort=0.3), loop.now)
    loop.state()
    assert not loop.out[-1][1].any() and not loop.decisions


# What is recorded


def test_reasons_of_all_cycles_since_the_decision_before_are_in_the_next(realtime):
    loop = realtime().armed()
    loop.propose()
    loop.filter.reject(Reason.JOINT_STATE_WRONG_JOINTS, loop.now)
    loop.state()
    loop.filter.reject(Reason.LIMIT_REFUSED, loop.now)
    loop.state()
    loop.propose()
    loop.state()
    assert loop.decisions[0].reasons == Reason.JOINT_STATE_WRONG_JOINTS
    assert loop.decisions[1].reasons == Reason.LIMIT_REFUSED


def test_a_stop_has_a_decision_of_its_own_once_and_only_where_something_could_move(realtime):
    loop = realtime()
    loop.filter.trip(Reason.OPERATOR_STOP, loop.now)
    loop.state()
    assert not loop.decisions
    loop.filter.reset(loop.now)
    loop.armed()
    for _ in range(30):
        loop.state()
    [stop] = loop.decisions
    assert (stop.verdict, stop.proposal, stop.stamp_ns) == (Verdict.STOPPED, None, stop.stamp_ns)
    assert stop.reasons & Reason.PROPOSAL_TIMEOUT


def test_a_proposal_that_could_not_be_read_is_refused_on_record_with_why(realtime):
    loop = realtime().armed()
    broken = loop.propose(fault=Reason.PROPOSAL_WRONG_JOINTS, mean=np.empty(0))
    loop.state()
    [decision] = loop.decisions
    assert decision.proposal is broken and decision.verdict is Verdict.REJECTED
    assert decision.reasons == Reason.PROPOSAL_WRONG_JOINTS
    assert not loop.sight.begun


def test_an_episode_begins_with_its_first_proposal(realtime):
    loop = realtime().armed()
    loop.propose(episode=3)
    loop.state()
    loop.propose(episode=3)
    assert loop.sight.begun == [(3, loop.stamp - 5 * MS)]


def test_a_joint_state_of_another_robot_is_told_and_otherwise_left_out(realtime, lockstep):
    """It is no sign of life and moves no clock: a gripper on the same topic must not hide that the arm is silent."""
    loop = realtime().armed()
    loop.propose()
    loop.state()
    for _ in range(11):
        loop.now += 5 * MS
        loop.loop.unusable_joint_state(loop.now)
        loop.watch(0)
    assert loop.filter.cause is Reason.JOINT_STATE_STALE and loop.loop.state_stamp_ns == loop.stamp
    assert loop.decisions[-1].reasons & Reason.JOINT_STATE_WRONG_JOINTS
    loop = lockstep().armed()
    loop.now += 20 * S + 1
    loop.loop.unusable_joint_state(loop.now)
    assert loop.watch(0) & Reason.JOINT_STATE_STALE


# Stopping


def test_a_stop_waits_no_longer_than_the_rate_asks_for(realtime):
    loop = realtime(torque_rate_limit=1000.0).armed()
    loop.propose(effort=0.5)
    loop.state()
    loop.now += MS // 10
    loop.filter.trip(Reason.OPERATOR_STOP, loop.now)
    pauses = []
    for turn in range(20):
        pause = loop.loop.stop(loop.now, turn)
        if pause is None:
            break
        pauses.append(pause)
        loop.now += round(pause * 1e9)
    assert loop.filter.stopped and pauses and max(pauses) <= 0.5e-3 + 1e-4 + 1e-12
    loop.state(ms=1)
    assert not loop.filter.last_reasons & Reason.CLOCK_WENT_BACK


@pytest.mark.parametrize(("rate", "pause_s"), [(100.0, 3.1e-3), (50.0, 5e-3)])
def test_a_stop_waits_for_the_largest_torque_whatever_its_sign_and_for_a_period_at_most(realtime, rate, pause_s):
    loop = realtime(torque_rate_limit=rate, ceiling=0.5, t_min=0.5).armed()
    for _ in range(5):
        loop.propose(effort=[0.1, -0.35, 0.0])
        loop.state()
    loop.now += MS // 2
    loop.filter.disarm(loop.now)
    assert loop.loop.stop(loop.now, 0) == pytest.approx(min(pause_s, np.abs(loop.filter.applied).max() / rate + 1e-4))
    assert 0.3 - 1e-9 <= np.abs(loop.filter.applied).max() < 0.35


def test_a_stop_that_damps_goes_on_by_the_joint_states(realtime):
    loop = realtime(stop_damping=0.01, torque_rate_limit=1e5).armed()
    loop.propose(effort=0.5)
    loop.state()
    loop.now += MS
    loop.filter.trip(Reason.OPERATOR_STOP, loop.now)
    assert loop.loop.stop(loop.now, 0) is None
    assert loop.filter.damping is True and not loop.filter.stopped


@pytest.mark.parametrize(("ms", "answered"), [(10, False), (11, True)])
def test_two_periods_without_a_state_are_silence(realtime, ms, answered):
    loop = realtime().armed()
    loop.propose()
    loop.state()
    before = len(loop.out)
    loop.watch(ms)
    assert (len(loop.out) > before) is answered


def test_a_proposal_is_judged_as_soon_as_it_may_be_and_nothing_of_a_stop_is_on_record_when_it_is_disarmed(realtime):
    loop = realtime().armed()
    loop.propose()
    assert loop.filter.proposal_age_s(loop.now) == 0.0
    loop.state()
    loop.loop.disarm(loop.now)
    loop.state()
    assert [decision.verdict for decision in loop.decisions] == [Verdict.ACCEPTED]


def test_a_proposal_without_any_joint_state_is_refused_on_record(realtime):
    loop = realtime()
    loop.propose()
    for _ in range(12):
        loop.watch()
    [refused] = loop.decisions
    assert (refused.verdict, refused.stamp_ns) == (Verdict.REJECTED, 0)


def test_a_stop_in_lockstep_does_not_wait_for_a_clock_that_stands_still(lockstep):
    loop = lockstep(torque_rate_limit=40.0, t_min=0.5, ceiling=0.5).armed()
    loop.propose(effort=0.5)
    for _ in range(2):
        loop.propose(effort=0.5)
        loop.state()
        loop.propose(effort=0.5)
    loop.filter.trip(Reason.OPERATOR_STOP, loop.stamp)
    torques = [0.5]
    while loop.loop.stop(loop.now, len(torques)) == 0.0:
        torques.append(float(loop.out[-1][1].max()))
        assert len(torques) < 20
    assert loop.filter.stopped
    np.testing.assert_allclose(
        -np.diff(torques), 40.0 * 0.005, err_msg="each turn a control period, as if time went on"
    )
