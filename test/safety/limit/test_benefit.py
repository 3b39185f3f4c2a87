# SPDX-License-Identifier: Apache-2.0
"""The benefit rule: when it lets the limit rise, steps back and holds; and that its memory is all that it goes by."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_evidence import evidence, step

from safe_transfer_ros.safety.limit.benefit import Benefit
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor


def walk(returns, iterations: int) -> list[float]:
    """Limits of a run whose return is a function of the limit, raised 5 % wherever the benefit lets it."""
    rng = np.random.default_rng(5)
    benefit, limit, limits = Benefit(), 0.1, []
    for _ in range(iterations):
        limits.append(limit)
        cap = benefit.cap(limit, returns(limit) + rng.normal(size=5))
        limit = min(1.05 * limit, cap)
    return limits


def test_the_limit_rises_while_returns_do() -> None:
    np.testing.assert_allclose(walk(lambda limit: 100.0 * np.log(limit), 60), 0.1 * 1.05 ** np.arange(60))


def test_the_limit_steps_back_to_where_returns_were_best_and_stays_near() -> None:
    limits = np.array(walk(lambda limit: -200.0 * np.log(limit / 0.3) ** 2, 300))
    assert limits.max() < 0.6
    assert 0.2 < np.median(limits[50:]) < 0.42
    assert (np.diff(limits) < -0.05).any() and np.mean(np.diff(limits[50:]) == 0.0) > 0.5


def test_benefit_steps_back_to_the_best_window_once_a_fall_is_significant_and_twice_as_long_each_time() -> None:
    benefit = Benefit(window=5, patience=3, z=2.0)

    def caps(returns: list[float], first: float = 1.0) -> list[float]:
        return [benefit.cap(first + step, np.array([value, value])) for step, value in enumerate(returns)]

    # Best window: limits 1 to 5, mean 3. One low iteration is no proof (8 against 10, two standard errors are 2.7),
    # two are (6 against 10, 3.3).
    assert caps([10.0] * 5 + [0.0]) == [np.inf] * 6
    assert caps([0.0]) == [3.0]
    assert caps([4.0] * 3) == [3.0] * 3, "held for the patience"
    # What is reached from there on, and no mixture with what was before, is what later raises are held against: 4, at
    # limits 1, 2, 3, 1 and 2.
    assert caps([4.0, 4.0]) == [np.inf] * 2
    assert caps([-100.0] * 4) == [np.inf] + [pytest.approx(1.8)] * 3
    assert caps([4.0] * 5) == [pytest.approx(1.8)] * 4 + [np.inf], "six iterations, twice as many as before"


@pytest.mark.parametrize(
    ("held", "best"),
    [([7.0, 7.0, 3.0], 1.5), ([7.0, 7.0, 7.0], 2.5), ([5.0, 5.0, 9.0], 2.5), ([9.0, 5.0, 5.0], 1.5)],
)
def test_what_is_reached_while_the_limit_is_held_counts_the_newest_of_equals(held, best) -> None:
    benefit = Benefit(window=2, patience=3)
    for limit, value in ((10.0, 10.0), (11.0, 10.0), (12.0, 10.0), (13.0, 0.0)):
        assert benefit.cap(limit, np.array([value, value])) == np.inf
    assert benefit.cap(14.0, np.zeros(2)) == 11.5, "the newest window of 10"
    for limit, value in enumerate(held, start=1):
        assert benefit.cap(float(limit), np.array([value, value])) == 11.5
    benefit.cap(4.0, np.full(2, -50.0))
    assert benefit.cap(5.0, np.full(2, -50.0)) == best


def test_two_standard_errors_are_no_fall_and_a_little_more_is() -> None:
    # Of 9 and 7 the mean is 8, its standard error 1.
    for lower, cap in ((0.0, np.inf), (0.1, 1.0)):
        benefit = Benefit(window=1, patience=1)
        benefit.cap(1.0, np.array([10.0, 10.0]))
        assert benefit.cap(2.0, np.array([9.0, 7.0]) - lower) == cap


def test_a_fall_that_is_small_beside_the_scatter_is_none_and_z_says_what_small_is() -> None:
    rng = np.random.default_rng(17)
    scatter = rng.normal(size=(5, 4))
    for drop, z, steps_back in ((0.4, 2.0, False), (1.6, 2.0, True), (1.6, 8.0, False)):
        benefit = Benefit(window=5, patience=1, z=z)
        for row in scatter:
            assert benefit.cap(1.0, row) == np.inf
        caps = [benefit.cap(2.0, row - drop) for row in scatter]
        assert (min(caps) < np.inf) == steps_back


def test_what_is_built_in_is_what_is_documented() -> None:
    benefit = Benefit()
    assert (benefit._window, benefit._patience, benefit._z) == (5, 10, 2.0)


def test_benefit_does_not_hold_back_what_returns_as_much_as_the_best() -> None:
    benefit = Benefit(window=2, patience=1)
    for limit in range(20):
        assert benefit.cap(float(limit), np.array([1.0, 1.0])) == np.inf


def test_a_governor_with_benefit_goes_no_lower_than_its_floor_and_no_higher_than_the_bound() -> None:
    rng = np.random.default_rng(16)
    for cap, expected in ((0.0, 0.1), (0.3, 0.3), (np.inf, 0.42)):
        governor = TorqueLimitGovernor(GovernorSettings(joints="moved", benefit=True), torque_limit=0.4)
        governor._benefit.cap = lambda limit, returns, cap=cap: cap  # type: ignore[method-assign, union-attr]
        step(governor, evidence(rng, rate=0.0))
        assert governor.torque_limit == pytest.approx(expected)


# What is not known ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("returns", [[], [np.nan, 1.0], [np.inf, 1.0], [-np.inf, 1.0], [1e101, 1.0]])
def test_where_returns_are_not_known_the_limit_does_not_rise_and_nothing_is_remembered(returns) -> None:
    benefit = Benefit(window=2, patience=3)
    benefit.cap(1.0, np.array([10.0, 10.0]))
    before = benefit.memory
    assert benefit.cap(1.5, np.array(returns)) == 1.5
    assert benefit.memory == before and benefit.why == "not raised: the returns of the newest iteration are not known"
    assert benefit.cap(1.5, np.array([10.0, 10.0])) == np.inf and benefit.why == ""
    assert benefit.cap(1.6, np.array([-50.0, -50.0])) == np.inf
    assert benefit.cap(1.6, np.array([-50.0, -50.0])) == 1.25, "held for four iterations"
    assert benefit.cap(1.1, np.array(returns)) == 1.1
    assert benefit.cap(1.3, np.array(returns)) == 1.25, "not above what it is held at"
    assert [benefit.cap(1.2, np.ones(2)) for _ in range(4)] == [1.25] * 3 + [np.inf], "those do not count for the hold"


def test_a_governor_that_does_not_know_the_returns_lowers_the_limit_all_the_same() -> None:
    rng = np.random.default_rng(16)
    for rate, expected in ((0.0, 0.4), (1.0, 0.2)):
        told = evidence(rng, rate=rate)
        rule = GovernorSettings(benefit=True, d_safe=0.2, use_limit_change=False, use_policy_change=False)
        governor = TorqueLimitGovernor(rule, torque_limit=0.4)
        step(governor, replace(told, returns=np.empty(0)))
        assert governor.torque_limit == pytest.approx(expected)
        assert ("not known" in governor.held) == (rate == 0.0), "where the bound itself is lower, it is the reason"


def test_why_says_where_and_for_how_long_the_limit_is_held() -> None:
    benefit = Benefit(window=1, patience=1)
    benefit.cap(0.212, np.ones(2))
    assert benefit.why == ""
    benefit.cap(1.0, np.zeros(2))
    assert benefit.why == "held at 0.212 N·m at most, for 2 more iterations: returns fell when it was higher"
    assert Benefit(benefit.memory).why == benefit.why
    benefit.cap(0.212, np.ones(2))
    assert benefit.why == "held at 0.212 N·m at most, for one more iteration: returns fell when it was higher"
    benefit.cap(0.212, np.ones(2))
    assert benefit.why == ""


# Memory -------------------------------------------------------------------------------------------------------------

ITERATION = st.tuples(
    st.floats(0.01, 10.0), st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=6).filter(lambda r: len(r) != 1)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ITERATION, max_size=60), st.integers(0, 60))
def test_a_rule_that_goes_on_from_its_memory_is_one_that_was_never_cut(iterations, at: int) -> None:
    whole, cut = Benefit(), Benefit()
    for number, (limit, returns) in enumerate(iterations):
        if number == at:
            cut = Benefit(cut.memory)
        assert cut.cap(limit, np.array(returns)) == whole.cap(limit, np.array(returns))
        assert cut.memory == whole.memory and cut.why == whole.why


def test_a_cut_at_every_iteration_of_a_run_that_steps_back_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    whole, cut, limit, held = Benefit(), Benefit(), 0.1, 0
    for _ in range(150):
        returns = -200.0 * np.log(limit / 0.3) ** 2 + rng.normal(size=5)
        cap = whole.cap(limit, returns)
        cut = Benefit(cut.memory)
        assert cut.cap(limit, returns) == cap and cut.memory == whole.memory
        held += np.isfinite(cap)
        limit = min(1.05 * limit, cap)
    assert held > 30, "else nothing was held and nothing shown"


def test_a_governor_goes_on_from_anothers_memory() -> None:
    rng = np.random.default_rng(3)
    rule = GovernorSettings(benefit=True)
    whole = TorqueLimitGovernor(rule)
    assert whole.memory == "" == TorqueLimitGovernor(GovernorSettings()).memory
    for _ in range(12):
        cut = TorqueLimitGovernor(rule, iteration=whole.iteration, torque_limit=whole.torque_limit, memory=whole.memory)
        told = evidence(rng, rate=0.0)
        told = replace(told, returns=rng.normal(size=5) - 100.0 * (whole.iteration > 8))
        step(whole, told)
        step(cut, told)
        assert (cut.torque_limit, cut.memory, cut.held) == (whole.torque_limit, whole.memory, whole.held)
    assert whole.held, "returns fell"


KEPT = {"cap": None, "left": 0, "patience": 10, "best": None, "recent": [[0.1, [1.0, 2.0]]]}


def test_what_is_kept_is_read() -> None:
    assert json.loads(Benefit(json.dumps(KEPT)).memory) == KEPT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("none", "Expecting value"),
        ("[]", "list indices"),
        ("{}", "'cap'"),
        (json.dumps(KEPT | {"left": -1}), "not a whole number from 0"),
        (json.dumps(KEPT | {"left": 0.5}), "not a whole number from 0"),
        (json.dumps(KEPT | {"left": 3}), "a hold at no limit"),
        (json.dumps(KEPT | {"patience": 0}), "not a whole number from 1"),
        (json.dumps(KEPT | {"patience": True}), "not a whole number from 1"),
        (json.dumps(KEPT | {"cap": float("nan")}), "nan is not a number"),
        (json.dumps(KEPT | {"cap": -1.0}), "-1.0 is not a number from 0"),
        (json.dumps(KEPT | {"best": [1.0, 2.0]}), "not enough values"),
        (json.dumps(KEPT | {"best": [1.0, -2.0, 0.1]}), "-2.0 is not a number from 0"),
        (json.dumps(KEPT | {"recent": [[0.1, [float("inf")]]]}), "inf is not a number"),
        (json.dumps(KEPT | {"recent": [[0.1, []]]}), "an iteration without returns"),
        (json.dumps(KEPT | {"recent": [[0.1, [1.0]]] * 6}), "more iterations than the window"),
    ],
    ids=range(15),
)
def test_what_no_rule_wrote_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"expected what a benefit rule remembered.*{why}.*leave it empty"):
        Benefit(text)
