# SPDX-License-Identifier: Apache-2.0
"""The governor over any sequence of evidence, good and bad: the limit never outruns it."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_transfer_ros.safety.limit.governor import GovernorSettings, TorqueLimitGovernor
from safe_transfer_ros.safety.limit.torque_limit import limit_change_risk, policy_change_risk

GOOD = (st.floats(0.0, 1.0), st.floats(-5.0, 5.0), st.floats(1e-3, 3.0), st.floats(0.0, 2.0), st.floats(0.0, 2.0))
BAD = (
    [math.nan, -0.1, 1.1, math.inf],
    [math.nan],
    [0.0, math.nan],
    [math.nan, -1.0, math.inf],
    [math.nan, -1.0, math.inf],
)
ANY = (good | st.sampled_from(bad) for good, bad in zip(GOOD, BAD, strict=True))
EVIDENCE = st.lists(st.one_of(st.tuples(*GOOD), st.tuples(*GOOD), st.tuples(*ANY)), min_size=5, max_size=30)
SETTINGS = st.builds(
    GovernorSettings,
    d_safe=st.floats(0.2, 2.0),
    initial_torque_limit=st.floats(0.02, 0.19),
    torque_limit_floor=st.sampled_from([0.0, 0.01, 0.02]),
    t_max=st.floats(0.2, 5.0),
    growth=st.floats(1.0, 1.05),
    joints=st.sampled_from(["mean", "any"]),
    use_limit_change=st.booleans(),
    use_policy_change=st.booleans(),
    kl=st.sampled_from(["bound", "measured"]),
    damage=st.sampled_from(["linear", "quadratic"]),
)


def test_no_sequence_of_evidence_lets_the_limit_outrun_it():
    seen = Counter()

    @hypothesis.settings(max_examples=200)
    @given(SETTINGS, st.floats(0.5, 1.0), EVIDENCE)
    def no_sequence(settings, start, evidence):
        low, high = settings.floor, settings.t_max
        walk(settings, low * (high / low) ** start, evidence, seen)

    no_sequence()
    # Without these the property would say nothing: the bound, and not the growth or the ceiling, set the limit.
    assert seen["bound"] > 50 and seen["bound by p_u alone"] < 0.7 * seen["bound"] and seen["growth"] > 50


def walk(settings, start, evidence, seen):
    governor = TorqueLimitGovernor(settings, torque_limit=min(max(start, settings.floor), settings.t_max))
    for rate, mean, stddev, kl, kl_bound in evidence:
        before = (governor.iteration, governor.torque_limit)
        try:
            step = governor.update(
                iteration=governor.iteration,
                unsafety_rate=rate,
                mean=np.full((2, 2), mean),
                stddev=np.full((2, 2), stddev),
                visited_torque_limit=governor.torque_limit,
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
        assert settings.floor <= limit <= settings.t_max
        # The terms once more, each by its own function, and not what the step says they were.
        terms = [rate]
        if settings.use_limit_change:
            terms.append(limit_change_risk(np.full((2, 2), mean), np.full((2, 2), stddev), before[1], settings.joints))
        if settings.use_policy_change:
            terms.append(policy_change_risk(max(kl, kl_bound) if settings.kl == "bound" else kl))
        predicted = min(1.0, sum(terms))
        assert step.predicted_unsafety_rate == pytest.approx(predicted, rel=1e-12)
        damage = limit if settings.damage == "linear" else limit**2
        # At the floor even p' = 1 is within D_safe, so the bound holds without exception.
        assert damage * predicted <= settings.d_safe * (1.0 + 1e-12)
        assert all(math.isfinite(value) for value in dataclasses.astuple(step))
        grown = min(settings.growth * before[1], settings.t_max)
        if limit < grown:
            assert damage * predicted == pytest.approx(settings.d_safe, rel=1e-9), "no lower than the bound asks for"
            seen["bound"] += 1
            seen["bound by p_u alone"] += damage * rate >= settings.d_safe * (1.0 - 1e-9)
        else:
            seen["growth"] += 1
