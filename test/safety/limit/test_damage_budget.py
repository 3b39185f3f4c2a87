# SPDX-License-Identifier: Apache-2.0
"""A damage budget: the mean damage of an iteration stays within D_safe, whatever the arm does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.limit.damage import DAMAGE_MODELS
from safe_transfer_ros.safety.limit.damage_budget import DamageBudget
from safe_transfer_ros.safety.limit.governor import GovernorSettings
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger

MS = 1_000_000


def budget(periods: int = 10, d_safe: float = 0.5, floor: float = 0.1, damage: str = "linear") -> DamageBudget:
    return DamageBudget(d_safe=d_safe, periods=periods, fallback=floor, damage=DAMAGE_MODELS[damage].damage)


def run(of: DamageBudget, limit: float, unsafe: list[bool], *, floor: float = 0.1, start: int = 0) -> list[float]:
    """An episode in lockstep: the limit each decision was under."""
    used = []
    for step, leads_to_unsafe in enumerate(unsafe):
        used.append(limit if of.affords(limit) else floor)
        of.decide(start + step, used[-1])
        of.see(start + step + 1, leads_to_unsafe)
    of.end(start + len(unsafe))
    return used


@given(
    st.data(),
    st.sampled_from(sorted(DAMAGE_MODELS)),
    st.floats(0.01, 5.0),
    st.floats(0.0, 1.0),
    st.floats(0.01, 20.0),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_the_mean_damage_is_within_d_safe_whatever_happens(data, damage, d_safe, floor_share, limit, episodes):
    model = DAMAGE_MODELS[damage]
    floor = max(floor_share * model.torque_limit(d_safe), 1e-6)
    of = budget(sum(episodes), d_safe, floor, damage)
    total, exhausted = 0.0, False
    for number, steps in enumerate(episodes):
        unsafe = data.draw(st.lists(st.booleans(), min_size=steps, max_size=steps))
        used = run(of, limit, unsafe, floor=floor, start=1000 * number)
        for one, bad in zip(used, unsafe, strict=True):
            assert not (exhausted and one > floor), "a limit that was given up does not come back"
            exhausted |= one == floor != limit
            total += model.damage(one) * bad
    assert total == pytest.approx(of.spent, rel=1e-9)
    assert total <= d_safe * sum(episodes) * (1.0 + 1e-6)


def test_the_limit_is_kept_as_long_as_the_worst_that_could_follow_fits():
    """Ten periods at .5: 5 in all. Under 2 N·m one more unsafe one and .1 for each of the others must be left."""
    of = budget()
    assert run(of, 2.0, [True, True, False, True]) == [2.0, 2.0, 0.1, 0.1]  # 4 + 2 + 7 * .1 > 5
    assert of.exhausted and of.spent == pytest.approx(4.1)
    safe = budget()
    assert run(safe, 2.0, [False] * 8 + [True, True]) == [2.0] * 10 and not safe.exhausted
    assert safe.spent == 4.0


def test_a_limit_that_was_never_affordable_is_given_up_at_the_first_decision():
    of = budget(periods=1)
    assert run(of, 0.6, [False]) == [0.1]
    assert run(budget(periods=1), 0.5, [True]) == [0.5]


def test_an_iteration_begins_with_the_whole_budget():
    of = budget()
    run(of, 4.0, [True, True])
    assert of.exhausted and of.spent > 0.0
    of.renew()
    assert (of.exhausted, of.spent, of.periods) == (False, 0.0, 0)
    of.see(1, True)  # what the iteration before led to
    assert of.spent == 0.0


def test_more_periods_than_planned_bring_their_own_budget():
    of = budget(periods=2)
    used = run(of, 0.5, [True] * 6)
    assert used == [0.5] * 6 and of.spent == 3.0
    assert not of.affords(0.6)


def test_a_period_counts_once_by_its_own_limit():
    of = budget()
    of.affords(1.0)
    of.decide(0, 1.0)
    for stamp in (1, 2, 50):
        of.see(stamp, True)
    assert of.spent == 1.0
    of.decide(50, 0.25)
    of.see(50, True)  # the end of the period before, once more
    of.see(40, True)
    assert of.spent == 1.0
    of.see(51, False)
    assert of.spent == 1.0
    of.see(52, True)
    assert of.spent == 1.25


def test_a_state_that_is_told_late_counts_in_the_period_it_ended():
    of = budget()
    of.decide(0, 1.0)
    of.decide(50, 0.25)
    of.see(50, True)
    assert of.spent == 1.0
    of.end(100)
    of.see(100, True)
    of.see(101, True)  # behind the episode
    assert of.spent == 1.25
    of.decide(200, 2.0)
    of.see(100, True)  # far too late, and counted already
    assert of.spent == 1.25


def test_one_that_comes_more_than_a_period_late_still_counts():
    of = budget()
    for stamp in (0, 50, 100):
        of.decide(stamp, 1.0)
    of.told()
    of.see(20, True)
    assert of.spent == 1.0
    of.see(0, True)
    assert of.spent == 1.0, "that of the oldest one kept"


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=12), min_size=1, max_size=4),
    st.floats(0.11, 4.0),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_states_told_late_change_no_decision(episodes, limit, waits):
    """Nothing but `hangs_on_untold` decides when they must be told, and a number that is full at."""
    planned = sum(len(unsafe) for unsafe in episodes)
    at_once, late = budget(planned), budget(planned)
    kept: list[tuple[int, bool]] = []

    def tell() -> None:
        for stamp, unsafe in kept:
            late.see(stamp, unsafe)
        kept.clear()
        late.told()

    for number, unsafe in enumerate(episodes):
        start, used = 1000 * number, []
        kept.append((start, True))  # the state decided on first belongs to no period
        for step, leads_to_unsafe in enumerate(unsafe):
            if late.hangs_on_untold(limit) or len(kept) >= waits[(step + number) % len(waits)]:
                tell()
            used.append(limit if late.affords(limit) else 0.1)
            late.decide(start + step, used[-1])
            kept.append((start + step + 1, leads_to_unsafe))
        late.end(start + len(unsafe))
        kept.append((start + len(unsafe) + 1, True))  # between episodes
        assert used == run(at_once, limit, unsafe, start=start)
    tell()
    assert late.spent == pytest.approx(at_once.spent, abs=1e-12) and late.exhausted is at_once.exhausted


def test_what_could_still_have_been_done_is_told():
    of = budget()
    of.decide(0, 1.0)
    of.decide(1, 0.5)
    assert str(of) == "0.0 to 30.0 % spent in 2 of 10 periods"
    of.see(1, True)
    assert str(of) == "20.0 to 30.0 % spent in 2 of 10 periods"
    assert of.hangs_on_untold(2.9) and not of.hangs_on_untold(2.7)  # 1 + .5 + T + .7 <= 5
    assert not of.exhausted
    of.see(2, True)
    of.told()
    assert str(of) == "30.0 % spent in 2 of 10 periods"
    assert not of.affords(2.9)
    assert str(of).endswith("periods, the limit given up")
    assert not of.hangs_on_untold(2.9), "it is decided for this iteration"


def test_two_decisions_on_one_state_are_one_period_under_the_higher_limit():
    of = budget()
    of.decide(0, 0.2)
    of.decide(0, 1.0)
    of.see(1, True)
    assert (of.periods, of.spent) == (1, 1.0)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=1, max_size=4), st.floats(0.11, 4.0))
def test_the_ledger_finds_the_damage_that_the_budget_counted(episodes, limit):
    of = budget(sum(len(unsafe) for unsafe in episodes))
    ledger = UnsafetyLedger(15.0)
    for number, unsafe in enumerate(episodes):
        start = 1000 * number * MS
        used = run(of, limit, unsafe, start=1000 * number)
        for step in range(len(unsafe) + 1):
            ledger.add_state(start + step * MS, 20.0 if step and unsafe[step - 1] else 1.0)
            last = step == len(unsafe)
            ledger.add_step(0, number, start + step * MS, last, [0.0], [1.0], 0.1 if last else used[step], step)
    totals = ledger.close(0, limit)
    assert totals.damage(lambda torque: torque) * totals.periods == pytest.approx(of.spent, abs=1e-9)
    assert totals.damage(lambda torque: torque) <= 0.5 * (1.0 + 1e-9)
    assert (totals.lowered > 0) is of.exhausted or totals.lowered == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"floor": 0.6}, r"falls back to a limit whose damage is at most D_safe \(0.5\), got 0.6 N·m with 0.6"),
        ({"floor": math.nan}, "falls back to a limit whose damage"),
        ({"d_safe": math.inf}, "finite d_safe > 0 and periods > 0, got inf"),
        ({"d_safe": 0.0}, "finite d_safe > 0"),
        ({"periods": 0}, "periods > 0, got 0.5 and 0"),
    ],
)
def test_what_would_be_no_budget_is_refused(changes, expected):
    with pytest.raises(ValueError, match=expected):
        budget(**changes)


def test_the_settings_make_it():
    assert GovernorSettings(damage_budget=False).budget(10) is None
    made = GovernorSettings(damage_budget=True, d_safe=0.5, damage="quadratic").budget(10)
    assert made is not None and made.affords(0.7) and not made.affords(3.0)
    with pytest.raises(ValueError, match="periods > 0"):
        GovernorSettings(damage_budget=True).budget(0)
    assert GovernorSettings(damage_budget=True, rule="fixed").budget(10) is None, "it has no bound to keep"


def test_under_a_floor_at_d_safe_it_falls_back_lower_so_that_a_higher_limit_can_be_afforded():
    """PSPT's real robot begins at 1.8 N·m with D_safe 1.3: the floor costs the whole budget by itself."""
    rule = {"d_safe": 1.3, "initial_torque_limit": 1.8, "allow_unsafe_start": True}
    made = GovernorSettings(**rule).budget(1000)
    assert made is not None and GovernorSettings(**rule).floor == 1.3 and made.fallback == 0.65
    assert made.affords(1.8) and made.affords(3.0)


# By itself: what each number in it is for


def text(of: DamageBudget) -> str:
    return str(of).partition(" in ")[0]


def test_the_limit_it_falls_back_to_costs_something_from_nothing_to_all_of_d_safe():
    for damage in (0.0, 0.25, 0.5, 0.5 * (1.0 + 5e-10)):
        DamageBudget(d_safe=0.5, periods=1, fallback=0.1, damage=lambda limit, damage=damage: damage)
    for damage in (-0.005, 0.51, math.nan):
        with pytest.raises(ValueError, match="damage budget falls back"):
            DamageBudget(d_safe=0.5, periods=1, fallback=0.1, damage=lambda limit, damage=damage: damage)


@pytest.mark.parametrize(("d_safe", "periods"), [(0.1, 9), (0.05, 9), (0.03, 10), (0.2, 9)])
def test_rounding_spends_nothing(d_safe, periods):
    """So many times D_safe is more than their product, on the way there."""
    of = budget(periods=periods, d_safe=d_safe, floor=d_safe)
    assert run(of, d_safe, [True] * periods) == [d_safe] * periods and not of.exhausted


def test_what_was_spent_is_told_as_a_share_of_the_iteration_as_it_is():
    of = budget(periods=10)
    assert text(of) == "0.0 % spent"
    of.decide(0, 1.0)
    assert text(of) == "0.0 to 20.0 % spent"
    of.see(1, True)
    assert str(of) == "20.0 % spent in 1 of 10 periods"
    for step in range(1, 20):
        of.decide(step, 0.0)
    of.see(20, False)
    of.told()
    assert str(of) == "10.0 % spent in 20 of 10 periods"


def test_a_second_decision_on_a_state_is_no_second_period_and_the_larger_limit_counts():
    of = budget()
    of.decide(0, 0.5)
    of.see(1, False)
    of.decide(5, 1.0)
    for limit, most in ((2.0, 50), (0.5, 50), (2.5, 60)):
        of.decide(5, limit)
        assert of.periods == 2 and text(of) == f"0.0 to {most}.0 % spent"
    of.see(6, True)
    assert text(of) == "50.0 to 60.0 % spent"


def test_a_decision_on_the_state_that_an_episode_ended_with_begins_a_period():
    of = budget()
    of.decide(0, 1.0)
    of.end(5)
    of.decide(5, 1.0)
    assert of.periods == 2
    of.end(5)
    of.decide(5, 1.0)
    assert of.periods == 3, "an episode of one state"
    of.see(6, True)
    of.see(3, True)
    assert of.spent == 2.0


@pytest.mark.parametrize("periods", [2, 3, 5])
def test_of_what_was_told_the_last_two_periods_are_kept(periods):
    of = budget(periods=100, d_safe=10.0)
    for number in range(periods):
        of.decide(10 * number, 1.0 + number)
    of.told()
    assert text(of) == f"0.0 to {(2 * periods - 1) / 10:.1f} % spent"
    for number in (periods - 1, periods - 2):
        before = of.spent
        of.see(10 * number + 5, True)
        assert of.spent - before == 1.0 + number
    assert text(of) == f"{(2 * periods - 1) / 10:.1f} % spent"


def test_a_late_state_of_a_forgotten_period_counts_to_the_oldest_that_is_kept():
    of = budget(periods=100, d_safe=10.0)
    for number in range(4):
        of.decide(10 * number, 1.0 + number)
    of.told()
    of.told()
    of.see(5, True)
    assert of.spent == 3.0


def test_a_state_from_before_the_iteration_costs_nothing():
    of = budget(periods=100)
    for number in range(1, 3):
        of.decide(10 * number, 1.0)
    of.told()
    of.see(5, True)
    assert of.spent == 0.0


def test_it_falls_back_to_the_floor_or_to_half_of_d_safe_whichever_is_lower():
    for floor, fallback in ((0.05, 0.05), (0.25, 0.25), (0.5, 0.25)):
        of = GovernorSettings(torque_limit_floor=floor, initial_torque_limit=0.5, d_safe=0.5).budget(10)
        assert of is not None and of.fallback == fallback
