# SPDX-License-Identifier: Apache-2.0
"""A governor under each rule: the limit obeys what it predicted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_evidence import Shown, evidence, step

from safe_transfer_ros.safety.limit.confidence import betting_upper, conformal_upper, effective_binomial_upper
from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.safety.limit.rules import (
    RATES,
    BettingRate,
    ConformalRate,
    EffectiveSampleRate,
    Evidence,
    limit_move_risk,
    policy_change_risk_per_state,
)
from safe_transfer_ros.safety.limit.torque_limit import limit_change_risk, policy_change_risk
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger

RULES = [
    dict(joints=joints, kl=kl, rate=rate, benefit=benefit)
    for joints in ("mean", "moved")
    for kl in ("bound", "per_state")
    for rate in ("empirical", "effective_sample", "betting", "conformal")
    for benefit in (False, True)
]


def expected_terms(rule, shown: Shown, before: float, after: float) -> list[float]:
    """What is to be counted, each term by its own function; a rate's bound without its memory is left at its least."""
    measured = float(np.mean(np.concatenate(list(shown.unsafe))))
    rate = EffectiveSampleRate().upper(measured, shown) if rule["rate"] == "effective_sample" else measured
    limit = (
        limit_move_risk(shown.shift.mean, shown.shift.stddev, before, after)
        if rule["joints"] == "moved"
        else limit_change_risk(shown.shift.mean, shown.shift.stddev, before)
    )
    policy = policy_change_risk_per_state(shown.shift) if rule["kl"] == "per_state" else policy_change_risk(0.05)
    return [rate, limit, policy]


def test_whatever_the_rule_the_limit_obeys_what_it_predicted() -> None:
    bound = Counter()

    @settings(max_examples=80)
    @given(
        st.sampled_from(RULES),
        st.floats(0.5, 3.0),
        st.integers(0, 2**32),
        st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(-100.0, 100.0)), min_size=3, max_size=8),
    )
    def obeys(rule, start, seed, history) -> None:
        rng = np.random.default_rng(seed)
        governor = TorqueLimitGovernor(GovernorSettings(**rule), torque_limit=start)
        for rate, returns in history:
            before = governor.torque_limit
            shown = evidence(rng, rate=rate, returns=returns)
            done = step(governor, shown)
            after = governor.torque_limit
            assert 0.1 <= after <= 3.0 and after <= 1.05 * before * (1 + 1e-12)
            assert done.predicted_unsafety_rate * after <= 0.5 * (1 + 1e-12)
            predicted = min(1.0, sum(expected_terms(rule, shown, before, after)))
            # "moved" predicts for the limit that it takes, benefit may take a lower one: dp_u1 is that of the former.
            assert rule["benefit"] or done.predicted_unsafety_rate >= predicted * (1 - 1e-12)
            assert rule["benefit"] or predicted * after <= 0.5 * (1 + 1e-12)
            bound[rule["joints"]] += after < min(1.05 * before, 3.0)

    obeys()
    assert min(bound["mean"], bound["moved"]) >= 10, "the bound set the limit, and not the growth or the ceiling"


def test_moved_without_a_bound_would_rise_and_takes_the_largest_step_that_keeps_it() -> None:
    rng = np.random.default_rng(7)
    shown = evidence(rng, rate=0.3)
    rate = float(np.mean(np.concatenate(list(shown.unsafe))))
    now = 1.3
    governor = TorqueLimitGovernor(GovernorSettings(joints="moved"), torque_limit=now)
    done = step(governor, shown)

    def damage(limit: float) -> float:
        risk = limit_move_risk(shown.shift.mean, shown.shift.stddev, now, limit)
        return min(1.0, rate + risk + policy_change_risk(0.05)) * limit

    highest = 1.05 * now
    grid = highest + (0.1 - highest) * np.arange(64) / 64.0
    assert damage(highest) > 0.5, "the bound decides"
    assert governor.torque_limit == next(limit for limit in grid if damage(limit) <= 0.5)
    assert done.limit_change_risk == limit_move_risk(shown.shift.mean, shown.shift.stddev, now, governor.torque_limit)
    dropped = TorqueLimitGovernor(GovernorSettings(joints="moved", use_limit_change=False), torque_limit=now)
    assert step(dropped, shown).limit_change_risk > 0.0, "reported all the same"
    assert dropped.torque_limit > governor.torque_limit


def test_moved_falls_to_the_floor_where_no_step_of_its_grid_keeps_the_bound() -> None:
    # D_safe below the grid's last step above the floor.
    rule = GovernorSettings(joints="moved", d_safe=0.101)
    governor = TorqueLimitGovernor(rule, torque_limit=3.0)
    shown = evidence(np.random.default_rng(8), rate=1.0)
    done = step(governor, shown)
    assert (governor.torque_limit, done.next_torque_limit) == (rule.floor, 0.1)
    assert done.limit_change_risk == limit_move_risk(shown.shift.mean, shown.shift.stddev, 3.0, 0.1)


def test_moved_tries_its_grid_to_the_end_and_what_is_just_allowed_is_allowed() -> None:
    shown = evidence(np.random.default_rng(8), rate=1.0)
    lowest = 3.0 - 2.9 * 63 / 64  # .145 N·m, the last before the floor
    governor = TorqueLimitGovernor(GovernorSettings(joints="moved", d_safe=0.15), torque_limit=3.0)
    step(governor, shown)
    assert governor.torque_limit == pytest.approx(lowest, rel=1e-12)
    governor = TorqueLimitGovernor(GovernorSettings(joints="moved", growth=1.0), torque_limit=0.5)
    step(governor, shown)
    assert governor.torque_limit == 0.5, "p' = 1 at D_safe itself"


def test_moved_stays_below_the_highest_limit_and_leaves_out_what_is_not_counted() -> None:
    calm = evidence(np.random.default_rng(8))
    rule = {"joints": "moved", "use_policy_change": False, "use_limit_change": False}
    governor = TorqueLimitGovernor(GovernorSettings(**rule), torque_limit=2.95)
    step(governor, calm)
    assert governor.torque_limit == 3.0
    # 2.1 x .238 = .4998: allowed, but not with anything added.
    governor = TorqueLimitGovernor(GovernorSettings(**rule), torque_limit=2.0)
    governor.update(
        iteration=0,
        unsafety_rate=0.238,
        mean=calm.shift.mean,
        stddev=calm.shift.stddev,
        visited_torque_limit=2.0,
        kl=0,
        kl_bound=0,
    )
    assert governor.torque_limit == 2.1


def test_the_betting_rate_is_told_of_both_drifts() -> None:
    """What an iteration showed counts for the next one only with dp_u1 + dp_u2 added, counted by the rule or not."""
    told = []

    class Listener(BettingRate):
        def drifted(self, drift: float) -> None:
            told.append(drift)
            super().drifted(drift)

    for version in ({}, {"use_limit_change": False, "use_policy_change": False}):
        for limit, certain in ((0.5, False), (0.1, True)):
            governor = TorqueLimitGovernor(GovernorSettings(rate="betting", **version), torque_limit=limit)
            governor._rate = Listener()
            done = step(governor, evidence(np.random.default_rng(9)))
            assert 0.0 < done.limit_change_risk and 0.0 < done.policy_change_risk
            drift = done.limit_change_risk + done.policy_change_risk
            assert told.pop() == (1.0 if certain else drift) and (drift > 1.0) == certain


def test_a_rate_is_never_below_what_was_measured_nor_its_bound() -> None:
    shown = evidence(np.random.default_rng(14), rate=0.3)
    for kind, bound in (
        (EffectiveSampleRate, effective_binomial_upper(shown.unsafe)),
        (BettingRate, betting_upper(np.array([float(np.mean(episode)) for episode in shown.unsafe]))),
        (ConformalRate, conformal_upper(np.array([float(np.mean(episode)) for episode in shown.unsafe]))),
    ):
        assert kind().upper(0.0, shown) == bound < 0.99
        assert kind().upper(0.99, shown) == 0.99
        assert kind().upper(0.0, None) == 1.0, "nothing is known"


def test_betting_takes_this_iteration_or_this_and_the_one_before_whichever_says_less() -> None:
    rng = np.random.default_rng(15)
    shown = [evidence(rng, rate=rate, states=300) for rate in (0.1, 0.2, 0.3)]
    rates = [np.array([float(np.mean(episode)) for episode in each.unsafe]) for each in shown]
    pooled = BettingRate()
    assert pooled.upper(0.0, shown[0]) == betting_upper(rates[0])
    for now in (1, 2):
        expected = min(betting_upper(rates[now]), betting_upper(np.concatenate([rates[now - 1], rates[now]])))
        assert pooled.upper(0.0, shown[now]) == expected, "no older than one iteration"


def test_what_drifted_is_added_to_every_episode_of_the_past_and_capped_at_one() -> None:
    rates = BettingRate()
    shown = evidence(np.random.default_rng(10), rate=0.4)
    rates.upper(0.0, shown)
    rates.drifted(0.1)
    rates.drifted(0.15)
    measured = np.array([float(np.mean(episode)) for episode in shown.unsafe])
    np.testing.assert_allclose(rates._batches[0], measured + 0.25)
    rates.drifted(1.0)
    np.testing.assert_array_equal(rates._batches[0], np.ones(3))


def test_benefit_only_ever_lowers_the_limit() -> None:
    rng = np.random.default_rng(6)
    plain, choosy = (TorqueLimitGovernor(GovernorSettings(joints="moved", benefit=b)) for b in (False, True))
    for iteration in range(40):
        shown = evidence(rng, returns=-10.0 * iteration)
        step(plain, shown)
        step(choosy, shown)
        assert choosy.torque_limit <= plain.torque_limit
    assert choosy.torque_limit < 0.5 * plain.torque_limit


@pytest.mark.parametrize(
    "rule, missing",
    (
        (dict(rate="betting"), "`evidence`"),
        (dict(rate="conformal"), "`evidence`"),
        (dict(kl="per_state"), "`shift`"),
        (dict(benefit=True), "`evidence`"),
        (dict(prediction="weighted"), "`evidence`"),
    ),
)
def test_a_rule_without_its_evidence_is_refused_and_the_limit_stays(rule, missing) -> None:
    governor = TorqueLimitGovernor(GovernorSettings(**rule))
    arrays = np.zeros((2, 7)), np.ones((2, 7))
    with pytest.raises(ValueError, match=f"needs .*{missing}"):
        governor.update(
            iteration=0, unsafety_rate=0.0, mean=arrays[0], stddev=arrays[1], visited_torque_limit=0.1, kl=0, kl_bound=0
        )
    assert (governor.iteration, governor.torque_limit) == (0, 0.1)


# By importance weights ------------------------------------------------------------------------------------------------


def weighted(rates: list[float]) -> tuple[Shown, Evidence]:
    shown = evidence(np.random.default_rng(20), rate=0.9)
    return shown, Evidence(unsafe=shown.unsafe, returns=shown.returns, weighted_rates=np.array(rates))


def weighted_step(governor: TorqueLimitGovernor, rates: list[float]):
    shown, known = weighted(rates)
    mean, stddev = np.zeros((3, 7)), np.full((3, 7), 0.25)
    given = dict(iteration=governor.iteration, unsafety_rate=0.9, mean=mean, stddev=stddev, kl=0.01, kl_bound=0.05)
    return governor.update(visited_torque_limit=governor.torque_limit, evidence=known, **given)


@pytest.mark.parametrize(
    ("rate", "bound"), [("empirical", np.mean), ("conformal", conformal_upper), ("betting", betting_upper)]
)
def test_weighted_rates_stand_for_the_rate_and_the_change_of_the_policy_and_the_limits_is_added(rate, bound) -> None:
    rates = [0.1, 0.0, 0.3]
    governor = TorqueLimitGovernor(GovernorSettings(prediction="weighted", rate=rate), torque_limit=0.5)
    done = weighted_step(governor, rates)
    assert done.limit_change_risk == limit_change_risk(np.zeros((3, 7)), np.full((3, 7), 0.25), 0.5) > 0.01
    assert done.policy_change_risk == policy_change_risk(0.05), "told, not counted"
    assert done.unsafety_rate == 0.9, "what was measured is told as it was"
    assert done.predicted_unsafety_rate == pytest.approx(bound(np.array(rates)) + done.limit_change_risk)
    assert governor.torque_limit == pytest.approx(min(0.525, 0.5 / done.predicted_unsafety_rate))


def test_where_no_held_out_episode_is_left_nothing_is_shown_to_be_safe() -> None:
    for rate in ("empirical", "conformal", "betting"):
        governor = TorqueLimitGovernor(GovernorSettings(prediction="weighted", rate=rate), torque_limit=0.6)
        assert weighted_step(governor, []).predicted_unsafety_rate == 1.0 and governor.torque_limit == 0.5


def test_weights_are_asked_for_by_name_and_a_refusal_leaves_everything_as_it_was() -> None:
    governor = TorqueLimitGovernor(GovernorSettings(prediction="weighted", rate="betting"), torque_limit=0.5)
    weighted_step(governor, [0.1, 0.2])
    before = governor._rate._batches[0].copy()
    with pytest.raises(ValueError, match="needs the `weighted_rates` of episodes held out"):
        step(governor, evidence(np.random.default_rng(21)))
    assert governor.iteration == 1
    np.testing.assert_array_equal(governor._rate._batches[0], before)


def test_an_earlier_iterations_weighted_rates_are_already_the_updated_policys() -> None:
    """They drift by the limit's change at once, and by the policy's only when it is updated again."""
    governor = TorqueLimitGovernor(GovernorSettings(prediction="weighted", rate="betting"), torque_limit=0.5)
    first = weighted_step(governor, [0.1, 0.2])
    np.testing.assert_allclose(governor._rate._batches[0], np.array([0.1, 0.2]) + first.limit_change_risk)
    told = governor._rate._batches[0] + policy_change_risk(0.05)
    second = weighted_step(governor, [0.0, 0.0])
    pooled = min(betting_upper(np.zeros(2)), betting_upper(np.concatenate([told, np.zeros(2)])))
    assert second.predicted_unsafety_rate == pytest.approx(min(1.0, pooled + second.limit_change_risk))
    np.testing.assert_allclose(governor._rate._batches[0], told + second.limit_change_risk)


@pytest.mark.parametrize("settings", [dict(use_policy_change=False), dict(rate="effective_sample")])
def test_what_weights_have_no_part_in_is_refused(settings) -> None:
    GovernorSettings(**settings)
    with pytest.raises(ValueError, match='prediction "weighted" counts the change of the policy'):
        GovernorSettings(prediction="weighted", **settings)
    with pytest.raises(ValueError, match="prediction must be one of measured, weighted"):
        GovernorSettings(prediction="guessed")


# From the ledger alone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("standstill", "moved"), [("measured", 0), ("unsafe", 0), ("unsafe", 2), ("unsafe", 3)])
@pytest.mark.parametrize("rate", ["conformal", "betting", "effective_sample"])
def test_the_ledger_tells_what_a_bound_on_the_rate_needs(rate: str, standstill: str, moved: int) -> None:
    """With the first episodes' joints in motion, and those of the others not."""
    ledger = UnsafetyLedger(15.0)
    unsafe = ([0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0])
    for episode, series in enumerate(unsafe):
        for index, value in enumerate((0, *series)):
            stamp, last = 100 * episode + index, index == len(series)
            ledger.add_state(stamp, 30.0 * value)
            ledger.add_position(stamp, np.full(7, 0.01 * index * (episode < moved)))
            ledger.add_step(0, episode, stamp, last, np.zeros(7), np.full(7, 0.25), 0.4)
    governor = TorqueLimitGovernor(GovernorSettings(rate=rate, standstill=standstill), torque_limit=0.4)
    done = governor.take(ledger.close(0, 0.4), kl=0.01, kl_bound=0.05)
    still = [standstill == "unsafe" and episode >= moved for episode in range(3)]
    flags = [np.array(series, dtype=bool) | stands for series, stands in zip(unsafe, still, strict=True)]
    told = RATES[rate]().upper(float(np.mean(flags)), Evidence(unsafe=flags, returns=np.empty(0)))
    predicted = min(1.0, told + done.limit_change_risk + done.policy_change_risk)
    assert done.predicted_unsafety_rate == pytest.approx(predicted) and told > 0.25


@pytest.mark.parametrize("settings", [dict(benefit=True), dict(prediction="weighted")])
def test_returns_and_weights_are_not_the_ledgers_to_tell(settings) -> None:
    ledger = UnsafetyLedger(15.0)
    for stamp in range(3):
        ledger.add_state(stamp, 0.0)
        ledger.add_step(0, 0, stamp, stamp == 2, np.zeros(7), np.full(7, 0.25), 0.1)
    with pytest.raises(ValueError, match="needs `evidence`"):
        TorqueLimitGovernor(GovernorSettings(**settings)).take(ledger.close(0, 0.1), kl=0.01, kl_bound=0.05)
