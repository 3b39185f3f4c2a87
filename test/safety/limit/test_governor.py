# SPDX-License-Identifier: Apache-2.0
"""The governor: settings that make sense, and a limit that follows from its evidence."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor, unfit_update
from safe_transfer_ros.safety.limit.rules import Evidence, PolicyShift
from safe_transfer_ros.safety.limit.torque_limit import limit_change_risk, policy_change_risk
from safe_transfer_ros.safety.limit.unsafety import LedgerTotals

MEAN = np.array([[0.02, -0.05], [0.06, 0.01]])
STDDEV = np.full((2, 2), 0.04)


def update(governor, **changes):
    arguments = {
        "iteration": governor.iteration,
        "unsafety_rate": 0.2,
        "mean": MEAN,
        "stddev": STDDEV,
        "visited_torque_limit": governor.torque_limit,
        "kl": 0.03,
        "kl_bound": 0.05,
    }
    return governor.update(**arguments | changes)


# Settings


def test_a_start_above_d_safe_is_refused_and_says_how_to_fix_it():
    text = r"initial_torque_limit \(0.51 N·m\) must not be above D_safe \(0.5\).*Lower initial_torque_limit"
    with pytest.raises(ValueError, match=text):
        GovernorSettings(initial_torque_limit=0.51, d_safe=0.5)
    assert not GovernorSettings(initial_torque_limit=0.5, d_safe=0.5).start_is_unsafe


def test_the_papers_real_robot_settings_need_the_override_and_fall_to_d_safe_when_all_is_unsafe():
    with pytest.raises(ValueError, match="must not be above D_safe"):
        GovernorSettings(initial_torque_limit=1.8, d_safe=1.3)
    overridden = GovernorSettings(initial_torque_limit=1.8, d_safe=1.3, allow_unsafe_start=True)
    assert overridden.start_is_unsafe and overridden.floor == 1.3
    governor = TorqueLimitGovernor(overridden)
    assert governor.torque_limit == 1.8
    step = update(governor, unsafety_rate=1.0)
    assert step.predicted_unsafety_rate == 1.0
    assert (step.torque_limit, step.next_torque_limit, governor.torque_limit) == (1.8, 1.3, 1.3)
    assert step.expected_damage == 1.8, "the override's price is on record"


def test_the_start_is_held_against_the_damage_model():
    GovernorSettings(initial_torque_limit=0.7, d_safe=0.5, damage="quadratic")  # .49 < .5
    with pytest.raises(ValueError, match="must not be above D_safe"):
        GovernorSettings(initial_torque_limit=0.72, d_safe=0.5, damage="quadratic")


def test_a_fixed_limit_has_no_bound_to_break():
    assert not GovernorSettings(initial_torque_limit=3.0, t_max=3.0, rule="fixed").start_is_unsafe


def test_the_floor_is_the_smaller_of_start_and_what_d_safe_allows_unless_it_is_lower():
    assert GovernorSettings(initial_torque_limit=0.2, d_safe=0.5).floor == 0.2
    overridden = GovernorSettings(initial_torque_limit=1.8, d_safe=0.5, damage="quadratic", allow_unsafe_start=True)
    assert overridden.floor == math.sqrt(0.5)
    lower = GovernorSettings(initial_torque_limit=0.2, torque_limit_floor=0.05)
    assert lower.floor == 0.05
    # D_safe .5 is above the start: without a floor of its own the limit would never fall below it.
    assert update(TorqueLimitGovernor(lower), unsafety_rate=1.0).next_torque_limit == pytest.approx(0.21)


@pytest.mark.parametrize(
    "floor, start, d_safe",
    [(0.11, 0.1, 0.5), (1.31, 1.8, 1.3), (-0.001, 0.1, 0.5), (math.nan, 0.1, 0.5), (math.inf, 0.1, 0.5)],
)
def test_a_floor_that_hides_the_bound_or_the_start_is_refused(floor, start, d_safe):
    with pytest.raises(ValueError, match="torque_limit_floor must be in"):
        GovernorSettings(torque_limit_floor=floor, initial_torque_limit=start, d_safe=d_safe, allow_unsafe_start=True)


def test_settings_at_the_edge_will_do():
    assert GovernorSettings(growth=1.0).growth == 1.0
    assert GovernorSettings(t_max=0.1).t_max == GovernorSettings().initial_torque_limit
    assert GovernorSettings(d_safe=0.001, initial_torque_limit=0.001, t_max=0.001).floor == 0.001
    assert GovernorSettings(torque_limit_floor=0.1).floor == 0.1


def test_the_paper_needs_three_numbers_and_what_goes_beyond_the_ledger_needs_evidence():
    for told in ({}, {"kl": "measured", "joints": "any"}, {"rate": "betting"}, {"rate": "conformal"}):
        assert not GovernorSettings(**told).needs_evidence
    for rule in ({"benefit": True}, {"prediction": "weighted"}):
        assert GovernorSettings(**rule).needs_evidence and not GovernorSettings(**rule).needs_shift
    assert GovernorSettings(kl="per_state").needs_shift and not GovernorSettings(kl="per_state").needs_evidence


def test_a_governor_starts_where_it_is_told_unless_the_limit_is_fixed():
    for limit in (0.1, 1.0, 3.0):
        assert TorqueLimitGovernor(GovernorSettings(), torque_limit=limit).torque_limit == limit
    assert TorqueLimitGovernor(GovernorSettings(rule="fixed"), torque_limit=1.0).torque_limit == 3.0


def test_the_danger_of_breaking_loose_begins_above_d_safe():
    governor = TorqueLimitGovernor(GovernorSettings(damage="quadratic"), torque_limit=1.0)
    assert not governor.may_break_loose(0.5)
    assert governor.may_break_loose(0.501)
    assert not TorqueLimitGovernor(GovernorSettings(rule="fixed")).may_break_loose(1.0), "it has no bound"


def test_settings_are_taken_from_a_runs_parameters_by_their_names_there():
    parameters = {
        "initial_torque_limit": 0.2,
        "torque_limit_floor": 0.15,
        "torque_limit_max": 2.0,
        "limit_rule": "fixed",
    }
    settings = GovernorSettings.of(parameters | {"d_safe": 0.4, "seed": 3})
    assert settings == GovernorSettings(
        initial_torque_limit=0.2, torque_limit_floor=0.15, t_max=2.0, rule="fixed", d_safe=0.4
    )


@pytest.mark.parametrize(
    "change, text",
    [
        ({"d_safe": 0.0}, "d_safe must be finite and > 0"),
        ({"d_safe": math.nan}, "d_safe must be finite"),
        ({"initial_torque_limit": -1.0}, "initial_torque_limit must be finite"),
        ({"initial_torque_limit": math.inf}, "initial_torque_limit must be finite"),
        ({"t_max": math.inf}, "t_max must be finite"),
        ({"initial_torque_limit": 0.2, "t_max": 0.1}, "is above t_max"),
        ({"growth": 1.06}, "growth must be in"),
        ({"growth": 0.99}, "growth must be in"),
        ({"growth": math.nan}, "growth must be in"),
        ({"joints": "all"}, "joints must be one of mean, any, moved; got 'all'"),
        ({"rule": "free"}, "rule must be one of"),
        ({"kl": "guess"}, "kl must be one of"),
        ({"damage": "cubic"}, "damage must be one of"),
    ],
)
def test_settings_are_checked(change, text):
    with pytest.raises(ValueError, match=text):
        GovernorSettings(**change)


# One step


def test_a_step_reports_what_it_was_made_from():
    governor = TorqueLimitGovernor(GovernorSettings(), torque_limit=0.2, iteration=4)
    step = update(governor)
    assert step.iteration == 4
    assert step.limit_change_risk == limit_change_risk(MEAN, STDDEV, 0.2, "mean")
    assert step.policy_change_risk == policy_change_risk(0.05)
    assert step.predicted_unsafety_rate == pytest.approx(
        0.2 + step.limit_change_risk + step.policy_change_risk, rel=1e-12
    )
    assert step.expected_damage == pytest.approx(0.2 * 0.2)
    assert (step.torque_limit, step.next_torque_limit) == (0.2, pytest.approx(0.21))
    assert (governor.iteration, governor.torque_limit) == (5, step.next_torque_limit)


def test_the_ledgers_totals_are_the_evidence():
    totals = LedgerTotals(
        iteration=0,
        unsafety_rate=0.2,
        standstill_rate=0.7,
        unsafe_periods={0.5: 1, 0.6: 2},
        unsafe=(np.zeros(5, dtype=bool),),
        stood_still=(True,),
        periods=10,
        states=10,
        missing=0,
        overflowed=False,
        unsafety_mean=1.0,
        unsafety_max=2.0,
        mean=MEAN,
        stddev=STDDEV,
        torque_limit=np.array([0.5, 0.6]),
        lowered=0,
        limited=np.array([False, True]),
        observation=np.zeros((2, 0)),
    )
    evidence = Evidence(unsafe=[np.arange(5) < 4, np.arange(5) < 1], returns=np.zeros(2))
    shift = PolicyShift(mean=MEAN, stddev=STDDEV, mean_after=MEAN + 0.01, stddev_after=STDDEV)
    for rule in ({}, {"standstill": "unsafe"}, {"kl": "per_state"}, {"rate": "betting"}, {"rate": "conformal"}):
        for limit_change in (None, 0.3):
            taken, updated = (TorqueLimitGovernor(GovernorSettings(**rule), torque_limit=0.6) for _ in range(2))
            expected = update(
                updated,
                visited_torque_limit=totals.torque_limit,
                limit_change=limit_change,
                standstill_rate=0.7,
                evidence=evidence,
                shift=shift,
                damage=(1 * 0.5 + 2 * 0.6) / 10,
            )
            step = taken.take(totals, kl=0.03, kl_bound=0.05, limit_change=limit_change, evidence=evidence, shift=shift)
            assert step == expected
            assert step.expected_damage == pytest.approx(0.17)


def test_visited_limits_need_not_be_the_one_in_force():
    # After a lost lease some states were visited under the floor.
    step = update(TorqueLimitGovernor(GovernorSettings()), visited_torque_limit=np.array([0.1, 0.3]))
    assert step.limit_change_risk == limit_change_risk(MEAN, STDDEV, np.array([0.1, 0.3]))


@pytest.mark.parametrize("joints", ["mean", "any"])
@pytest.mark.parametrize(
    "version, counted",
    [
        ({}, ("limit", "policy")),
        ({"use_limit_change": False}, ("policy",)),  # v2
        ({"use_policy_change": False}, ("limit",)),  # v3
        ({"use_limit_change": False, "use_policy_change": False}, ()),  # v4
    ],
)
def test_ablations_drop_their_term_and_only_that(version, counted, joints):
    step = update(TorqueLimitGovernor(GovernorSettings(joints=joints, **version)))
    terms = {"limit": limit_change_risk(MEAN, STDDEV, 0.1, joints), "policy": policy_change_risk(0.05)}
    assert step.limit_change_risk == terms["limit"] and step.policy_change_risk == terms["policy"]
    assert step.predicted_unsafety_rate == pytest.approx(0.2 + sum(terms[name] for name in counted), rel=1e-12)


def test_the_measured_divergence_can_replace_its_bound_but_never_hide_behind_it():
    assert update(TorqueLimitGovernor(GovernorSettings(kl="measured"))).policy_change_risk == policy_change_risk(0.03)
    governor = TorqueLimitGovernor(GovernorSettings(kl="bound"))
    assert update(governor, kl=0.2).policy_change_risk == policy_change_risk(0.2)


def test_rule_fixed_stays_at_the_highest_limit_and_reports_the_damage():
    governor = TorqueLimitGovernor(GovernorSettings(rule="fixed"))
    assert governor.torque_limit == 3.0
    for _ in range(3):
        step = update(governor, unsafety_rate=0.9)
        assert (step.torque_limit, step.next_torque_limit) == (3.0, 3.0)
        assert step.expected_damage == pytest.approx(2.7)


def test_damage_is_in_the_models_unit():
    governor = TorqueLimitGovernor(GovernorSettings(damage="quadratic"), torque_limit=2.0)
    assert update(governor).expected_damage == pytest.approx(0.2 * 4.0)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"iteration": 1}, "expected evidence of iteration 0, got 1"),
        ({"iteration": -1}, "expected evidence of iteration 0, got -1"),
        ({"unsafety_rate": math.nan}, "must be in .0, 1., got nan"),
        ({"unsafety_rate": 1.5}, "must be in .0, 1., got 1.5"),
        ({"mean": np.full((2, 2), math.nan)}, "every mean must be finite"),
        ({"stddev": np.zeros((2, 2))}, "every stddev must be finite and > 0"),
        ({"visited_torque_limit": math.nan}, "every torque_limit must be finite and > 0"),
        ({"kl": math.nan}, "kl must be finite and >= 0, got nan"),
        ({"kl_bound": math.inf}, "kl must be finite and >= 0, got inf"),
        ({"kl_bound": -1.0}, "kl must be finite and >= 0, got -1"),
        ({"limit_change": math.nan}, "limit_change must be in .0, 1., got nan"),
        ({"limit_change": 1.1}, "limit_change must be in .0, 1., got 1.1"),
    ],
)
def test_bad_evidence_is_refused_and_moves_nothing(change, text):
    governor = TorqueLimitGovernor(GovernorSettings(kl="measured"), torque_limit=0.3)
    with pytest.raises(ValueError, match=text):
        update(governor, **change)
    assert (governor.iteration, governor.torque_limit) == (0, 0.3)


@pytest.mark.parametrize(
    "limit, iteration, text",
    [
        (0.099, 0, "starting limit 0.099 is not in"),
        (3.01, 0, "starting limit 3.01 is not in"),
        (math.nan, 0, "starting limit nan is not in"),
        (1.0, -1, "iteration must be >= 0, got -1"),
    ],
)
def test_a_start_out_of_range_is_refused(limit, iteration, text):
    with pytest.raises(ValueError, match=text):
        TorqueLimitGovernor(GovernorSettings(), torque_limit=limit, iteration=iteration)


# What the next limit is made of, where the bound decides it


@pytest.mark.parametrize("joints", ["mean", "any"])
@pytest.mark.parametrize(
    "version, counted",
    [
        ({}, ("limit", "policy")),
        ({"use_limit_change": False}, ("policy",)),  # v2
        ({"use_policy_change": False}, ("limit",)),  # v3
        ({"use_limit_change": False, "use_policy_change": False}, ()),  # v4
    ],
)
def test_the_next_limit_is_d_safe_over_the_sum_of_what_is_counted(version, counted, joints):
    governor = TorqueLimitGovernor(GovernorSettings(joints=joints, **version), torque_limit=2.9)
    wide = np.full((2, 2), 2.0)  # dp_u1 of about .15
    step = update(governor, unsafety_rate=0.3, stddev=wide)
    terms = {"limit": limit_change_risk(MEAN, wide, 2.9, joints), "policy": policy_change_risk(0.05)}
    assert min(terms.values()) > 0.1
    predicted = 0.3 + sum(terms[name] for name in counted)
    assert predicted < 1.0 and 0.5 / predicted < 1.05 * 2.9, "the bound decides"
    assert governor.torque_limit == pytest.approx(0.5 / predicted, rel=1e-12)
    assert governor.torque_limit == step.next_torque_limit


def test_the_larger_of_the_two_divergences_decides_the_next_limit_unless_the_measured_one_is_asked_for():
    for rule, kl, used in (
        ("bound", 0.03, 0.05),
        ("bound", 0.2, 0.2),
        ("measured", 0.03, 0.03),
        ("measured", 0.2, 0.2),
    ):
        governor = TorqueLimitGovernor(GovernorSettings(kl=rule), torque_limit=2.0)
        step = update(governor, unsafety_rate=0.4, limit_change=0.1, kl=kl)
        assert step.policy_change_risk == policy_change_risk(used)
        assert governor.torque_limit == pytest.approx(0.5 / (0.5 + policy_change_risk(used)), rel=1e-12)


@pytest.mark.parametrize("use", [True, False])
def test_a_measured_effect_of_the_limit_takes_the_place_of_the_computed_one(use):
    governor = TorqueLimitGovernor(GovernorSettings(use_limit_change=use, use_policy_change=False), torque_limit=2.0)
    # What is not used need not be there: a policy of motions has no distribution of torques.
    step = update(governor, unsafety_rate=0.4, limit_change=0.2, mean=np.empty((0, 0)), stddev=np.empty((0, 0)))
    assert step.limit_change_risk == 0.2, "reported, counted or not"
    assert step.predicted_unsafety_rate == pytest.approx(0.6 if use else 0.4, rel=1e-12)
    assert governor.torque_limit == pytest.approx(0.5 / (0.6 if use else 0.4), rel=1e-12)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({}, None),
        (
            {"version": 2**64 - 1},
            "expected iteration 5 and version 6, got iteration 5 and version 184467",
        ),
        ({"version": 5}, "expected iteration 5"),
        ({"iteration": 4}, "expected iteration 5"),
        ({"iteration": 6, "version": 7}, "expected iteration 5"),
        ({"steps": 0}, "no step was learned from"),
        ({"kl": math.nan}, "kl must be finite"),
        ({"kl": -0.1}, "kl must be finite and >= 0, got -0.1"),
        ({"kl_bound": math.inf}, "kl_bound must be finite"),
        ({"kl": -0.005}, "kl must be finite and >= 0, got -0.005"),
        ({"kl": -1e-12}, None),
    ],
)
def test_an_update_that_says_nothing_about_the_iteration_moves_no_limit(changes, text):
    update = SimpleNamespace(**{"iteration": 5, "version": 6, "steps": 100, "kl": 0.01, "kl_bound": 0.05} | changes)
    refusal = unfit_update(update, 5)
    assert refusal is None if text is None else text in refusal
