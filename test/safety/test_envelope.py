# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked for, what comes out of the envelope is finite, bounded and no faster than allowed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from safe_transfer_ros.safety.envelope import Envelope, EnvelopeSettings, bound_torque
from safe_transfer_ros.safety.reasons import Reason

EFFORT = np.array([30.0, 10.0, 0.5])
ANY_FLOATS = arrays(np.float64, 3, elements=st.floats(width=64))
LIMITS = st.one_of(st.floats(0.0, 50.0), st.sampled_from([math.nan, math.inf, -1.0, 1e-300]))
PERIODS = st.one_of(st.floats(0.0, 0.1), st.sampled_from([math.nan, -1.0, 0.001]))


def apply(envelope, torque, torque_limit=1.0, period_s=0.005):
    out = np.full(3, 7.0)
    reason = envelope.apply(np.array(torque, dtype=float), torque_limit, period_s, out)
    np.testing.assert_array_equal(out, envelope.previous)
    return out, reason


def test_a_torque_inside_every_bound_is_not_touched():
    out, reason = apply(Envelope(EFFORT), [0.5, -0.25, 0.125])
    np.testing.assert_array_equal(out, [0.5, -0.25, 0.125])
    assert reason is Reason.NONE


def test_the_torque_limit_clamps_each_joint_by_itself():
    out, reason = apply(Envelope(EFFORT), [2.0, -3.0, 0.25])
    np.testing.assert_array_equal(out, [1.0, -1.0, 0.25])
    assert reason == Reason.CLAMPED_TORQUE_LIMIT


def test_the_effort_limit_is_told_apart_from_the_torque_limit():
    out, reason = apply(Envelope(EFFORT), [0.0, 0.0, 0.75])
    np.testing.assert_array_equal(out, [0.0, 0.0, 0.5])
    assert reason == Reason.CLAMPED_EFFORT_LIMIT
    assert apply(Envelope(EFFORT), [0.0, 0.0, 2.0])[1] == (Reason.CLAMPED_TORQUE_LIMIT | Reason.CLAMPED_EFFORT_LIMIT)


def test_the_rate_limits_the_change_from_the_torque_before():
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0))
    out, reason = apply(envelope, [1.0, -1.0, 0.1], period_s=0.005)
    np.testing.assert_array_equal(out, [0.5, -0.5, 0.1])
    assert reason == Reason.CLAMPED_TORQUE_RATE
    out, reason = apply(envelope, [1.0, -1.0, 0.1], period_s=0.005)
    np.testing.assert_array_equal(out, [1.0, -1.0, 0.1])
    assert reason is Reason.NONE
    envelope.reset()
    np.testing.assert_array_equal(apply(envelope, [1.0, 0.0, 0.0], period_s=0.005)[0], [0.5, 0.0, 0.0])


def test_a_limit_that_falls_takes_effect_at_once_though_the_rate_would_not_allow_it():
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0))
    envelope.restore(np.array([3.0, -3.0, 0.0]))
    out, reason = apply(envelope, [3.0, 3.0, 0.0], torque_limit=0.4, period_s=0.001)
    # The second joint starts from the new bound, not from where it was, and then moves by 0.1.
    np.testing.assert_allclose(out, [0.4, -0.3, 0.0], rtol=1e-15)
    assert reason == Reason.CLAMPED_TORQUE_LIMIT | Reason.CLAMPED_TORQUE_RATE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_vector_with_one_bad_value_is_dropped_whole(bad):
    envelope = Envelope(EFFORT)
    apply(envelope, [0.5, 0.5, 0.5])
    out, reason = apply(envelope, [0.5, bad, 0.5])
    np.testing.assert_array_equal(out, 0.0)
    assert reason == Reason.PROPOSAL_NOT_FINITE


@given(st.lists(st.tuples(ANY_FLOATS, LIMITS, PERIODS), min_size=1, max_size=8))
def test_finite_bounded_and_no_faster_than_the_rate_whatever_comes(calls):
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0))
    before = np.zeros(3)
    for torque, limit, period in calls:
        out, reason = apply(envelope, torque, limit, period)
        bound = np.minimum(EFFORT, limit if limit > 0.0 else 0.0)
        assert np.isfinite(out).all()
        assert (np.abs(out) <= bound).all()
        change = 100.0 * period if period > 0.0 else 0.0
        inside = np.clip(before, -bound, bound)  # where the old torque lies once the new bound holds
        assert (np.abs(out - inside) <= change * (1 + 1e-12) + 1e-12).all()
        if reason is Reason.NONE:
            np.testing.assert_array_equal(out, torque)
        before = out


@given(
    arrays(np.float64, (5, 3), elements=st.floats(width=64)),
    arrays(np.float64, (5, 3), elements=st.floats(-60.0, 60.0)),
    st.lists(LIMITS, min_size=5, max_size=5),
    st.sampled_from([0.0, 0.005, 0.05, math.nan]),
)
def test_the_batch_gives_the_same_numbers_bit_for_bit(torque, previous, limits, period):
    applied, reasons = bound_torque(torque, previous, np.array(limits), EFFORT, 100.0 * period)
    assert reasons.dtype == np.uint32
    for row in range(5):
        envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0))
        envelope.restore(previous[row])
        reason = envelope.apply(torque[row], limits[row], period)
        np.testing.assert_array_equal(envelope.previous, applied[row])
        assert int(reason) == reasons[row]


def test_one_limit_serves_a_whole_batch():
    torque = np.full((2, 4, 3), 9.0)
    applied, reasons = bound_torque(torque, np.zeros_like(torque), 0.25, EFFORT, math.inf)
    np.testing.assert_array_equal(applied, 0.25)
    np.testing.assert_array_equal(reasons, np.full((2, 4), int(Reason.CLAMPED_TORQUE_LIMIT)))


@pytest.mark.parametrize("effort", [[], [0.0], [-1.0], [math.nan], [[1.0]]])
def test_an_effort_limit_that_is_none_is_refused(effort):
    with pytest.raises(ValueError, match="effort_limit must be"):
        Envelope(np.array(effort))
    with pytest.raises(ValueError, match="effort_limit must be"):
        bound_torque(np.zeros(1), np.zeros(1), 1.0, np.array(effort), 1.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
def test_a_rate_limit_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="torque_rate_limit must be > 0"):
        EnvelopeSettings(torque_rate_limit=rate)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"shape \(3,\), got \(1,\)"):
        Envelope(EFFORT).apply(np.zeros(1), 1.0, 0.005)
    with pytest.raises(ValueError, match="expected torque and previous"):
        bound_torque(np.zeros((2, 3)), np.zeros(3), 1.0, EFFORT, 1.0)
