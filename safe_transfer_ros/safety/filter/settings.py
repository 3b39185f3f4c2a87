# SPDX-License-Identifier: Apache-2.0
"""Timeouts and bounds of the safety filter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from safe_transfer_ros.safety.filter.envelope import EnvelopeSettings

TIGHTENABLE = (
    "action_timeout_s",
    "trip_timeout_s",
    "joint_state_timeout_s",
    "frozen_timeout_s",
    "object_timeout_s",
    "object_frozen_timeout_s",
)
"""What may be shortened while the filter runs; nothing may ever be made longer."""


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """Times in seconds on the steady clock; all numbers finite and > 0, stop_damping may be 0.

    Attributes:
      action_timeout_s: Armed without a fresh proposal for longer: HOLDING. Also the oldest state, by stamps,
        that a proposal may answer.
      trip_timeout_s: Armed, still no fresh proposal after this long: TRIPPED; not shorter than action_timeout_s.
      joint_state_timeout_s: Armed without a joint state for longer: TRIPPED. The node allows two and a half periods of
        joint states where that is more, as in lockstep.
      frozen_timeout_s: Armed, torque applied, positions AND velocities bit-identical for longer: TRIPPED. A
        joint that friction holds still under a coarse encoder looks the same; allow for it on such an arm.
      object_timeout_s: Where the task has an object: armed without a pose of it for longer: TRIPPED.
      object_frozen_timeout_s: Armed, torque applied, its poses bit-identical for longer: TRIPPED.
      future_tolerance_s: How far a proposal's stamp may be ahead of the newest joint state's.
      state_period_s: Nominal control period. The torque-rate limit counts the time since the torque before,
        but never more than this, so that a stall does not earn a jump.
      torque_rate_limit: Largest change of a joint's torque, N·m/s.
      clamp: joint: each torque is clamped by itself (PSPT Eq. 11); scale: all by one ratio, so that their direction
        stays, see EnvelopeSettings.
      stop_damping: K_d of a stop torque -K_d dq while HOLDING or TRIPPED, N·m·s/rad; 0: stop torque is zero. Keep it
        below a joint's inertia over state_period_s, or the joint swings. The node does not damp in lockstep.
      stop_damping_time_s: After the last torque of a proposal, damping ends and the torque goes to zero for good.
    """

    action_timeout_s: float = 0.1
    trip_timeout_s: float = 0.5
    joint_state_timeout_s: float = 0.05
    frozen_timeout_s: float = 0.2
    object_timeout_s: float = 0.2
    object_frozen_timeout_s: float = 1.0
    future_tolerance_s: float = 0.01
    state_period_s: float = 0.005
    torque_rate_limit: float = 1000.0
    clamp: str = "joint"
    stop_damping: float = 0.0
    stop_damping_time_s: float = 0.5

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name != "clamp"):
            value = getattr(self, name)
            if not (0.0 < value < math.inf or (name == "stop_damping" and value == 0.0)):
                raise ValueError(f"{name} must be finite and > 0, got {value}")
        _ = self.envelope
        if self.trip_timeout_s < self.action_timeout_s:
            raise ValueError(
                f"trip_timeout_s ({self.trip_timeout_s:g}) must not be shorter than action_timeout_s "
                f"({self.action_timeout_s:g})"
            )

    @property
    def envelope(self) -> EnvelopeSettings:
        """Settings of the envelope."""
        return EnvelopeSettings(torque_rate_limit=self.torque_rate_limit, clamp=self.clamp)


def laxer(old: FilterSettings, new: FilterSettings) -> str | None:
    """Reason to refuse new settings while the filter runs; None when they only shorten timeouts.

    The others must be as they were: a lower torque rate would make every stop slower.
    """
    for name in (field.name for field in fields(new)):
        now, asked = getattr(old, name), getattr(new, name)
        if asked == now:
            continue
        if name not in TIGHTENABLE:
            return f"{name} cannot be changed while the filter runs"
        if asked > now:
            return f"{name} may only be shortened while the filter runs ({now:g} s now, asked for {asked:g} s)"
    return None


def stopping_problem(settings: FilterSettings, ceiling: float) -> str | None:
    """Stop torque obeys the rate limit like any other: one so low that a stop takes long does not protect.

    Args:
      settings: To be judged.
      ceiling: The largest torque there may be, N·m.
    """
    seconds = ceiling / settings.torque_rate_limit
    if seconds <= settings.action_timeout_s:
        return None
    return (
        f"from the ceiling of {ceiling:g} N·m to a stop would take {seconds:.3g} s at torque_rate_limit "
        f"{settings.torque_rate_limit:g} N·m/s; at most action_timeout, {settings.action_timeout_s:g} s, is allowed"
    )
