# SPDX-License-Identifier: Apache-2.0
"""The envelope: what a torque may be, whatever was asked for.

In order: not finite -> zero; clamp to the torque limit (PSPT Eq. 11); clamp to each joint's effort limit;
change no faster than the torque-rate limit. The result is finite and within min(torque limit, effort limit)
ALWAYS, and within `torque_rate_limit * period_s` of the torque before it unless the limit itself fell: a
lower limit takes effect at once, because the bound is what keeps people safe and the rate what keeps gears
smooth.

`Envelope` is the one-robot object for the control loop, `bound_torque` the same rule for a batch; a test
holds that they give the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]

_NOT_FINITE = int(Reason.PROPOSAL_NOT_FINITE)
_TORQUE_LIMIT = int(Reason.CLAMPED_TORQUE_LIMIT)
_EFFORT_LIMIT = int(Reason.CLAMPED_EFFORT_LIMIT)
_TORQUE_RATE = int(Reason.CLAMPED_TORQUE_RATE)
# Building a flag combination costs more than the whole clamp, so the sixteen that can occur are built once.
_REASONS = tuple(Reason(bits) for bits in range(16))


@dataclass(frozen=True, kw_only=True)
class EnvelopeSettings:
    """Bounds that do not follow the torque limit.

    Attributes:
      torque_rate_limit: Largest change of a joint's torque, N·m/s, > 0; infinity switches the bound off.
    """

    torque_rate_limit: float = 1000.0

    def __post_init__(self) -> None:
        if not self.torque_rate_limit > 0.0:
            raise ValueError(f"torque_rate_limit must be > 0 N·m/s, got {self.torque_rate_limit}")


class Envelope:
    """Bounds one robot's torque, cycle after cycle.

    A plain loop over the joints: a numpy call costs as much as a joint here, so for the few joints of an arm
      the
    loop is three to five times as fast as the same rule in numpy, and its time hardly varies. Allocates no
    array.
    """

    def __init__(self, effort_limit: Array, settings: EnvelopeSettings | None = None) -> None:
        """Start from zero torque.

        Args:
          effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0; infinity where a joint has none.
          settings: The remaining bounds.

        Raises:
          ValueError: if an effort limit is NaN or not positive.
        """
        efforts = checked_effort_limit(effort_limit)
        self.settings = settings or EnvelopeSettings()
        self._shape = efforts.shape
        self._efforts: list[float] = efforts.tolist()
        self._zeros = [0.0] * len(self._efforts)
        self._previous = self._zeros
        self._torque_limit = math.nan  # the limit that _bounds were made for
        # Soft position and velocity limits, the next step, narrow these per joint and direction.
        self._bounds = self._efforts

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

    def apply(self, torque: Array, torque_limit: float, period_s: float, out: Array | None = None) -> Reason:
        """Bound one torque vector and remember it as `previous`.

        Args:
          torque: Wanted torque, shape (n_joints,), N·m; any floats whatever.
          torque_limit: Limit in force, N·m; NaN or negative counts as 0.
          period_s: Time since the torque before, s; NaN or negative counts as 0.
          out: Receives the result, shape (n_joints,). Without it, read `previous`.

        Returns:
          Why the result differs from `torque`; NONE when it does not. A vector with a NaN or an infinity is
          not repaired: the whole vector becomes zero, with PROPOSAL_NOT_FINITE.

        Raises:
          ValueError: if the shape is wrong.
        """
        if torque.shape != self._shape:
            raise ValueError(f"torque must have shape {self._shape}, got {torque.shape}")
        if torque_limit != self._torque_limit:
            self._set_torque_limit(torque_limit)
        limit = self._torque_limit
        change = self.settings.torque_rate_limit * period_s
        if not change > 0.0:
            change = 0.0
        wanted: list[float] = torque.tolist()
        bits = 0
        if not all(map(math.isfinite, wanted)):
            wanted = self._zeros
            bits = _NOT_FINITE
        applied = []
        for value, before, bound in zip(wanted, self._previous, self._bounds, strict=True):
            if not -bound <= value <= bound:
                if abs(value) > limit:
                    bits |= _TORQUE_LIMIT
                if bound < limit:
                    bits |= _EFFORT_LIMIT
                value = bound if value > 0.0 else -bound
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

    def _set_torque_limit(self, torque_limit: float) -> None:
        self._torque_limit = float(torque_limit) if torque_limit > 0.0 else 0.0
        self._bounds = [min(self._torque_limit, effort) for effort in self._efforts]


def bound_torque(
    torque: Array,
    previous: Array,
    torque_limit: float | Array,
    effort_limit: Array,
    max_change: float,
) -> tuple[Array, npt.NDArray[np.uint32]]:
    """`Envelope.apply` for a batch, as a pure function with the same numbers.

    Args:
      torque: Wanted torques, shape (..., n_joints), N·m; any floats whatever.
      previous: Torques applied before, same shape, N·m.
      torque_limit: Limit in force, scalar or shape (...), N·m; NaN or negative counts as 0.
      effort_limit: Each joint's own limit, shape (n_joints,), N·m, > 0.
      max_change: torque_rate_limit * period_s, N·m; NaN or negative counts as 0.

    Returns:
      Applied torques, shape (..., n_joints), and reasons, shape (...), uint32.

    Raises:
      ValueError: if shapes do not fit together, or an effort limit is NaN or not positive.
    """
    effort = checked_effort_limit(effort_limit)
    if torque.shape != previous.shape or torque.shape[-1:] != effort.shape:
        raise ValueError(f"expected torque and previous (..., {len(effort)}), got {torque.shape} and {previous.shape}")
    limit = np.asarray(torque_limit, dtype=np.float64)
    limit = np.where(limit > 0.0, limit, 0.0)[..., None]
    change = max_change if max_change > 0.0 else 0.0
    finite = np.isfinite(torque).all(axis=-1, keepdims=True)
    wanted = np.where(finite, torque, 0.0)  # a vector with one bad value is not repaired, it is dropped
    magnitude = np.abs(wanted)
    upper = np.minimum(effort, limit)
    target = np.maximum(np.minimum(wanted, upper), -upper)
    before = np.maximum(np.minimum(previous, upper), -upper)
    applied = np.minimum(np.maximum(target, before - change), before + change)
    reasons = _bit_where(~np.isfinite(torque), _NOT_FINITE)
    reasons |= _bit_where(magnitude > limit, _TORQUE_LIMIT)
    reasons |= _bit_where(np.minimum(magnitude, limit) > effort, _EFFORT_LIMIT)
    reasons |= _bit_where(applied != target, _TORQUE_RATE)
    return applied, reasons


def _bit_where(joints: npt.NDArray[np.bool_], bit: int) -> npt.NDArray[np.uint32]:
    """The bit where any joint of a vector is marked, shape (...)."""
    return np.asarray(joints.any(axis=-1)).astype(np.uint32) * np.uint32(bit)


def checked_effort_limit(effort_limit: Array) -> Array:
    """A float64 copy of the effort limits, shape (n_joints,).

    Raises:
      ValueError: unless it is a vector of at least one value, each > 0 (infinity allowed).
    """
    limits = np.array(effort_limit, dtype=np.float64)
    if limits.ndim != 1 or limits.size == 0 or not (limits > 0.0).all():
        raise ValueError(f"effort_limit must be a vector of values > 0 N·m, got {effort_limit!r}")
    return limits
