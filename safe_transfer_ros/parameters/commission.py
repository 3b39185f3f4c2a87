# SPDX-License-Identifier: Apache-2.0
"""Parameters of `safe_transfer commission`, the procedure before a first run on hardware."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.configuration import setting


@dataclass(frozen=True, kw_only=True)
class CommissionParameters:
    """safe_transfer commission, before a first run on hardware."""

    valid_days: float = setting(
        30.0, "robot:=hardware refuses a report that is older, days", minimum=0.0, maximum=3650.0
    )
    gravity_time: float = setting(2.0, "The arm must stay where it is for this long, s", minimum=0.1, maximum=60.0)
    sag_limit: float = setting(0.02, "and no joint may move further than this, rad", minimum=1e-4, maximum=0.5)
    push_motion: float = setting(
        0.02,
        "A push is to move its joint about this far; a quarter of it counts as moved, rad",
        minimum=1e-4,
        maximum=0.2,
    )
    push_stop: float = setting(0.1, "A push ends when any joint has moved this far, rad", minimum=1e-3, maximum=0.5)
    push_time: float = setting(0.5, "Time of a push forth and back, s", minimum=0.05, maximum=5.0)
    push_settling: float = setting(0.2, "Time for the arm to come to rest after it, s", minimum=0.0, maximum=5.0)
    e_stop_wait: float = setting(
        30.0,
        "Wait this long for the operator to press, and to release, the emergency stop, s",
        minimum=0.1,
        maximum=600.0,
    )
    watchdog_slack: float = setting(
        0.1, "A stop may come this much later than its timeout, s", minimum=0.0, maximum=10.0
    )
    latency_time: float = setting(
        3.0, "Joint states and commands are timed for this long, s", minimum=0.5, maximum=600.0
    )
    latency_limit: float = setting(
        0.01, "Of a hundred commands 99 must follow their joint state within this, s", minimum=1e-4, maximum=1.0
    )
