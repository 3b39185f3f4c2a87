# SPDX-License-Identifier: Apache-2.0
"""After the filter's process itself stood still: what had waited is as old as the stall."""

from __future__ import annotations

import pytest
from control_loops import MS, Loop, S

from safe_transfer_ros.safety.filter.receipt import SETTLE_S
from safe_transfer_ros.safety.reasons import Mode, Reason


def test_what_waited_while_the_process_stood_still_is_as_old_as_the_stall(realtime):
    """A state and a proposal from before it, taken after it, move the arm no longer than if taken then."""
    loop = realtime().armed()
    loop.propose()
    for _ in range(6):
        loop.state()
        loop.watch(0)
        loop.propose()
    stopped = loop.now
    loop.now += 40 * MS  # what was sent until then is in the queue
    loop.state(ms=1, stamp_ms=1)
    loop.propose()
    assert loop.filter.proposal_age_s(loop.now) == pytest.approx(0.041)
    assert loop.filter.state_age_s(loop.now) == pytest.approx(0.041)
    while loop.filter.mode is Mode.ARMED:
        loop.state()
        if loop.out[-1][1].any():
            assert loop.now - stopped <= 100 * MS
    assert loop.now - stopped <= 106 * MS


def test_joint_states_that_waited_longer_than_their_timeout_are_stale(realtime):
    loop = realtime().armed()
    loop.propose()
    loop.state()
    loop.now += 60 * MS
    loop.state(ms=0, stamp_ms=1)
    assert (loop.filter.mode, loop.filter.cause) == (Mode.TRIPPED, Reason.JOINT_STATE_STALE)
    assert not loop.out[-1][1].any()


def test_a_lease_that_waited_is_shorter_by_that(realtime):
    loop = realtime(t_min=0.1, trip_timeout_s=99.0, joint_state_timeout_s=99.0)
    loop.filter.guard.decide(0)  # what a raise of the limit needs
    loop.watch(0)
    loop.now += 2 * S
    assert "lease" in loop.loop.offer_limit(1, 0.105, 1.5, loop.now), "it ran out while it waited"
    assert loop.loop.offer_limit(1, 0.105, 2.5, loop.now) is None
    loop.watch(400)
    assert not loop.filter.guard.lost
    loop.watch(200)
    assert loop.filter.guard.lost


def test_in_lockstep_the_wall_clock_makes_nothing_old(lockstep):
    loop = lockstep(control_period_s=0.005).armed()
    loop.propose()
    loop.watch(0)
    loop.now += 3 * S
    loop.state(ms=5)
    loop.propose()
    assert loop.filter.mode is Mode.ARMED and loop.filter.state_age_s(loop.stamp) == 0.0


def test_arming_waits_until_joint_states_have_an_age_again(realtime):
    """A critic that was read from its file in the very call, say: armed at once, the next states would trip it."""
    loop = realtime()
    loop.state()
    loop.now += 45 * MS
    assert "stood still for 0.045 s" in loop.loop.arm(loop.now)
    loop.state(ms=1, stamp_ms=5)
    loop.state(ms=10, stamp_ms=10)
    assert loop.loop.arm(loop.now) is None
    loop.state()
    assert loop.filter.mode is Mode.ARMED


@pytest.mark.parametrize("stall_ms", [39, 40])
def test_a_short_stall_is_no_reason_not_to_arm(realtime, stall_ms):
    loop = realtime()
    loop.state()
    loop.now += stall_ms * MS
    assert loop.loop.arm(loop.now) is None
    for _ in range(10):
        loop.state(ms=1)
    loop.state()
    assert loop.filter.mode is Mode.ARMED


def test_in_lockstep_arming_waits_for_no_wall_clock(lockstep):
    loop = lockstep()
    loop.state()
    loop.now += 3 * S
    assert loop.loop.arm(loop.now) is None


@pytest.mark.parametrize("timeout_s", [SETTLE_S / 2, SETTLE_S])
def test_a_process_that_never_stood_still_arms_with_any_timeout(realtime, lockstep, timeout_s):
    """What has to settle after a stall has not to without one."""
    for made in (realtime, lockstep):
        loop = made(joint_state_timeout_s=timeout_s)
        loop.state()
        assert loop.loop.arm(loop.now) is None


@pytest.mark.parametrize(("stamp_ms", "mode"), [(5, Mode.ARMED), (50, Mode.TRIPPED)])
def test_short_stalls_with_states_between_are_not_one_long_one(realtime, stamp_ms, mode):
    """20 ms, a handful of states, and 20 ms again: stamps that run steadily tell that none waited through both."""
    loop = realtime(joint_state_timeout_s=0.03, action_timeout_s=9.0, trip_timeout_s=9.0).armed()
    for _ in range(20):
        loop.state()
    for _ in range(6):
        loop.state(ms=20, stamp_ms=stamp_ms)
        for _ in range(3):
            loop.state(ms=0, stamp_ms=5)
    assert loop.filter.mode is mode


@pytest.mark.parametrize("what", ["unreadable state", "proposal in lockstep", "watch"])
def test_whatever_is_taken_shows_that_the_process_runs(rig, what):
    """Nothing else for 40 ms: a limit whose lease is 30 ms did not wait all that time."""
    loop = Loop(rig, lockstep=what == "proposal in lockstep", t_min=0.1).armed()
    loop.filter.guard.decide(0)
    for _ in range(8):
        loop.now += 5 * MS
        if what == "unreadable state":
            loop.loop.unusable_joint_state(loop.now)
        elif what == "watch":
            loop.watch(0)
        else:
            loop.propose(ahead_ms=1000)
    loop.loop.disarm(loop.now)
    assert loop.loop.offer_limit(1, 0.105, 0.03, loop.now) is None
