# SPDX-License-Identifier: Apache-2.0
"""Check of the rate and regularity of joint states and of their answers."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.commissioning.step import Bench, Failed, Result
from safe_transfer_ros.safety.reasons import describe


def latency(bench: Bench) -> Result:
    """Check that joint states come without long pauses, and that commands follow them soon."""
    arm, settings, allowed = bench.arm, bench.settings, bench.timeouts.joint_state
    bench.confirmed(f"The controller becomes active at zero torque, for {settings.latency_time:g} s.")
    bench.free()
    bench.push(lambda time_s: np.zeros_like(arm.position))
    arm.forget()
    arm.wait(settings.latency_time)
    stamps, delays, tripped, cause = list(arm.stamps), list(arm.delays), arm.tripped, arm.cause
    arm.rest()
    if tripped:
        raise Failed(f"the filter tripped ({describe(cause)}): {arm.says}")
    if len(stamps) < 20 or len(delays) < 20:
        raise Failed(f"only {len(stamps)} joint states and {len(delays)} commands within {settings.latency_time:g} s")
    pause, (median, late) = float(np.diff(stamps).max()), np.percentile(delays, [50.0, 99.0])
    measured: dict[str, object] = {
        "joint_state_rate_hz": round((len(stamps) - 1) / (stamps[-1] - stamps[0]), 1),
        "joint_state_pause_max_ms": round(1e3 * pause, 2),
        "command_delay_p50_ms": round(1e3 * float(median), 3),
        "command_delay_p99_ms": round(1e3 * float(late), 3),
    }
    numbers = ", ".join(f"{name} {value}" for name, value in measured.items())
    if pause > allowed:
        raise Failed(
            f"{numbers}: a pause longer than joint_state_timeout {1e3 * allowed:g} ms; see `safe_transfer doctor`"
        )
    if late > settings.latency_limit:
        raise Failed(
            f"{numbers}: commands come later than {1e3 * settings.latency_limit:g} ms; see `safe_transfer doctor`"
        )
    return numbers, measured
