# SPDX-License-Identifier: Apache-2.0
"""Checks that the arm is stopped: by the button, and by the silence of each of our processes."""

from __future__ import annotations

import time

import numpy as np

from safe_transfer_ros.commissioning.step import Bench, Failed, Result
from safe_transfer_ros.safety.reasons import Reason, describe


def e_stop(bench: Bench) -> Result:
    """Check that the button stops the arm and that the stop is reported."""
    arm, seconds = bench.arm, bench.settings.e_stop_wait
    bench.confirmed("The controller becomes active at zero torque, for the test of the emergency stop.")
    _alive(bench)
    bench.operator.tell(f"PRESS the emergency stop now (within {seconds:g} s).")
    arm.until(lambda: arm.tripped or arm.phase != "active", seconds)
    if not (arm.tripped or arm.phase != "active"):
        arm.rest()
        raise Failed(
            f"nothing came of it within {seconds:g} s: the emergency stop is not wired, neither to safety_filter/e_stop"
            " nor so that the state of the hardware tells of it"
        )
    # Filter and supervisor both tell of it; either may be the first.
    arm.until(lambda: bool(arm.cause & Reason.OPERATOR_STOP), 0.5)
    how = "over safety_filter/e_stop" if arm.cause & Reason.OPERATOR_STOP else arm.says or describe(arm.cause)
    arm.rest()
    bench.operator.tell(
        f"RELEASE it, and make the arm ready again as its manual says (acknowledge the stop, unlock, power): within "
        f"{seconds:g} s its hardware component must be active. Its controller stays as it is."
    )
    if not arm.until(lambda: not arm.reset() and arm.phase == "inactive" and "ready" in arm.says, seconds):
        raise Failed(f"the arm did not become ready again within {seconds:g} s: {arm.says}")
    return f"it stopped the arm: {how}", {"how": how}


def watchdog(bench: Bench) -> Result:
    """Silence of the policy, of the filter, of the supervisor: each alone ends the torque, in time."""
    arm, limits, slack = bench.arm, bench.timeouts, bench.settings.watchdog_slack
    bench.confirmed("The controller becomes active at zero torque; our processes are stopped one after the other.")
    measured: dict[str, object] = {}

    def timed(what: str, ended: object, bound: float) -> None:
        began = time.monotonic()
        came = arm.until(ended, bound + max(1.0, 10.0 * slack))  # type: ignore[arg-type]
        took = time.monotonic() - began
        measured[f"{what}_s"] = round(took, 4)
        if not came or took > bound + slack:
            raise Failed(
                f"{what}: {'stopped after' if came else 'not stopped within'} {took:.3f} s, allowed are {bound:g} s "
                f"and {slack:g} s for the machine"
            )

    try:
        _alive(bench)
        arm.push(None)
        timed("policy silent", lambda: arm.holding or arm.tripped, limits.action)
        _alive(bench)
        arm.stall("safety_filter", True)
        timed("filter silent", lambda: arm.phase == "inactive", limits.command)
        arm.stall("safety_filter", False)
        if not arm.until(lambda: arm.tripped, 2.0):
            raise Failed("the filter went on without permission after it had been silent")
        _alive(bench)
        arm.stall("controller_supervisor", True)
        timed("supervisor silent", lambda: arm.tripped, limits.permission)
        if not arm.cause & Reason.NO_PERMISSION:
            raise Failed(f"the filter stopped for another reason: {describe(arm.cause)}")
    finally:
        arm.stall("safety_filter", False)
        arm.stall("controller_supervisor", False)
        arm.rest()
    if not arm.until(lambda: arm.phase == "inactive", 5.0):
        raise Failed(f"the controller is not known to be inactive: {arm.says}")
    times = ", ".join(f"{name.removesuffix('_s')} {1e3 * float(value):.0f} ms" for name, value in measured.items())  # type: ignore[arg-type]
    return times, measured


def _alive(bench: Bench) -> None:
    """Controller active, filter armed, zero proposed again and again."""
    arm = bench.arm
    bench.free()
    bench.push(lambda time_s: np.zeros_like(arm.position))
    if not arm.until(lambda: not arm.holding and not arm.tripped and arm.phase == "active", 1.0):
        raise Failed(f"the arm did not stay armed: {arm.says or describe(arm.cause)}")
