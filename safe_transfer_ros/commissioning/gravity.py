# SPDX-License-Identifier: Apache-2.0
"""Check of the gravity flag: whether the arm stays where it is when it is not moved."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.commissioning.step import Bench, Failed, Result
from safe_transfer_ros.safety.reasons import describe


def gravity(bench: Bench) -> Result:
    """At rest the arm neither sags nor rises: at zero torque, or at g(q) where the filter adds it.

    Dry friction can hide a small error.
    """
    arm, settings = bench.arm, bench.settings
    bench.confirmed(
        f"The controller becomes active at rest: for {settings.gravity_time:g} s nothing must move. Be ready to "
        "catch the arm, your other hand on the stop."
    )
    bench.free()
    start = bench.position()

    def drift() -> float:
        return float(np.abs(arm.position - start).max())

    sagged = arm.until(lambda: not drift() <= settings.sag_limit, settings.gravity_time)
    way = arm.position - start
    tripped, cause = arm.tripped, arm.cause
    arm.rest()
    if tripped:
        raise Failed(f"the filter tripped ({describe(cause)}): {arm.says}")
    if sagged:
        joint = int(np.argmax(np.abs(way)))
        raise Failed(
            f"{arm.robot.joint_names[joint]} moved by {way[joint]:+.3f} rad by itself: the arm does not carry its "
            "weight as gravity_compensated says, or not this payload"
        )
    return (
        f"nothing moved by more than {np.abs(way).max():.4f} rad in {settings.gravity_time:g} s",
        {"drift_rad": [round(float(value), 5) for value in way]},
    )
