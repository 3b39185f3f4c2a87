# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked for, what comes out of the envelope is finite, bounded and no faster than allowed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from safe_transfer_ros.safety.filter.envelope import CLAMPS, Envelope, EnvelopeSettings, bound_torque
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.reasons import Reason

EFFORT = np.array([30.0, 10.0, 0.5])
ANY_FLOATS = arrays(np.float64, 3, elements=st.floats(width=64))
LIMITS = st.one_of(st.floats(0.0, 50.0), st.sampled_from([math.nan, math.inf, -1.0, 1e-300]))
PERIODS = st.one_of(st.floats(0.0, 0.1), st.sampled_from([math.nan, -1.0, 0.001]))
# A joint between soft limits, one that turns for ever under a speed limit, one with no soft limit at all.
SOFT = SoftLimits(
    soft_lower=np.array([-1.0, -math.inf, -math.inf]),
    soft_upper=np.array([1.0, math.inf, math.inf]),
    velocity=np.array([2.0, 3.0, 1.0]),
    k_position=np.array([100.0, math.inf, math.inf]),
    k_velocity=np.array([10.0, 1.0, math.inf]),
)
NEAR = st.sampled_from([-1.02, -1.0, -0.99, 0.99, 1.0, 1.02, -3.0, 3.0, 2.0, 0.0])
STATES = st.lists(arrays(np.float64, 3, elements=st.one_of(NEAR, st.floats(width=64))), min_size=2, max_size=2)
FREE = EnvelopeSettings(torque_rate_limit=math.inf)
SCALE = EnvelopeSettings(torque_rate_limit=math.inf, clamp="scale")


def test_the_bounds_of_who_asks_for_none_are_the_documented_ones() -> None:
    assert EnvelopeSettings() == EnvelopeSettings(torque_rate_limit=1000.0, clamp="joint")


def apply(envelope, torque, torque_limit=1.0, period_s=0.005, state=None):
    out = np.full(3, 7.0)
    if state is not None:
        state = tuple(np.array(values, dtype=float) for values in state)
    reason = envelope.apply(np.array(torque, dtype=float), torque_limit, period_s, out, state)
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


def test_a_torque_as_large_as_the_torque_limit_is_within_it():
    envelope = Envelope(np.array([1.0]), settings=FREE)
    assert envelope.apply(np.array([2.0]), 2.0, 0.005) is Reason.CLAMPED_EFFORT_LIMIT


@pytest.mark.parametrize("period_s", [-1e-6, -1.0, math.nan])
def test_time_that_went_back_changes_no_torque(period_s):
    envelope = Envelope(EFFORT, settings=EnvelopeSettings(torque_rate_limit=1000.0))
    envelope.apply(np.full(3, 0.4), 1.0, 0.005)
    for wanted in (0.4, 1.0, -1.0):
        envelope.apply(np.full(3, wanted), 1.0, period_s)
        np.testing.assert_array_equal(envelope.previous, 0.4)


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


# Soft limits


@pytest.mark.parametrize(
    "q, dq, wanted, expected, reason",
    [
        (0.0, 0.0, 3.0, 3.0, Reason.NONE),
        (0.99, 0.9, 3.0, 1.0, Reason.CLAMPED_SOFT_POSITION),  # allowed 1 rad/s, has .9: 10 x .1
        (0.99, 0.9, 0.5, 0.5, Reason.NONE),
        (0.99, 0.9, -3.0, -3.0, Reason.NONE),  # away from it: as asked
        (1.0, 0.0, 3.0, 0.0, Reason.CLAMPED_SOFT_POSITION),
        (1.001, 0.0, 0.0, -1.0, Reason.CLAMPED_SOFT_POSITION),  # beyond: pushed back though nothing was asked
        (1.001, 0.0, -2.0, -2.0, Reason.NONE),
        (-1.001, 0.0, 0.0, 1.0, Reason.CLAMPED_SOFT_POSITION),
        (-1.001, -0.1, -3.0, 2.0, Reason.CLAMPED_SOFT_POSITION),
        (0.0, 1.9, 3.0, 1.0, Reason.CLAMPED_SOFT_VELOCITY),
        (0.0, 2.1, 3.0, -1.0, Reason.CLAMPED_SOFT_VELOCITY),
        (0.0, -2.1, 0.0, 1.0, Reason.CLAMPED_SOFT_VELOCITY),
        (0.0, 50.0, 3.0, -5.0, Reason.CLAMPED_SOFT_VELOCITY),  # no harder than the torque limit
        (9.0, 9.0, -5.0, -5.0, Reason.NONE),
    ],
)
def test_soft_limits_cut_torque_and_turn_it_back(q, dq, wanted, expected, reason):
    envelope = Envelope(EFFORT, FREE, SOFT)
    out, why = apply(envelope, [wanted, 0.0, 0.5], 5.0, state=([q, 50.0, 50.0], [dq, 0.0, 50.0]))
    np.testing.assert_allclose(out, [expected, 0.0, 0.5], atol=1e-12)
    assert why == reason


def test_a_speed_limit_alone_bounds_too():
    envelope = Envelope(EFFORT, FREE, SOFT)
    out, reason = apply(envelope, [0.0, 4.0, 0.0], 5.0, state=([0.0, 1e9, 0.0], [0.0, 2.0, 0.0]))
    np.testing.assert_allclose(out, [0.0, 1.0, 0.0])
    assert reason == Reason.CLAMPED_SOFT_VELOCITY


def test_soft_limits_push_within_the_torque_limit_and_no_faster_than_the_rate():
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0), SOFT)
    envelope.restore(np.array([0.3, 0.0, 0.0]))
    beyond = ([9.0, 0.0, 0.0], [9.0, 0.0, 0.0])
    torques = [apply(envelope, [1.0, 0.0, 0.0], 0.4, state=beyond) for _ in range(3)]
    np.testing.assert_allclose([out[0] for out, _ in torques], [-0.2, -0.4, -0.4])
    assert torques[0][1] == (Reason.CLAMPED_TORQUE_LIMIT | Reason.CLAMPED_SOFT_POSITION | Reason.CLAMPED_TORQUE_RATE)


def test_without_a_state_no_soft_limit_holds():
    out, reason = apply(Envelope(EFFORT, FREE, SOFT), [1.0, 1.0, 0.5])
    np.testing.assert_array_equal(out, [1.0, 1.0, 0.5])
    assert reason is Reason.NONE


def test_without_soft_limits_no_state_matters():
    out, reason = apply(Envelope(EFFORT, FREE), [1.0, 1.0, 0.5], state=([9.0] * 3, [math.nan] * 3))
    np.testing.assert_array_equal(out, [1.0, 1.0, 0.5])
    assert reason is Reason.NONE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_a_state_that_is_not_finite_stops_the_torque_at_the_rate(which, bad):
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0), SOFT)
    apply(envelope, [0.5, 0.5, 0.5])
    state = ([0.0] * 3, [0.0] * 3)
    state[which][2] = bad
    out, reason = apply(envelope, [0.5, 0.5, 0.5], period_s=0.002, state=state)
    np.testing.assert_allclose(out, 0.3)
    assert reason == Reason.JOINT_STATE_NOT_FINITE | Reason.CLAMPED_TORQUE_RATE


# One ratio for the whole vector


@pytest.mark.parametrize(
    "wanted, limit, expected, reason",
    [
        ([0.5, -0.25, 0.125], 1.0, [0.5, -0.25, 0.125], Reason.NONE),
        ([2.0, -1.0, 0.25], 1.0, [1.0, -0.5, 0.125], Reason.CLAMPED_TORQUE_LIMIT),
        ([2.0, -4.0, 0.0], 1.0, [0.5, -1.0, 0.0], Reason.CLAMPED_TORQUE_LIMIT),
        ([2.0, 2.0, 2.0], 9.0, [0.5, 0.5, 0.5], Reason.CLAMPED_EFFORT_LIMIT),
        ([12.0, 3.0, 2.0], 1.0, [1.0, 0.25, 1 / 6], Reason.CLAMPED_TORQUE_LIMIT | Reason.CLAMPED_EFFORT_LIMIT),
        ([2.0, 1.0, 0.25], 0.0, [0.0, 0.0, 0.0], Reason.CLAMPED_TORQUE_LIMIT),
    ],
)
def test_scaling_keeps_the_direction(wanted, limit, expected, reason):
    out, why = apply(Envelope(EFFORT, SCALE), wanted, limit)
    np.testing.assert_allclose(out, expected, rtol=1e-15)
    assert why == reason


@pytest.mark.parametrize(
    "q, dq, wanted, expected",
    [
        # allowed 1 N·m towards the limit of the 4 wanted: a quarter of everything
        (0.99, 0.9, [4.0, 2.0, 0.4], [1.0, 0.5, 0.1]),
        # towards a limit that allows nothing: nothing
        (1.0, 0.0, [4.0, 2.0, 0.4], [0.0, 0.0, 0.0]),
        # beyond, and pushing on: the joint is pushed back, the others get nothing
        (1.001, 0.0, [4.0, 2.0, 0.4], [-1.0, 0.0, 0.0]),
        # beyond, and asking for too little against it: pushed back, the others as asked
        (1.001, 0.0, [-0.5, 2.0, 0.4], [-1.0, 2.0, 0.4]),
        (1.001, 0.0, [0.0, 2.0, 0.4], [-1.0, 2.0, 0.4]),
        # beyond, and coming back by itself
        (1.001, 0.0, [-2.0, 2.0, 0.4], [-2.0, 2.0, 0.4]),
        # beyond, coming back, but scaling down for another's sake must not take the push away
        (1.001, 0.0, [-2.0, 2.0, 2.0], [-1.0, 0.5, 0.5]),
    ],
)
def test_what_scaling_cannot_bring_inside_is_pushed_back_by_itself(q, dq, wanted, expected):
    out, _ = apply(Envelope(EFFORT, SCALE, SOFT), wanted, 5.0, state=([q, 0.0, 0.0], [dq, 0.0, 0.0]))
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_a_push_that_scaling_took_away_has_its_reason():
    _, reason = apply(Envelope(EFFORT, SCALE, SOFT), [-2.0, 2.0, 2.0], 5.0, state=([1.001, 0, 0], [0, 0, 0]))
    assert reason == Reason.CLAMPED_EFFORT_LIMIT | Reason.CLAMPED_SOFT_POSITION


def test_scaling_waits_for_no_other_joint_where_the_rate_is_the_bound():
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0, clamp="scale"))
    envelope.restore(np.array([1.0, -0.2, 0.0]))
    out, reason = apply(envelope, [0.0, 0.0, 0.0])
    np.testing.assert_allclose(out, [0.5, 0.0, 0.0])
    assert reason == Reason.CLAMPED_TORQUE_RATE


# Whatever comes


@given(
    st.lists(st.tuples(ANY_FLOATS, LIMITS, PERIODS, st.one_of(st.none(), STATES)), min_size=1, max_size=8),
    st.sampled_from(CLAMPS),
)
def test_finite_bounded_and_no_faster_than_the_rate_whatever_comes(calls, clamp):
    envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0, clamp=clamp), SOFT)
    before = np.zeros(3)
    for torque, limit, period, state in calls:
        out, reason = apply(envelope, torque, limit, period, state)
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
    arrays(np.float64, (5, 3), elements=st.one_of(st.floats(-40.0, 40.0), st.floats(width=64))),
    arrays(np.float64, (5, 3), elements=st.floats(-60.0, 60.0)),
    st.lists(LIMITS, min_size=5, max_size=5),
    st.lists(STATES, min_size=5, max_size=5),
    st.sampled_from([0.0, 0.005, 0.05, math.nan]),
    st.sampled_from(CLAMPS),
)
def test_the_batch_gives_the_same_numbers_bit_for_bit(torque, previous, limits, states, period, clamp):
    for soft in (None, SOFT):
        position, velocity = np.swapaxes(np.array(states), 0, 1)
        applied, reasons = bound_torque(
            torque,
            previous,
            np.array(limits),
            EFFORT,
            100.0 * period,
            clamp=clamp,
            soft_limits=soft,
            state=(position, velocity),
        )
        assert reasons.dtype == np.uint32
        for row in range(5):
            envelope = Envelope(EFFORT, EnvelopeSettings(torque_rate_limit=100.0, clamp=clamp), soft)
            envelope.restore(previous[row])
            reason = envelope.apply(torque[row], limits[row], period, state=(position[row], velocity[row]))
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
    with pytest.raises(ValueError, match=r"state must be two of shape \(3,\), got \(3,\) and \(2,\)"):
        Envelope(EFFORT, None, SOFT).apply(np.zeros(3), 1.0, 0.005, state=(np.zeros(3), np.zeros(2)))
    with pytest.raises(ValueError, match=r"state must be two of shape \(2, 3\)"):
        bound_torque(
            np.zeros((2, 3)), np.zeros((2, 3)), 1.0, EFFORT, 1.0, soft_limits=SOFT, state=(np.zeros(3), np.zeros(3))
        )


def test_soft_limits_must_be_of_the_same_joints():
    with pytest.raises(ValueError, match="soft limits of 3 joints do not fit 2 joints"):
        Envelope(EFFORT[:2], None, SOFT)
    state = (np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="soft limits of 3 joints do not fit 2 joints"):
        bound_torque(np.zeros(2), np.zeros(2), 1.0, EFFORT[:2], 1.0, soft_limits=SOFT, state=state)


def test_an_unknown_clamp_is_refused():
    with pytest.raises(ValueError, match="clamp must be one of joint, scale, got 'joints'"):
        EnvelopeSettings(clamp="joints")
    with pytest.raises(ValueError, match="clamp must be one of joint, scale, got 'joints'"):
        bound_torque(np.zeros(3), np.zeros(3), 1.0, EFFORT, 1.0, clamp="joints")


@pytest.mark.parametrize("limit", [-0.005, -1.0, math.nan, 0.0])
def test_a_limit_that_is_none_leaves_no_torque(limit):
    out, _ = apply(Envelope(EFFORT, FREE), [1.0, -1.0, 0.1], torque_limit=limit)
    np.testing.assert_array_equal(out, 0.0)
    batch, _ = bound_torque(
        np.array([[1.0, -1.0, 0.1]]), np.zeros((1, 3)), limit, effort_limit=EFFORT, max_change=math.inf
    )
    np.testing.assert_array_equal(batch, 0.0)


def test_a_batch_may_have_any_shape_and_a_change_that_is_none_changes_nothing():
    rng = np.random.default_rng(0)
    torque, previous = rng.normal(size=(2, 4, 2, 3))
    state = (rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, 3)))
    state[0][1, 1] = math.nan
    for clamp in CLAMPS:
        arguments = {"effort_limit": EFFORT, "max_change": 0.5, "clamp": clamp, "soft_limits": SOFT}
        whole, reasons = bound_torque(torque, previous, 0.8, state=state, **arguments)
        for row in range(4):
            part = bound_torque(torque[row], previous[row], 0.8, state=(state[0][row], state[1][row]), **arguments)
            np.testing.assert_array_equal(part[0], whole[row])
            np.testing.assert_array_equal(part[1], reasons[row])
        free, _ = bound_torque(torque, previous, 0.8, **arguments)
        hard, _ = bound_torque(torque, previous, 0.8, **(arguments | {"soft_limits": None}))
        np.testing.assert_array_equal(free, hard, err_msg="without a state no soft limit holds")
    still, _ = bound_torque(torque, np.zeros_like(torque), 0.8, effort_limit=EFFORT, max_change=-0.005)
    np.testing.assert_array_equal(still, 0.0)


@pytest.mark.parametrize("wrong", [0, 1])
def test_each_part_of_a_state_must_fit(wrong):
    state = [np.zeros(3), np.zeros(3)]
    state[wrong] = np.zeros(2)
    with pytest.raises(ValueError, match="state must be two of shape"):
        Envelope(EFFORT, soft_limits=SOFT).apply(np.zeros(3), 1.0, 0.005, state=tuple(state))
    batch = [np.zeros((1, 3)), np.zeros((1, 3))]
    batch[wrong] = np.zeros((1, 2))
    with pytest.raises(ValueError, match="state must be two of shape"):
        bound_torque(
            np.zeros((1, 3)),
            np.zeros((1, 3)),
            1.0,
            effort_limit=EFFORT,
            max_change=1.0,
            soft_limits=SOFT,
            state=tuple(batch),
        )


def test_a_batch_of_other_joints_is_refused():
    with pytest.raises(ValueError, match="expected torque and previous"):
        bound_torque(np.zeros((1, 2)), np.zeros((1, 2)), 1.0, effort_limit=EFFORT, max_change=1.0)
