# SPDX-License-Identifier: Apache-2.0
"""The governor: settings that make sense, and a limit that never outruns its evidence."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.limit.torque_limit import (
    GovernorSettings,
    TorqueLimitGovernor,
    limit_change_risk,
    policy_change_risk,
    unfit_update,
)

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


def test_a_lowest_limit_not_below_d_safe_is_refused_and_says_how_to_mend_it():
    with pytest.raises(ValueError, match=r"t_min \(0.5 N·m\) must be below D_safe \(0.5\).*Lower t_min"):
        GovernorSettings(t_min=0.5, d_safe=0.5)
    assert not GovernorSettings(t_min=0.49, d_safe=0.5).minimum_is_unsafe


def test_the_papers_real_robot_settings_need_the_override_and_are_recorded():
    with pytest.raises(ValueError, match="must be below D_safe"):
        GovernorSettings(t_min=1.8, d_safe=1.3)
    overridden = GovernorSettings(t_min=1.8, d_safe=1.3, allow_unsafe_minimum=True)
    assert overridden.minimum_is_unsafe


def test_the_check_follows_the_damage_model():
    GovernorSettings(t_min=0.6, d_safe=0.5, damage="quadratic")  # .36 < .5
    with pytest.raises(ValueError, match="must be below D_safe"):
        GovernorSettings(t_min=0.8, d_safe=0.5, damage="quadratic")


def test_a_fixed_limit_has_no_bound_to_break():
    assert not GovernorSettings(t_min=3.0, t_max=3.0, rule="fixed").minimum_is_unsafe


@pytest.mark.parametrize(
    "change, text",
    [
        ({"d_safe": 0.0}, "d_safe must be finite and > 0"),
        ({"d_safe": math.nan}, "d_safe must be finite"),
        ({"t_min": -1.0}, "t_min must be finite"),
        ({"t_max": math.inf}, "t_max must be finite"),
        ({"t_min": 0.2, "t_max": 0.1}, "is above t_max"),
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


def test_visited_limits_need_not_be_the_one_in_force():
    # After a lost lease some states were visited under T_min.
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
    "change",
    [
        {"iteration": 1},
        {"iteration": -1},
        {"unsafety_rate": math.nan},
        {"unsafety_rate": 1.5},
        {"mean": np.full((2, 2), math.nan)},
        {"stddev": np.zeros((2, 2))},
        {"visited_torque_limit": math.nan},
        {"kl": math.nan},
        {"kl_bound": math.inf},
        {"kl_bound": -1.0},
    ],
)
def test_bad_evidence_is_refused_and_moves_nothing(change):
    governor = TorqueLimitGovernor(GovernorSettings(kl="measured"), torque_limit=0.3)
    with pytest.raises(ValueError):
        update(governor, **change)
    assert (governor.iteration, governor.torque_limit) == (0, 0.3)


@pytest.mark.parametrize("limit, iteration", [(0.05, 0), (3.5, 0), (math.nan, 0), (1.0, -1)])
def test_a_start_out_of_range_is_refused(limit, iteration):
    with pytest.raises(ValueError):
        TorqueLimitGovernor(GovernorSettings(), torque_limit=limit, iteration=iteration)


# Any sequence

RATES = st.one_of(st.floats(0.0, 1.0), st.sampled_from([math.nan, -0.1, 1.1, math.inf]))
KLS = st.one_of(st.floats(0.0, 2.0), st.sampled_from([math.nan, -1.0, math.inf]))
MEANS = st.one_of(st.floats(-5.0, 5.0), st.just(math.nan))
STDDEVS = st.one_of(st.floats(1e-3, 3.0), st.sampled_from([0.0, math.nan]))
SETTINGS = st.builds(
    GovernorSettings,
    d_safe=st.floats(0.2, 2.0),
    t_min=st.floats(0.01, 0.19),
    t_max=st.floats(0.2, 5.0),
    growth=st.floats(1.0, 1.05),
    joints=st.sampled_from(["mean", "any"]),
    use_limit_change=st.booleans(),
    use_policy_change=st.booleans(),
    kl=st.sampled_from(["bound", "measured"]),
    damage=st.sampled_from(["linear", "quadratic"]),
)


@given(SETTINGS, st.lists(st.tuples(RATES, MEANS, STDDEVS, KLS, KLS), max_size=30))
def test_no_sequence_of_evidence_lets_the_limit_outrun_it(settings, evidence):
    governor = TorqueLimitGovernor(settings)
    for rate, mean, stddev, kl, kl_bound in evidence:
        before = (governor.iteration, governor.torque_limit)
        try:
            step = update(
                governor,
                unsafety_rate=rate,
                mean=np.full((2, 2), mean),
                stddev=np.full((2, 2), stddev),
                kl=kl,
                kl_bound=kl_bound,
            )
        except ValueError:
            assert not (
                0.0 <= rate <= 1.0
                and math.isfinite(mean)
                and stddev > 0.0
                and 0.0 <= kl < math.inf
                and 0.0 <= kl_bound < math.inf
            )
            assert (governor.iteration, governor.torque_limit) == before
            continue
        limit = governor.torque_limit
        assert governor.iteration == before[0] + 1
        assert limit <= 1.05 * before[1]
        assert settings.t_min <= limit <= settings.t_max
        damage = limit if settings.damage == "linear" else limit**2
        # At T_min even p' = 1 is within D_safe, so the bound holds without exception.
        assert damage * step.predicted_unsafety_rate <= settings.d_safe * (1.0 + 1e-12)
        assert all(math.isfinite(value) for value in dataclasses.astuple(step))


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
        ({"kl": -1e-12}, None),
    ],
)
def test_an_update_that_says_nothing_about_the_iteration_moves_no_limit(changes, text):
    update = SimpleNamespace(**{"iteration": 5, "version": 6, "steps": 100, "kl": 0.01, "kl_bound": 0.05} | changes)
    refusal = unfit_update(update, 5)
    assert refusal is None if text is None else text in refusal
