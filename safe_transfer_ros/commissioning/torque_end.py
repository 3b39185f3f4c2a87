# SPDX-License-Identifier: Apache-2.0
"""Check of what ends a torque that the controller leaves: the arm's hardware, or the controller that follows."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.commissioning.directions import roomier_direction
from safe_transfer_ros.commissioning.step import Bench, Failed, Result

JOINT = 0
"""The one that carries all others: a torque that is held drives it least."""

LOOK_SECONDS = 0.2


def torque_end(bench: Bench) -> Result:
    """Commands stop under a torque: the hardware ends it, or the fallback controller takes over and holds the arm."""
    arm, limits = bench.arm, bench.timeouts
    if not limits.hardware and not limits.fallback:
        return "not needed: neither hardware_timeout nor fallback_controller is configured", {}
    what = f"controller {limits.fallback} must take over" if limits.fallback else "the arm's hardware must end it"
    direction = roomier_direction(bench, JOINT)
    bench.confirmed(
        f"{arm.robot.joint_names[JOINT]} is pushed, with {limits.torque_limit:g} N·m at most, and the filter is "
        f"stopped under the torque: {what}. If not, the arm is driven on: HAND ON THE EMERGENCY STOP."
    )
    ended = False
    bench.free()
    try:
        rest, torque = _pushed(bench, direction)
        began = time.monotonic()
        arm.stall("safety_filter", True)
        took = _taken_over(bench, began) if limits.fallback else _ended(bench, rest, began)
        ended = True
    finally:
        arm.stall("safety_filter", False)
        if not ended:
            arm.free()  # a controller that is active again begins with zero
        arm.rest()
    how = f"{limits.fallback} took over" if limits.fallback else "the hardware ended it"
    return f"{how} {1e3 * took:.0f} ms after the last command of {torque:.2g} N·m", {
        "took_s": round(took, 4),
        "torque_nm": round(torque, 4),
    }


def _pushed(bench: Bench, direction: float) -> tuple[npt.NDArray[np.float64], float]:
    """Push until the arm measures it; its effort before, shape (n_joints,), N·m, and the torque."""
    arm, limits = bench.arm, bench.timeouts
    wanted = np.zeros_like(arm.position)
    bench.push(lambda time_s: wanted)
    arm.wait(LOOK_SECONDS)
    rest, start = arm.effort.copy(), bench.position()
    if not np.isfinite(rest).all():
        raise Failed("joint_states tell no effort, so it is not seen whether a torque ends: leave hardware_timeout off")
    size = 0.0
    while size < limits.torque_limit:
        size = min(max(2.0 * size, 2.0 * limits.rest_tolerance), limits.torque_limit)
        wanted[JOINT] = direction * size
        if arm.until(lambda: bool(abs(arm.effort[JOINT] - rest[JOINT]) > limits.rest_tolerance), LOOK_SECONDS):
            return rest, size
        if arm.tripped or not float(np.abs(arm.position - start).max()) <= bench.settings.push_stop:
            raise Failed(arm.says if arm.tripped else "the arm moved before it measured a torque: lower rest_tolerance")
    raise Failed(
        f"with {limits.torque_limit:g} N·m the arm measures nothing beyond rest_tolerance "
        f"({limits.rest_tolerance:g} N·m): raise safety_filter.reset_torque_limit for this step"
    )


def _ended(bench: Bench, rest: npt.NDArray[np.float64], began: float) -> float:
    """Time until the arm measured what it did at rest, s."""
    arm, limits = bench.arm, bench.timeouts
    bound = limits.command + limits.hardware + bench.settings.watchdog_slack

    def at_rest() -> bool:
        return bool((np.abs(arm.effort - rest) <= limits.rest_tolerance).all())  # false for NaN

    if arm.until(at_rest, bound):
        return time.monotonic() - began
    joint = int(np.argmax(np.abs(arm.effort - rest)))
    raise Failed(
        f"{arm.robot.joint_names[joint]} still measures {arm.effort[joint] - rest[joint]:+.2g} N·m beyond rest "
        f"{bound:.2f} s after the last command: no timeout of {limits.hardware:g} s, and a torque is held"
    )


def _taken_over(bench: Bench, began: float) -> float:
    """Time until the fallback controller had the arm, which it must hold then, s."""
    arm, limits, settings = bench.arm, bench.timeouts, bench.settings
    if not arm.until(lambda: arm.taken_over, limits.command + settings.watchdog_slack):
        raise Failed(f"{limits.fallback} did not take over: {arm.says}")
    took = time.monotonic() - began
    arm.wait(settings.push_settling)
    start = bench.position()
    if arm.until(lambda: not float(np.abs(arm.position - start).max()) <= settings.sag_limit, settings.gravity_time):
        joint = int(np.argmax(np.abs(arm.position - start)))
        raise Failed(f"{limits.fallback} took over and does not hold the arm: {arm.robot.joint_names[joint]} moved")
    return took
