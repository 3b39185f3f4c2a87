# SPDX-License-Identifier: Apache-2.0
"""Moves of a rig that several tests of the filter make."""

from __future__ import annotations

import math

import numpy as np

from safe_transfer_ros.safety.filter.soft_limits import SoftLimits


def soft_limits(speed):
    """Speed limits alone, the same for every joint."""
    endless = np.full(3, math.inf)
    return SoftLimits(
        soft_lower=-endless,
        soft_upper=endless,
        velocity=np.full(3, speed),
        k_position=endless,
        k_velocity=np.full(3, 10.0),
    )


def frozen_run(arm, cycles, effort=(0.1, 0.1, 0.1), **still):
    for _ in range(cycles):
        arm.state(**still)
        arm.propose(effort)
        arm.cycle()


def trip(arm, reason):
    arm.filter.trip(reason, arm.now)
    arm.wait(5)
    return arm
