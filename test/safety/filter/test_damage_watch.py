# SPDX-License-Identifier: Apache-2.0
"""The filter gives its limit up for the floor when the iteration's damage budget is spent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.damage_watch import DamageWatch
from safe_transfer_ros.safety.limit.damage_budget import DamageBudget
from safe_transfer_ros.safety.reasons import Reason

LEASE = 10.0


class Tilt:
    """u is what a test says it is from the next state on; an object's pose tells of the states that wait for one."""

    def __init__(self) -> None:
        self.rig = None
        self.waiting: list[int] | None = None
        self.episodes: list[int] = []
        self.reads: list[int] = []
        self._said: list[tuple[int, float]] = [(0, 0.0)]

    def say(self, tilt: float) -> None:
        self._said.append((self.rig.stamp, tilt))

    def states(self, stamps_ns, position):
        np.testing.assert_array_equal(position, np.full((len(stamps_ns), 3), np.array(stamps_ns)[:, None] * 1e-12))
        self.reads.append(len(stamps_ns))
        if self.waiting is not None:
            self.waiting += stamps_ns
            return []
        return [(stamp, self._at(stamp)) for stamp in stamps_ns]

    def pose(self, stamp_ns, pose):
        told, self.waiting = [(stamp, self._at(stamp)) for stamp in self.waiting or ()], []
        return told

    def _at(self, stamp_ns):
        return [tilt for since, tilt in self._said if since < stamp_ns][-1]

    def decision(self, stamp_ns, episode):
        self.episodes.append(episode)
        return []


@pytest.fixture
def arm(rig):
    """Ten periods at .5 N·m, floor .1, limit 2: two unsafe ones and the third decision is under the floor."""
    budget = DamageBudget(d_safe=0.5, periods=10, fallback=0.1, damage=lambda limit: limit)
    tilt = Tilt()
    made = rig(t_min=0.1, start=2.0, budget=budget, damage=DamageWatch(budget, tilt, 15.0, 3))
    made.tilt, tilt.rig = tilt, made
    return made.arm()


def step(arm, tilt=1.0, **changes):
    """A decision that asks for 1.5 N·m, and the state it leads to; the torque applied."""
    assert arm.propose([1.5, 0.0, 0.0], **changes) is Reason.NONE
    applied = arm.cycle()
    arm.tilt.say(tilt)
    arm.state()
    return applied[0]


def told(arm) -> None:
    """Count the states that are kept: a limit that no budget affords hangs on all of them."""
    arm.filter._damage.settle(1e9)


def test_it_falls_at_the_next_decision_and_says_why(arm):
    assert [step(arm, 20.0), step(arm, 20.0)] == [1.5, 1.5]
    assert not arm.filter.last_reasons & Reason.DAMAGE_BUDGET_SPENT
    assert step(arm) == pytest.approx(0.1) and arm.filter.torque_limit == 0.1
    assert arm.filter.last_reasons & Reason.DAMAGE_BUDGET_SPENT
    assert [step(arm), step(arm)] == [0.1, 0.1], "for the rest of the iteration, however safe it is"


@pytest.mark.parametrize("tilt", [math.nan, math.inf, 15.0001])
def test_what_is_not_known_to_be_safe_costs(arm, tilt):
    assert [step(arm, tilt) for _ in range(3)] == [1.5, 1.5, 0.1]


def test_what_is_safe_costs_nothing(arm):
    assert [step(arm, 15.0) for _ in range(9)] == [1.5] * 9


def test_the_next_iteration_begins_with_the_whole_budget_and_a_limit_judged_by_the_one_given_up(arm):
    for _ in range(3):
        step(arm, 20.0)
    refused = arm.filter.offer_limit(1, 1.0, LEASE, arm.now)
    assert refused == "iteration 1 may not raise the limit while the filter is armed", "above what is in force"
    arm.filter.disarm(arm.now)
    arm.wait(20)
    assert arm.filter.offer_limit(0, 2.0, LEASE, arm.now) is None, "a renewal changes nothing"
    arm.arm()
    assert step(arm) == 0.1
    arm.filter.disarm(arm.now)
    arm.wait(20)
    assert "more than 5 %" in arm.filter.offer_limit(1, 2.2, LEASE, arm.now)
    assert arm.filter.offer_limit(1, 2.1, LEASE, arm.now) is None
    arm.arm()
    assert step(arm, iteration=1) == 1.5


def test_states_between_episodes_cost_nothing(arm):
    step(arm, 20.0)
    assert arm.propose(last=True) is Reason.NONE
    arm.cycle()
    arm.tilt.say(20.0)
    arm.wait(100)
    arm.arm()
    assert step(arm, episode=1) == 1.5
    told(arm)
    assert arm.guard.budget.spent == 2.0
    assert arm.tilt.episodes == [0, 0, 1]


def test_a_reset_move_is_not_the_iterations(arm):
    arm.filter.disarm(arm.now)
    arm.wait(20)
    assert arm.filter.arm(arm.now, own_limit=0.5) is None
    for _ in range(12):
        assert step(arm, 20.0) == 0.5
    told(arm)
    assert (arm.guard.budget.spent, arm.guard.budget.periods) == (0.0, 0)


def test_states_that_an_objects_pose_tells_of_cost_when_it_comes(rig):
    budget = DamageBudget(d_safe=0.5, periods=10, fallback=0.1, damage=lambda limit: limit)
    tilt = Tilt()
    tilt.waiting = []
    arm = rig(t_min=0.1, start=2.0, budget=budget, damage=DamageWatch(budget, tilt, 15.0, 3), tracks_object=True)
    arm.tilt, tilt.rig = tilt, arm
    pose = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])

    def see() -> None:
        pose[0] += 1e-3
        arm.state()
        assert arm.filter.observe_object(arm.stamp, pose, arm.now) is Reason.NONE

    see()
    arm.cycle()
    assert arm.filter.arm(arm.now) is None
    step(arm, 20.0)
    told(arm)
    assert budget.spent == 0.0
    see()
    assert budget.spent == 2.0


def test_no_state_is_lost_however_many_come_between_two_decisions(arm):
    arm.propose([1.5, 0.0, 0.0])
    arm.cycle()
    arm.tilt.say(20.0)
    arm.state()
    arm.tilt.say(1.0)
    for _ in range(900):
        arm.state()
    told(arm)
    assert arm.guard.budget.spent == 2.0
    assert sum(arm.tilt.reads) == 902, "and none is read twice"


def test_states_are_read_many_at_once_unless_a_decision_hangs_on_them(rig):
    budget = DamageBudget(d_safe=0.5, periods=1000, fallback=0.1, damage=lambda limit: limit)
    tilt = Tilt()
    arm = rig(t_min=0.1, start=2.0, budget=budget, damage=DamageWatch(budget, tilt, 15.0, 3))
    arm.tilt, tilt.rig = tilt, arm
    arm.arm()
    used = [step(arm, 20.0) for _ in range(250)]
    # Two N·m of 500 each, .1 kept for all that follow: 1.9 k + 100 <= 500, so 210 are afforded, and only for the last
    # few of them the states before must be known.
    assert used == [1.5] * 210 + [pytest.approx(0.1)] * 40
    assert sum(tilt.reads) >= 210 and len(tilt.reads) < 20


def test_the_budget_and_what_counts_into_it_come_together(rig):
    budget = DamageBudget(d_safe=0.5, periods=10, fallback=0.1, damage=lambda limit: limit)
    for changes in ({"budget": budget}, {"damage": DamageWatch(budget, Tilt(), 15.0, 3)}):
        with pytest.raises(ValueError, match="come together"):
            rig(t_min=0.1, **changes)


# The watch by itself


class Told:
    """Notes what it is asked in which order; each state is as unsafe as a test says."""

    def __init__(self, unsafety: float) -> None:
        self.unsafety, self.asked = unsafety, []

    def states(self, stamps_ns, position):
        self.asked.append(list(stamps_ns))
        return [(stamp, self.unsafety) for stamp in stamps_ns]

    def pose(self, stamp_ns, pose):
        self.asked.append("pose")
        return []

    def decision(self, stamp_ns, episode):
        return []


def counting(unsafety: float = 20.0) -> tuple[DamageBudget, Told, DamageWatch]:
    budget = DamageBudget(d_safe=0.5, periods=10, fallback=0.1, damage=lambda limit: limit)
    told = Told(unsafety)
    return budget, told, DamageWatch(budget, told, 15.0, 3)


def test_a_pose_comes_after_the_states_that_came_before_it():
    budget, told, watch = counting()
    budget.decide(0, 2.0)
    for stamp in (5, 10):
        watch.state(stamp, np.zeros(3))
    watch.pose(12, np.zeros(7))
    assert told.asked == [[5, 10], "pose"] and budget.spent == 2.0


def test_states_after_the_end_of_an_episode_cost_nothing():
    budget, _, watch = counting()
    budget.decide(0, 2.0)
    watch.ended(5, 0)
    watch.state(6, np.zeros(3))
    watch.settle(1e9)
    assert budget.spent == 0.0
    watch.state(5, np.zeros(3))
    watch.settle(1e9)
    assert budget.spent == 2.0, "its last state is the episode's"


def test_periods_whose_states_were_told_are_owed_for_no_longer():
    budget, _, watch = counting(unsafety=0.0)
    for number in range(8):
        budget.decide(10 * number, 0.5)
        watch.state(10 * number + 5, np.zeros(3))
        watch.settle(1e9)
    assert budget.spent == 0.0 and not budget.hangs_on_untold(2.0)


def test_a_pose_that_is_not_taken_counts_nothing(rig):
    budget, told, watch = counting()
    arm = rig(t_min=0.1, start=2.0, budget=budget, damage=watch, tracks_object=True)
    arm.filter.observe_object(1, np.full(7, math.nan), arm.now)
    assert told.asked == []


def test_a_spent_budget_is_told_beside_what_else_there_is_and_not_of_a_motion_under_its_own_limit(arm):
    for _ in range(3):
        step(arm, 20.0)
    arm.propose([1.5, 0.0, 0.0])
    arm.cycle()
    assert arm.filter.last_reasons == Reason.DAMAGE_BUDGET_SPENT | Reason.CLAMPED_TORQUE_LIMIT
    arm.filter.disarm(arm.now)
    arm.wait(20)
    assert arm.filter.arm(arm.now, own_limit=0.5) is None
    arm.propose([0.4, 0.0, 0.0])
    arm.cycle()
    assert arm.filter.applied[0] == 0.4 and arm.filter.last_reasons is Reason.NONE
