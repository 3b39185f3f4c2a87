# SPDX-License-Identifier: Apache-2.0
"""Promise 4: the filter takes nobody's word for the torque limit."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from safe_transfer_ros.safety.limit.damage_budget import DamageBudget
from safe_transfer_ros.safety.limit.guard import TorqueLimitGuard

S = 1_000_000_000


def offer(guard, iteration, limit, lease_s, now_ns):
    """What the monitor offers between two iterations."""
    guard.decide(0)
    return guard.offer(iteration, limit, lease_s, now_ns, moving=False)


def lease_lost(guard, now_ns):
    guard.current(now_ns)
    return guard.lost


def guard(**changes):
    return TorqueLimitGuard(**{"floor": 0.1, "ceiling": 3.0} | changes)


def test_the_first_limit_is_the_lowest_and_needs_no_lease():
    fresh = guard()
    assert fresh.current(0) == fresh.current(10**6 * S) == 0.1
    assert (fresh.iteration, fresh.lost) == (0, False)


def test_newer_iterations_raise_it_by_five_percent_at_most():
    g = guard()
    assert offer(g, 1, 1.05 * 0.1, 5.0, 0) is None
    assert g.current(0) == 1.05 * 0.1
    refusal = offer(g, 2, 1.0500001 * 1.05 * 0.1, 5.0, 0)
    assert "more than 5 % above" in refusal
    assert offer(g, 2, 1.05 * 1.05 * 0.1, 5.0, 0) is None
    assert (g.iteration, g.current(0)) == (2, 1.05 * 1.05 * 0.1)
    assert offer(g, 7, 0.1, 5.0, 0) is None  # a lower one at once, and iterations may be skipped


@pytest.mark.parametrize(
    "iteration, limit, lease, text",
    [
        (4, 0.5, 5.0, "older than 5"),
        (5, 0.6, 5.0, "has the limit 0.5 N·m already"),
        (5, 0.4, 5.0, "has the limit 0.5 N·m already"),
        (6, 0.6, 5.0, "more than 5 %"),  # + 20 %
        (6, math.nan, 5.0, "not finite"),
        (6, math.inf, 5.0, "not finite"),
        (6, -math.inf, 5.0, "not finite"),
        (6, 3.1, 5.0, "above the ceiling"),
        (6, 0.09, 5.0, "below the floor"),
        (6, -0.5, 5.0, "below the floor"),
        (6, 0.5, 0.0, "lease"),
        (6, 0.5, -1.0, "lease"),
        (6, 0.5, math.nan, "lease"),
        (6, 0.5, math.inf, "lease"),
        (6, 0.5, 61.0, "lease"),
    ],
)
def test_a_message_that_breaks_a_rule_changes_nothing_and_renews_nothing(iteration, limit, lease, text):
    g = guard(iteration=4, torque_limit=0.49)
    assert offer(g, 5, 0.5, 5.0, 0) is None
    assert text in offer(g, iteration, limit, lease, 1 * S)
    assert (g.iteration, g.accepted, g.current(5 * S)) == (5, 0.5, 0.5)
    assert g.current(5 * S + 1) == 0.1


def test_the_ceiling_holds_where_the_growth_would_allow_more():
    g = guard(iteration=4, torque_limit=0.49, ceiling=0.51)
    assert "above the ceiling 0.51" in offer(g, 5, 0.512, 5.0, 0)
    assert offer(g, 5, 0.51, 5.0, 0) is None


def test_a_live_lease_is_renewed_by_the_same_iteration_and_value():
    g = guard()
    offer(g, 1, 0.105, 5.0, 0)
    assert offer(g, 1, 0.105, 5.0, 4 * S) is None
    assert g.current(9 * S) == 0.105
    assert not lease_lost(g, 9 * S)
    assert lease_lost(g, 9 * S + 1)


def test_a_lost_lease_falls_to_the_lowest_limit_at_once_until_a_newer_iteration():
    g = guard()
    offer(g, 1, 0.105, 1.0, 0)
    assert g.current(1 * S + 1) == 0.1
    assert "lost" in offer(g, 1, 0.105, 1.0, 2 * S)  # whoever comes back needs new evidence
    assert g.current(2 * S) == 0.1
    # The next rise counts from the last ACCEPTED limit.
    assert offer(g, 2, 1.05 * 0.105, 1.0, 3 * S) is None
    assert (g.current(3 * S), g.lost) == (1.05 * 0.105, False)


def test_a_lease_noticed_late_is_lost_all_the_same():
    g = guard()
    offer(g, 1, 0.105, 1.0, 0)
    assert "lost" in offer(g, 1, 0.105, 1.0, 2 * S)  # nobody had looked in between


def test_a_clock_that_goes_back_does_not_stretch_the_lease():
    g = guard()
    offer(g, 1, 0.105, 5.0, 10 * S)
    assert g.current(9 * S) == 0.1
    assert g.lost


def test_the_first_iteration_can_be_leased_and_lost_too():
    g = guard()
    assert offer(g, 0, 0.1, 1.0, 0) is None
    assert "has the limit 0.1" in offer(g, 0, 0.105, 1.0, 0)
    assert lease_lost(g, 2 * S)
    assert g.current(2 * S) == 0.1


def test_a_resumed_limit_stands_for_one_lease_only():
    g = guard(iteration=20, torque_limit=0.27, max_lease_s=10.0)
    assert g.current(100 * S) == 0.27
    assert g.current(110 * S) == 0.27
    assert g.current(110 * S + 1) == 0.1
    renewed = guard(iteration=20, torque_limit=0.27)
    assert offer(renewed, 20, 0.27, 5.0, 0) is None
    assert offer(renewed, 21, 1.05 * 0.27, 5.0, 0) is None


def test_a_chain_of_messages_does_not_walk_the_limit_up():
    g = guard()
    g.decide(0)
    assert g.offer(1, 1.05 * 0.1, 60.0, 0, moving=False) is None
    for iteration in range(2, 72):
        assert "no proposal was decided on in 1" in g.offer(iteration, 1.05 * 0.105, 60.0, 0, moving=False)
    assert (g.iteration, g.current(0)) == (1, 1.05 * 0.1), "and the true monitor is still heard"
    g.decide(0)
    assert g.offer(2, 1.05 * 0.105, 60.0, 0, moving=False) is None


def test_the_limit_is_not_raised_under_a_moving_arm():
    g = guard(iteration=4, torque_limit=0.5)
    g.decide(0)
    assert "while the filter is armed" in g.offer(5, 0.51, 5.0, 0, moving=True)
    assert g.offer(4, 0.5, 5.0, 0, moving=True) is None, "a lease is renewed at any time"
    assert (g.iteration, g.decided) == (4, True)
    assert g.offer(5, 0.51, 5.0, 0, moving=False) is None


def test_a_lower_limit_needs_no_evidence_and_is_taken_at_any_time():
    g = guard(iteration=4, torque_limit=0.5)
    assert g.offer(5, 0.5, 5.0, 0, moving=True) is None
    assert g.offer(6, 0.4, 5.0, 0, moving=True) is None
    assert g.current(0) == 0.4


def test_what_comes_back_after_a_lost_lease_is_a_raise_of_the_limit_in_force():
    g = guard(iteration=4, torque_limit=0.5)
    g.decide(0)
    assert g.offer(5, 0.45, 1.0, 0, moving=False) is None
    assert lease_lost(g, 1 * S + 1)
    assert "no proposal was decided on" in g.offer(6, 0.45, 1.0, 2 * S, moving=False)
    g.decide(0)
    assert "while the filter is armed" in g.offer(6, 0.2, 1.0, 2 * S, moving=True)
    assert g.offer(6, 0.1, 1.0, 2 * S, moving=True) is None, "no more than what is in force"


def test_a_start_above_the_floor_needs_a_lease_and_falls_to_the_floor_without():
    g = guard(floor=1.3, torque_limit=1.8)
    assert (g.iteration, g.current(0), g.in_force, g.lost) == (0, 1.8, 1.8, False)
    assert offer(g, 0, 1.8, 5.0, 1 * S) is None
    assert g.current(6 * S) == 1.8
    assert (g.current(6 * S + 1), g.in_force, g.lost) == (1.3, 1.3, True)
    assert offer(g, 1, 1.3, 5.0, 7 * S) is None, "what the governor says after an iteration that was all unsafe"
    assert (g.current(7 * S), g.lost) == (1.3, False)


def test_a_fixed_limit_is_one_whose_lowest_is_its_ceiling():
    g = guard(floor=3.0)
    assert offer(g, 1, 3.0, 1.0, 0) is None
    assert g.current(5 * S) == 3.0


@pytest.mark.parametrize(
    "change, text",
    [
        ({"floor": 0.0}, "expected 0 < floor <= ceiling"),
        ({"floor": 3.001}, "expected 0 < floor <= ceiling"),
        ({"floor": math.nan}, "expected 0 < floor <= ceiling"),
        ({"ceiling": math.inf}, "expected 0 < floor <= ceiling"),
        ({"growth": 1.051}, "growth must be in"),
        ({"growth": 0.999}, "growth must be in"),
        ({"growth": math.nan}, "growth must be in"),
        ({"max_lease_s": math.inf}, "max_lease_s must be finite and > 0"),
        ({"max_lease_s": math.nan}, "max_lease_s must be finite and > 0"),
        ({"max_lease_s": 0.0}, "max_lease_s must be finite and > 0"),
        ({"torque_limit": 0.099}, "cannot start at iteration 0 with 0.099"),
        ({"torque_limit": 3.001}, "cannot start at iteration 0 with 3.001"),
        ({"torque_limit": math.nan}, "cannot start at iteration 0 with nan"),
        ({"iteration": -1}, "cannot start at iteration -1"),
    ],
)
def test_settings_are_checked(change, text):
    with pytest.raises(ValueError, match=text):
        guard(**change)


def test_settings_at_the_edge_will_do_and_what_is_built_in_is_documented():
    assert guard(floor=3.0, growth=1.0, max_lease_s=0.001, torque_limit=3.0).growth == 1.0
    assert guard(floor=0.001, torque_limit=0.001).in_force == 0.001
    built_in = guard()
    assert (built_in.growth, built_in._max_lease_s) == (1.05, 60.0)
    assert offer(built_in, 1, 0.1, 60.0, 0) is None and "is not in (0, 60]" in offer(built_in, 2, 0.1, 60.001, 0)


def test_the_floor_and_the_ceiling_themselves_are_accepted():
    g = guard(ceiling=0.104)
    assert offer(g, 1, 0.104, 5.0, 0) is None
    assert offer(g, 2, 0.1, 5.0, 0) is None
    assert (g.iteration, g.current(0)) == (2, 0.1)


def test_a_growth_of_its_own_is_kept_and_named():
    g = guard(growth=1.02)
    assert "more than 2 % above 0.1, the last accepted" in offer(g, 1, 0.103, 5.0, 0)
    assert offer(g, 1, 0.102, 5.0, 0) is None


def test_a_lease_of_milliseconds_is_one():
    assert offer(guard(), 1, 0.105, 0.005, 0) is None


def test_a_lease_is_counted_from_when_it_was_given_to_the_nanosecond():
    g = guard()
    offer(g, 1, 0.105, 0.5, 7 * S)
    assert g.current(7 * S + S // 2) == 0.105
    assert g.current(7 * S + S // 2 + 1) == 0.1
    assert g.in_force == 0.1


def test_a_clock_that_stands_still_is_no_clock_that_goes_back():
    g = guard()
    offer(g, 1, 0.105, 5.0, 10 * S)
    assert g.current(10 * S) == g.current(10 * S) == 0.105
    assert g.current(12 * S) == 0.105
    assert g.current(12 * S - 1) == 0.1, "by a nanosecond, after a later look"


def test_the_floor_can_be_lost_only_with_a_lease():
    g = guard()
    for now in (5 * S, 3 * S, 400 * S):
        assert (g.current(now), g.lost) == (0.1, False)
    # After a loss nothing is given a lease by looking.
    offer(g, 1, 0.105, 1.0, 400 * S)
    assert lease_lost(g, 402 * S) and lease_lost(g, 403 * S)
    assert "was lost" in offer(g, 1, 0.105, 1.0, 403 * S)
    assert (g.current(404 * S), g.accepted) == (0.1, 0.105)


class AnyOffers(RuleBasedStateMachine):
    """Whatever is offered whenever: in bounds, each accepted limit at most 5 % above the one before."""

    def __init__(self):
        super().__init__()
        self.guard = guard()
        self.now = 0
        self.until = None

    @rule(
        iteration=st.integers(0, 12),
        factor=st.one_of(st.floats(0.0, 1.3), st.sampled_from([1.0, 1.05, math.nan, math.inf, -1.0])),
        lease=st.one_of(st.floats(0.0, 70.0), st.sampled_from([math.nan, math.inf, 5.0])),
        moving=st.booleans(),
    )
    def offer(self, iteration, factor, lease, moving):
        before = (self.guard.iteration, self.guard.accepted)
        lost = lease_lost(self.guard, self.now)
        decided, in_force = self.guard.decided, self.guard.in_force
        refused = self.guard.offer(iteration, factor * before[1], lease, self.now, moving=moving)
        if refused:
            assert self.guard.decided == decided
            assert (self.guard.iteration, self.guard.accepted) == before
            assert self.guard.lost == lost
            return
        assert (iteration > before[0] and self.guard.accepted <= 1.05 * before[1]) or (
            (iteration, factor * before[1]) == before and not lost
        )
        assert self.guard.current(self.now) <= in_force or (decided and not moving and not self.guard.decided)
        self.until = self.now + round(lease * S)

    @rule()
    def decide(self):
        self.guard.decide(0)

    @rule(seconds=st.floats(0.0, 40.0))
    def wait(self, seconds):
        self.now += round(seconds * S)

    @precondition(lambda self: self.until is not None)
    @invariant()
    def a_limit_stands_no_longer_than_its_lease(self):
        if self.now > self.until:
            assert self.guard.current(self.now) == 0.1

    @invariant()
    def bounded(self):
        assert 0.1 <= self.guard.current(self.now) <= 3.0


TestAnyOffers = AnyOffers.TestCase
TestAnyOffers.settings = settings(max_examples=50, stateful_step_count=40, deadline=None, database=None)


def test_a_spent_budget_lowers_a_limit_and_raises_none():
    for start, in_force in ((0.05, 0.05), (0.1, 0.1), (2.0, 0.1)):
        budget = DamageBudget(d_safe=0.5, periods=1, fallback=0.1, damage=lambda limit: limit)
        made = TorqueLimitGuard(0.05, 3.0, torque_limit=start, budget=budget)
        assert made.in_force == start and not made.exhausted
        budget.affords(9.0)
        assert (made.in_force, made.exhausted) == (in_force, True)
