# SPDX-License-Identifier: Apache-2.0
"""The envelope: bounds of every torque, for any proposal.

In this order, the later winning where they cannot all be had:

1. not finite -> zero;
2. into the torque limit (PSPT Eq. 11) and each joint's effort limit;
3. into the soft limits (soft_limits.py), which may ask for torque against a joint that is too fast or too far;
4. no further from the torque before than the torque-rate limit allows;
5. within min(torque limit, effort limit), ALWAYS.

Soft limits push within the hard bounds, and no faster than the rate: a joint state is a measurement, and one wrong
value in it must not make a torque jump. A falling torque limit does override the rate, because the bound is what keeps
people safe and the rate what keeps gears smooth.

`Envelope` is the one-robot object for the control loop, `bound_torque` the same rule for a batch; a test
holds that they give the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.soft_limits import SoftLimits, soft_effort_bounds, soft_velocity_bounds
from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]
State = tuple[Array, Array]
"""Joint positions, rad, and velocities, rad/s, of one shape (..., n_joints)."""

CLAMPS = ("joint", "scale")

# Without any bound, what a soft limit asks for at an absurd speed would be infinite.
_LARGEST = float(np.finfo(np.float64).max)

_NOT_FINITE = int(Reason.PROPOSAL_NOT_FINITE)
_STATE_NOT_FINITE = int(Reason.JOINT_STATE_NOT_FINITE)
_TORQUE_LIMIT = int(Reason.CLAMPED_TORQUE_LIMIT)
_EFFORT_LIMIT = int(Reason.CLAMPED_EFFORT_LIMIT)
_TORQUE_RATE = int(Reason.CLAMPED_TORQUE_RATE)
_SOFT_POSITION = int(Reason.CLAMPED_SOFT_POSITION)
_SOFT_VELOCITY = int(Reason.CLAMPED_SOFT_VELOCITY)
_OWN = (_NOT_FINITE, _STATE_NOT_FINITE, _TORQUE_LIMIT, _EFFORT_LIMIT, _TORQUE_RATE, _SOFT_POSITION, _SOFT_VELOCITY)
# Building a flag combination costs more than the whole clamp, so all that can occur are built once.
_COMBINATIONS = [sum(bit for place, bit in enumerate(_OWN) if some >> place & 1) for some in range(1 << len(_OWN))]
_REASONS = {bits: Reason(bits) for bits in _COMBINATIONS}


@dataclass(frozen=True, kw_only=True)
class EnvelopeSettings:
    """Bounds that do not follow the torque limit.

    Attributes:
      torque_rate_limit: Largest change of a joint's torque, N·m/s, > 0; infinity switches the bound off.
      clamp: "joint": each torque is clamped by itself, as in PSPT. "scale": all of them are multiplied by the one
        ratio in [0, 1] that brings every joint inside, so that the direction stays. A joint that must be pushed back
        while the proposal pushes it on makes that ratio zero; what has to push back is then clamped by itself. The
        rate limit is each joint's own in both, so that none waits for another to stop.
    """

    torque_rate_limit: float = 1000.0
    clamp: str = "joint"

    def __post_init__(self) -> None:
        if not self.torque_rate_limit > 0.0:
            raise ValueError(f"torque_rate_limit must be > 0 N·m/s, got {self.torque_rate_limit}")
        if self.clamp not in CLAMPS:
            raise ValueError(f"clamp must be one of {', '.join(CLAMPS)}, got '{self.clamp}'")


class Envelope:
    """Bounds one robot's torque, cycle after cycle.

    Plain loops over the joints: a numpy call costs as much as a joint here, so for the few joints of an arm a loop is
    several times as fast as the same rule in numpy, and its time hardly varies. Allocates no array.
    """

    def __init__(
        self, effort_limit: Array, settings: EnvelopeSettings | None = None, soft_limits: SoftLimits | None = None
    ) -> None:
        """Start from zero torque.

        Args:
          effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0; infinity where a joint has none.
          settings: The remaining bounds.
          soft_limits: Of the same joints; without them none hold.

        Raises:
          ValueError: if an effort limit is NaN or not positive, or the soft limits are of other joints.
        """
        efforts = checked_effort_limit(effort_limit)
        self.settings = settings or EnvelopeSettings()
        self._scale = self.settings.clamp == "scale"
        self._shape = efforts.shape
        self._efforts: list[float] = efforts.tolist()
        self._zeros = [0.0] * len(self._efforts)
        self._previous = self._zeros
        self._torque_limit = math.nan  # the limit that _bounds were made for
        self._bounds = self._efforts
        self._soft: list[tuple[float, ...]] | None = None
        if soft_limits is not None:
            _check_joints(soft_limits, efforts)
            self._soft = soft_limits.rows()

    @property
    def previous(self) -> Array:
        """The torque applied last, shape (n_joints,), N·m; a copy."""
        return np.array(self._previous)

    def reset(self) -> None:
        """The torque before the next one is zero."""
        self._previous = self._zeros

    def restore(self, previous: Array) -> None:
        """Take `previous`, shape (n_joints,), as the torque before the next one, N·m, finite."""
        self._previous = previous.tolist()

    def apply(
        self,
        torque: Array,
        torque_limit: float,
        period_s: float,
        out: Array | None = None,
        state: State | None = None,
    ) -> Reason:
        """Bound one torque vector and remember it as `previous`.

        Args:
          torque: Wanted torque, shape (n_joints,), N·m; any floats whatever.
          torque_limit: Limit in force, N·m; NaN or negative counts as 0.
          period_s: Time since the torque before, s; NaN or negative counts as 0.
          out: Receives the result, shape (n_joints,). Without it, read `previous`.
          state: Position and velocity, shape (n_joints,) each; any floats whatever. Without it the soft limits do not
            hold: for torque that asks for nothing.

        Returns:
          Why the result differs from `torque`; NONE when it does not. A vector with a NaN or an infinity is
          not repaired: the whole vector becomes zero, with PROPOSAL_NOT_FINITE; so it does, with
          JOINT_STATE_NOT_FINITE, where soft limits have such a state to go by.

        Raises:
          ValueError: if a shape is wrong.
        """
        if torque.shape != self._shape:
            raise ValueError(f"torque must have shape {self._shape}, got {torque.shape}")
        if torque_limit != self._torque_limit:
            self._set_torque_limit(torque_limit)
        change = self.settings.torque_rate_limit * period_s
        if not change > 0.0:
            change = 0.0
        wanted: list[float] = torque.tolist()
        bits = 0
        if not all(map(math.isfinite, wanted)):
            wanted, bits = self._zeros, _NOT_FINITE
        position: list[float] | None = None
        velocity: list[float] = self._zeros
        if state is not None and self._soft is not None:
            position, velocity = self._measured(state)
            if not (all(map(math.isfinite, position)) and all(map(math.isfinite, velocity))):
                position, wanted, bits = None, self._zeros, bits | _STATE_NOT_FINITE
        target, clamped = self._clamp(wanted, position, velocity)
        if clamped and self._scale:
            ratio = _ratio(wanted, target)
            target, pushed = self._clamp([ratio * value for value in wanted], position, velocity)
            clamped |= pushed
        bits |= clamped
        applied = []
        for value, before, bound in zip(target, self._previous, self._bounds, strict=True):
            # A limit that fell pulls the torque before inside first: the bound wins over the rate.
            if before > bound:
                before = bound
            elif before < -bound:
                before = -bound
            if value > before + change:
                value = before + change
                bits |= _TORQUE_RATE
            elif value < before - change:
                value = before - change
                bits |= _TORQUE_RATE
            applied.append(value)
        self._previous = applied
        if out is not None:
            out[:] = applied
        return _REASONS[bits]

    # Unrolled so that the lower soft bound costs nothing where the upper one has cut; a function for both is slower.
    def _clamp(
        self, wanted: list[float], position: list[float] | None, velocity: list[float]
    ) -> tuple[list[float], int]:
        """Each torque into its joint's own bounds, and why; into the soft ones too where a position is given."""
        limit = self._torque_limit
        bits = 0
        target = []
        for value, bound in zip(wanted, self._bounds, strict=True):
            if not -bound <= value <= bound:
                if abs(value) > limit:
                    bits |= _TORQUE_LIMIT
                if bound < limit:
                    bits |= _EFFORT_LIMIT
                value = bound if value > 0.0 else -bound
            target.append(value)
        if position is None or self._soft is None:
            return target, bits
        softened = []
        for value, bound, soft, q, dq in zip(target, self._bounds, self._soft, position, velocity, strict=True):
            soft_lower, soft_upper, speed, k_position, k_velocity = soft
            fastest = k_position * (soft_upper - q)
            if fastest > speed:
                fastest = speed
            elif fastest < -speed:
                fastest = -speed
            upper = k_velocity * (fastest - dq)
            if value > upper:
                if upper < -bound:
                    upper = -bound
                if value > upper:
                    bits |= _SOFT_POSITION if fastest < speed else _SOFT_VELOCITY
                softened.append(upper)
                continue
            fastest = k_position * (soft_lower - q)
            if fastest > speed:
                fastest = speed
            elif fastest < -speed:
                fastest = -speed
            lower = k_velocity * (fastest - dq)
            if value < lower:
                if lower > bound:
                    lower = bound
                if value < lower:
                    bits |= _SOFT_POSITION if fastest > -speed else _SOFT_VELOCITY
                value = lower
            softened.append(value)
        return softened, bits

    def _measured(self, state: State) -> tuple[list[float], list[float]]:
        position, velocity = state
        if position.shape != self._shape or velocity.shape != self._shape:
            raise ValueError(f"state must be two of shape {self._shape}, got {position.shape} and {velocity.shape}")
        return position.tolist(), velocity.tolist()

    def _set_torque_limit(self, torque_limit: float) -> None:
        self._torque_limit = float(torque_limit) if torque_limit > 0.0 else 0.0
        self._bounds = [min(self._torque_limit, effort, _LARGEST) for effort in self._efforts]


def _ratio(wanted: list[float], inside: list[float]) -> float:
    """The largest factor in [0, 1] that takes no wanted torque beyond where its clamp left it; 0 where none can."""
    ratio = 1.0
    for value, clamped in zip(wanted, inside, strict=True):
        if value != 0.0 and clamped / value < ratio:
            ratio = clamped / value
    return max(ratio, 0.0)


def bound_torque(
    torque: Array,
    previous: Array,
    torque_limit: float | Array,
    effort_limit: Array,
    max_change: float,
    *,
    clamp: str = "joint",
    soft_limits: SoftLimits | None = None,
    state: State | None = None,
) -> tuple[Array, npt.NDArray[np.uint32]]:
    """`Envelope.apply` for a batch, as a pure function with the same numbers.

    Args:
      torque: Wanted torques, shape (..., n_joints), N·m; any floats whatever.
      previous: Torques applied before, same shape, N·m.
      torque_limit: Limit in force, scalar or shape (...), N·m; NaN or negative counts as 0.
      effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0.
      max_change: torque_rate_limit * period_s, N·m; NaN or negative counts as 0.
      clamp: "joint" or "scale", see EnvelopeSettings.
      soft_limits: Soft limits; they hold where a state is given too.
      state: Positions and velocities, same shape as torque; any floats whatever.

    Returns:
      Applied torques, shape (..., n_joints), and reasons, shape (...), uint32.

    Raises:
      ValueError: if shapes do not fit together, an effort limit is NaN or not positive, or the clamp is unknown.
    """
    effort = checked_effort_limit(effort_limit)
    if torque.shape != previous.shape or torque.shape[-1:] != effort.shape:
        raise ValueError(f"expected torque and previous (..., {len(effort)}), got {torque.shape} and {previous.shape}")
    if clamp not in CLAMPS:
        raise ValueError(f"clamp must be one of {', '.join(CLAMPS)}, got '{clamp}'")
    limit = np.asarray(torque_limit, dtype=np.float64)
    limit = np.where(limit > 0.0, limit, 0.0)[..., None]
    change = max_change if max_change > 0.0 else 0.0
    reasons = _bit_where(~np.isfinite(torque), _NOT_FINITE)
    usable = reasons == 0
    bounds = _Bounds(limit, effort)
    if soft_limits is not None and state is not None:
        _check_joints(soft_limits, effort)
        known = bounds.soften(soft_limits, state, torque.shape)
        reasons |= np.where(known, 0, _STATE_NOT_FINITE).astype(np.uint32)
        usable &= known
    wanted = np.where(usable[..., None], torque, 0.0)  # a vector with one bad value is not repaired, it is dropped
    target, clamped = bounds.clamp(wanted)
    reasons |= clamped
    if clamp == "scale":
        with np.errstate(over="ignore"):
            ratios = np.divide(target, wanted, out=np.ones_like(wanted), where=wanted != 0.0)
        ratio = np.maximum(np.minimum(ratios.min(axis=-1, keepdims=True), 1.0), 0.0)
        target, pushed = bounds.clamp(ratio * wanted)
        reasons |= pushed
    before = np.maximum(np.minimum(previous, bounds.hard), -bounds.hard)
    with np.errstate(over="ignore"):
        applied = np.minimum(np.maximum(target, before - change), before + change)
    reasons |= _bit_where(applied != target, _TORQUE_RATE)
    return applied, reasons


class _Bounds:
    """The bounds of a batch of torques, and the clamp into them."""

    def __init__(self, limit: Array, effort: Array) -> None:
        self.hard = np.minimum(np.minimum(effort, limit), _LARGEST)
        self._limit, self._effort = limit, effort
        self._soft: tuple[Array, Array] | None = None

    def soften(self, limits: SoftLimits, state: State, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Narrow the bounds by the soft limits; return a mask, shape (...), of the finite states that did so."""
        position, velocity = state
        if position.shape != shape or velocity.shape != shape:
            raise ValueError(f"state must be two of shape {shape}, got {position.shape} and {velocity.shape}")
        known = np.asarray((np.isfinite(position) & np.isfinite(velocity)).all(axis=-1))
        position, velocity = (np.where(known[..., None], values, 0.0) for values in state)
        slowest, fastest = soft_velocity_bounds(limits, position)
        lower, upper = soft_effort_bounds(limits, velocity, slowest, fastest)
        # What is not known pushes nothing.
        self._soft = np.where(known[..., None], lower, -np.inf), np.where(known[..., None], upper, np.inf)
        self._by_position = slowest > -limits.velocity, fastest < limits.velocity
        return known

    def clamp(self, wanted: Array) -> tuple[Array, npt.NDArray[np.uint32]]:
        """`Envelope._clamp` for a batch."""
        magnitude = np.abs(wanted)
        target = np.maximum(np.minimum(wanted, self.hard), -self.hard)
        reasons = _bit_where(magnitude > self._limit, _TORQUE_LIMIT)
        reasons |= _bit_where(np.minimum(magnitude, self._limit) > self._effort, _EFFORT_LIMIT)
        if self._soft is None:
            return target, reasons
        lower, upper = (np.maximum(np.minimum(bound, self.hard), -self.hard) for bound in self._soft)
        raised, lowered = target < lower, target > upper
        for moved, by_position in zip((raised, lowered), self._by_position, strict=True):
            reasons |= _bit_where(moved & by_position, _SOFT_POSITION)
            reasons |= _bit_where(moved & ~by_position, _SOFT_VELOCITY)
        return np.minimum(np.maximum(target, lower), upper), reasons


def _bit_where(joints: npt.NDArray[np.bool_], bit: int) -> npt.NDArray[np.uint32]:
    """The bit where any joint of a vector is marked, shape (...)."""
    return np.asarray(np.multiply(joints.any(axis=-1), bit, dtype=np.uint32))


def _check_joints(soft_limits: SoftLimits, effort_limit: Array) -> None:
    if soft_limits.velocity.shape != effort_limit.shape:
        raise ValueError(f"soft limits of {len(soft_limits.velocity)} joints do not fit {len(effort_limit)} joints")


def checked_effort_limit(effort_limit: Array) -> Array:
    """A float64 copy of the effort limits, shape (n_joints,).

    Raises:
      ValueError: unless it is a vector of at least one value, each > 0 (infinity allowed).
    """
    limits = np.array(effort_limit, dtype=np.float64)
    if limits.ndim != 1 or limits.size == 0 or not (limits > 0.0).all():
        raise ValueError(f"effort_limit must be a vector of values > 0 N·m, got {effort_limit!r}")
    return limits
