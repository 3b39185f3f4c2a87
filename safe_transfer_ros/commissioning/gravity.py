# SPDX-License-Identifier: Apache-2.0
"""Whether the arm stays where it is when nobody moves it: the gravity flag."""

from __future__ import annotations

import numpy as np

from safe_transfer_ros.commissioning.step import Bench, Failed, Result


def gravity(bench: Bench) -> Result:
    """At the torque that stands for rest the arm neither sags nor rises.

    That is zero for an arm whose hardware carries its weight. Dry friction can hide a small error.
    """
    arm, settings = bench.arm, bench.settings
    flag = arm.robot.gravity_compensated
    bench.confirmed(
        f"The controller becomes active{'' if flag else ', with the gravity torque of our model'}: for "
        f"{settings.gravity_time:g} s nothing must move. Be ready to catch the arm, your other hand on the stop."
    )
    bench.free()
    start = bench.position()
    if not flag:
        bench.push(lambda time_s: np.zeros_like(start))

    def drift() -> float:
        return float(np.abs(arm.position - start).max())

    sagged = arm.until(lambda: not drift() <= settings.sag_limit, settings.gravity_time)
    way = arm.position - start
    tripped = arm.tripped
    arm.rest()
    if tripped:
        raise Failed(f"the filter tripped: {arm.says}")
    joint = int(np.argmax(np.abs(way)))
    measured: dict[str, object] = {"drift_rad": [round(float(value), 5) for value in way]}
    if sagged:
        blame = (
            "the arm does not carry its weight itself as gravity_compensated says, or not this payload"
            if flag
            else "the gravity torque does not fit: payload, base orientation, or an arm that carries its weight itself"
        )
        raise Failed(f"{arm.robot.joint_names[joint]} moved by {way[joint]:+.3f} rad by itself: {blame}")
    return f"nothing moved by more than {np.abs(way).max():.4f} rad in {settings.gravity_time:g} s", measured
