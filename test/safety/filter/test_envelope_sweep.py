# SPDX-License-Identifier: Apache-2.0
"""A million hostile vectors: no torque above the bound or the rate, whatever came in.

Torques, torques before, joint states and limits are drawn from what breaks clamps: NaN, infinities, denormals, huge
numbers, both zeros, a bound exactly and one ulp to either side, the torque before plus or minus the allowed change, its
opposite. The promises are checked by expressions of their own, and the one-robot envelope against the batch.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from safe_transfer_ros.safety.filter.envelope import CLAMPS, Envelope, EnvelopeSettings, bound_torque
from safe_transfer_ros.safety.filter.soft_limits import SoftLimits
from safe_transfer_ros.safety.reasons import Reason

VECTORS = 1_000_000
ROWS = 10_000  # a chunk shares effort limits, soft limits and rate
SCALAR_ROWS = 100  # of each chunk, through the one-robot envelope too
N = 7
INF, LARGEST = math.inf, np.finfo(np.float64).max
CHANGES = [5.0, 0.1, 1e-3, 0.0, -1.0, math.nan, INF, INF, 5e-324, 1e300]
SPECIAL_LIMITS = np.array([0.0, -1.0, math.nan, INF, 5e-324, 1e-310, 1e308, 3.0])
BITS = [
    Reason.CLAMPED_TORQUE_LIMIT,
    Reason.CLAMPED_EFFORT_LIMIT,
    Reason.CLAMPED_TORQUE_RATE,
    Reason.PROPOSAL_NOT_FINITE,
]
SOFT_BITS = [Reason.CLAMPED_SOFT_POSITION, Reason.CLAMPED_SOFT_VELOCITY, Reason.JOINT_STATE_NOT_FINITE]
DROPPED = int(Reason.PROPOSAL_NOT_FINITE | Reason.JOINT_STATE_NOT_FINITE)


def hostile(rng, calm, near, bad_rows):
    """Vectors of which a third are `calm`, a third hostile in one joint or so, a third in all; shape (ROWS, N).

    Hostile numbers lie about `near`, a list of arrays that matter, or at the ends of the range; some rows hold NaN or
    an infinity.
    """
    shape = (ROWS, N)
    anchors = np.stack([np.broadcast_to(anchor, shape) for anchor in near])
    anchor = np.take_along_axis(anchors, rng.integers(len(near), size=(1, *shape)), axis=0)[0]
    sign = rng.choice([-1.0, 1.0], size=shape)
    with np.errstate(over="ignore", under="ignore"):
        values = np.choose(
            rng.integers(8, size=shape),
            [
                sign * anchor,
                np.nextafter(sign * anchor, INF),
                np.nextafter(sign * anchor, -INF),
                sign * anchor * rng.uniform(0.0, 2.0, shape),
                np.ldexp(sign, rng.integers(-1080, 1024, size=shape)),
                sign * LARGEST,
                sign * 0.0,
                sign * 5e-324,
            ],
        )
    values = np.where(np.isfinite(values), values, 0.0)
    values = np.where(rng.random(shape) < rng.choice([0.0, 0.15, 1.0], size=(ROWS, 1)), values, calm)
    bad = rng.random(ROWS) < bad_rows
    values[bad, rng.integers(N, size=bad.sum())] = rng.choice([math.nan, INF, -INF], size=bad.sum())
    return values


def any_limits(rng):
    """Effort and soft limits of N joints, some of them absent; and the middle of each joint's travel and half of it."""

    def absent(values, share):
        return np.where(rng.random(N) < share, INF, values)

    effort = np.where(rng.random(N) < 0.02, 5e-324, absent(10.0 ** rng.uniform(-3.0, 2.0, N), 0.2))
    middle, width = rng.normal(size=N), 10.0 ** rng.uniform(-6.0, 1.0, N)
    soft = SoftLimits(
        soft_lower=middle - absent(width, 0.2),
        soft_upper=middle + absent(width, 0.2),
        velocity=absent(10.0 ** rng.uniform(-2.0, 2.0, N), 0.2),
        k_position=absent(10.0 ** rng.uniform(-1.0, 3.0, N), 0.2),
        k_velocity=absent(10.0 ** rng.uniform(-2.0, 2.0, N), 0.2),
    )
    return effort, soft, middle, width


def soft_interval(soft, position, velocity, hard):
    """What the soft limits leave of [-hard, hard], as the PR2's controllers have it; all of it for unknown states."""
    with np.errstate(over="ignore", invalid="ignore"):
        lower = np.clip(-soft.k_position * (position - soft.soft_lower), -soft.velocity, soft.velocity)
        upper = np.clip(-soft.k_position * (position - soft.soft_upper), -soft.velocity, soft.velocity)
        low = np.clip(-soft.k_velocity * (velocity - lower), -hard, hard)
        high = np.clip(-soft.k_velocity * (velocity - upper), -hard, hard)
    known = (np.isfinite(position) & np.isfinite(velocity)).all(axis=1, keepdims=True)
    return np.where(known, low, -hard), np.where(known, high, hard)


def ulp(one, other):
    """What rounding may add, at the larger of two numbers."""
    return np.spacing(np.minimum(np.maximum(np.abs(one), np.abs(other)), LARGEST / 2.0))


def distance(one, other):
    """|one - other|; NaN where either is NaN or both are infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(one - other)


@pytest.mark.parametrize("softened", [False, True])
def test_a_million_hostile_vectors(softened):
    bits = BITS + SOFT_BITS * softened
    occurred = dict.fromkeys(bits, 0)
    seen = untouched = directions = 0
    for chunk in range(VECTORS // ROWS // 4):
        rng = np.random.default_rng((chunk, softened))
        effort, soft, middle, width = any_limits(rng)
        change = CHANGES[chunk % len(CHANGES)]
        limit = np.where(
            rng.random(ROWS) < 0.6,
            10.0 ** rng.uniform(-2.0, 1.0, ROWS),
            rng.choice(np.concatenate([SPECIAL_LIMITS, effort]), ROWS),
        )
        hard = np.minimum(np.minimum(effort, np.where(limit > 0.0, limit, 0.0)[:, None]), LARGEST)
        allowed = change if change > 0.0 else 0.0
        edge = np.where(hard < LARGEST, hard, 1.0)
        noise = rng.normal(size=(4, ROWS, N))
        previous = hostile(rng, 0.3 * edge * noise[0], [edge], 0.0)
        near = [edge, previous, previous + (allowed if allowed < 1e3 else 1.0)]
        torque = hostile(rng, 0.3 * edge * noise[1], near, 0.05)
        position = hostile(rng, middle + 0.1 * width * noise[2], [middle - width, middle + width], 0.03)
        speed = np.where(np.isfinite(soft.velocity), soft.velocity, 1.0)
        slow = 0.1 * np.minimum(speed, np.where(np.isfinite(soft.k_position), soft.k_position, 1.0) * width)
        velocity = hostile(rng, slow * noise[3], [speed], 0.03)
        limits = soft if softened else None
        start = np.clip(previous, -hard, hard)
        low, high = soft_interval(soft, position, velocity, hard) if softened else (-hard, hard)
        inside = ((low <= torque) & (torque <= high)).all(axis=1)
        inside &= (distance(torque, start) <= allowed - 4.0 * ulp(start, allowed)).all(axis=1)
        if softened:
            inside &= np.isfinite(position).all(axis=1) & np.isfinite(velocity).all(axis=1)

        for clamp in CLAMPS:
            applied, reasons = bound_torque(
                torque, previous, limit, effort, change, clamp=clamp, soft_limits=limits, state=(position, velocity)
            )
            assert np.isfinite(applied).all()
            assert (np.abs(applied) <= hard).all()
            assert (distance(applied, start) <= allowed + ulp(start, applied)).all()
            dropped = (reasons & DROPPED > 0)[:, None]
            if math.isinf(allowed):
                assert ((low <= applied) & (applied <= high) | dropped).all()
            else:  # the rate may keep the torque outside, but not lead it away
                gap, after = (distance(values, np.clip(values, low, high)) for values in (start, applied))
                assert ((after <= gap) | dropped).all()
            # Nothing is changed without a reason, and nothing that was inside is touched.
            same = (applied == torque).all(axis=1)
            assert (same | (reasons != 0)).all()
            assert (same | ~inside).all()
            if clamp == "scale" and math.isinf(allowed):
                directions += check_direction(torque, applied, low, high, reasons)

            rate = change if change > 0.0 else 1.0
            envelope = Envelope(effort, EnvelopeSettings(torque_rate_limit=rate, clamp=clamp), limits)
            for row in range(SCALAR_ROWS):
                envelope.restore(previous[row])
                state = (position[row], velocity[row])
                reason = envelope.apply(torque[row], limit[row], 1.0 if change > 0.0 else change, state=state)
                assert (envelope.previous == applied[row]).all()
                assert int(reason) == reasons[row]
            seen += ROWS
            untouched += np.count_nonzero(same)
            for bit in bits:
                occurred[bit] += np.count_nonzero(reasons & np.uint32(bit))
    # All of it has been tried, and often enough.
    assert seen == VECTORS // 2
    assert min(*occurred.values(), untouched, directions) > seen // 200


def check_direction(torque, applied, low, high, reasons):
    """Where zero lies within every bound, the result is the wanted vector times the largest ratio there is.

    Returns:
      Of how many vectors this was asked.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        size, got = np.abs(torque).max(axis=1), np.abs(applied).max(axis=1)
        # Ratios of numbers at the ends of the range have no digits left.
        judged = (reasons & DROPPED == 0) & (size < 1e100) & (got > 1e-100) & ((low <= 0.0) & (high >= 0.0)).all(axis=1)
        unit, result = torque / size[:, None], applied / got[:, None]
        sign = np.sign(np.take_along_axis(unit * result, np.abs(unit).argmax(axis=1)[:, None], axis=1))
        parallel = np.abs(unit - sign * result).max(axis=1) < 1e-12
        at_bound = np.isclose(applied, low, rtol=1e-12) | np.isclose(applied, high, rtol=1e-12)
        largest = (applied == torque).all(axis=1) | (at_bound & (applied != 0.0)).any(axis=1)
    assert (parallel & (sign[:, 0] > 0) & largest)[judged].all()
    return int(judged.sum())
