# SPDX-License-Identifier: Apache-2.0
"""Promises on the filter's commands that must hold at every moment. Pure functions of what was observed.

The bound on the torque is not the filter's own word: it is the limit that the monitor granted, for as long as it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.faults.proposals import STEP_TORQUE

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

_MS = 1_000_000
_LATEST_S = 0.5  # a lease that outlives its end by more is not late, it is ignored
_EXACT = 1e-9  # N·m; sums of floats, nothing more


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bounds that the filter was configured with.

    Attributes:
      effort_limit: Each joint's own limit, shape (n_joints,), N·m.
      lowest_limit: The floor that a lost lease falls back to, N·m.
      rate: Torque-rate limit, N·m/s.
      period_s: Nominal time between two commands, s: the most that the rate limit counts.
      freshness_s: Longest time from the last good proposal to stop torque, s.
      lease_grace_s: Longest time from the end of a lease to torques within the floor, s.
    """

    effort_limit: Array
    lowest_limit: float
    rate: float
    period_s: float
    freshness_s: float
    lease_grace_s: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Grants:
    """Torque limits granted, in order of time.

    Attributes:
      times: When each was sent, shape (n,), ns.
      limits: Its limit, shape (n,), N·m.
      iterations: Its iteration, shape (n,).
      lease_s: How long each is valid, s.
    """

    times: Times
    limits: Array
    iterations: Times
    lease_s: float

    def highest(self, time_ns: int, lowest: float, grace_s: float) -> float:
        """The highest limit that may be in force at a time, N·m: of the newest grant alive, or the lowest."""
        alive = (self.times <= time_ns) & (self.times + round((self.lease_s + grace_s) * 1e9) >= time_ns)
        return float(self.limits[alive].max()) if alive.any() else lowest


def broken(
    times: Times, torques: Sequence[npt.ArrayLike], bounds: Bounds, grants: Grants, good_proposals: Times | None
) -> tuple[list[str], list[str]]:
    """Every promise that a stream of commands broke.

    Args:
      times: Receipt of each command, shape (n,), ns.
      torques: The commands as they came, n vectors of any length, N·m.
      bounds: What the filter was configured with.
      grants: Limits that the monitor sent.
      good_proposals: When each good proposal was sent, shape (k,), ns; None where proposals are not stand-ins'.

    Returns:
      Sentences about bounds, and sentences about time, which a stall of the machine may explain; one of each sort.
    """
    n_joints = len(bounds.effort_limit)
    shapes = {np.shape(torque) for torque in torques}
    if shapes - {(n_joints,)}:
        return [f"a command had the shape {sorted(shapes - {(n_joints,)})[0]}"], []
    if not torques:
        return [], []
    values = np.array(torques, dtype=np.float64)
    if not np.isfinite(values).all():
        return ["a torque was not finite"], []
    found = _bounded(times, values, bounds, grants, grace_s=_LATEST_S) + _smooth(values, bounds)
    late = [] if found else _bounded(times, values, bounds, grants, grace_s=bounds.lease_grace_s)
    if good_proposals is None:
        return found, late
    return found + _as_proposed(values), late + _fresh(times, values, bounds, good_proposals)


def _bounded(times: Times, values: Array, bounds: Bounds, grants: Grants, *, grace_s: float) -> list[str]:
    """Within the limits, where a grant may outlive its lease by some grace."""
    limits = np.array([grants.highest(int(t), bounds.lowest_limit, grace_s) for t in times])
    allowed = np.minimum(limits[:, None], bounds.effort_limit)
    over = np.abs(values) - allowed
    if (over <= _EXACT).all():
        return []
    row, joint = np.unravel_index(np.argmax(over), over.shape)
    return [
        f"torque {values[row, joint]:.6g} N·m on joint {joint}, allowed {allowed[row, joint]:.6g} "
        f"({np.count_nonzero((over > _EXACT).any(axis=1))} commands)"
    ]


def _smooth(values: Array, bounds: Bounds) -> list[str]:
    """No change above the rate limit times a period, but towards zero into a limit that fell."""
    before, after = values[:-1], values[1:]
    most = bounds.rate * bounds.period_s + _EXACT
    jump = (np.abs(after - before) > most) & ~((np.abs(after) < np.abs(before)) & (np.sign(after) == np.sign(before)))
    if not jump.any():
        return []
    return [f"a torque changed by {np.abs(after - before)[jump].max():.6g} N·m at once, allowed {most:.6g}"]


def _as_proposed(values: Array) -> list[str]:
    """Between the first and the last joint a torque is what a good proposal asked for, or on its way there."""
    places = np.arange(1, values.shape[1] - 1)
    inner = values[:, 1:-1]
    wrong = (inner < -_EXACT) | (inner > STEP_TORQUE * places + _EXACT)
    last = values[:, -1]
    if wrong.any() or (last < -_EXACT).any() or (last > STEP_TORQUE).any():
        return [f"a torque that no good proposal asked for: {values[wrong.any(axis=1) | (last > STEP_TORQUE)][:1]}"]
    return []


def _fresh(times: Times, values: Array, bounds: Bounds, good_proposals: Times) -> list[str]:
    """No torque longer after the last good proposal than allowed."""
    moving = times[values.any(axis=1)]
    if not moving.size:
        return []
    index = np.searchsorted(good_proposals, moving, side="right") - 1
    if (index < 0).any():
        return ["torque before any proposal"]
    age_ms = (moving - good_proposals[index]) / _MS
    if age_ms.max() <= bounds.freshness_s * 1e3:
        return []
    return [f"torque {age_ms.max():.1f} ms after the last good proposal, allowed {bounds.freshness_s * 1e3:.0f}"]


def safe_from(times: Times, safe: npt.NDArray[np.bool_]) -> int | None:
    """Receipt of the first command from which on all are safe, ns; None if the last one is not."""
    if not safe.size or not safe[-1]:
        return None
    unsafe = np.flatnonzero(~safe)
    return int(times[unsafe[-1] + 1 if unsafe.size else 0])
