# SPDX-License-Identifier: Apache-2.0
"""What an iteration shows a rule, and a governor's step from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safe_transfer_ros.safety.limit.governor import TorqueLimitGovernor
from safe_transfer_ros.safety.limit.rules import Evidence, PolicyShift


@dataclass(frozen=True, kw_only=True)
class Shown(Evidence):
    """Evidence of an iteration, and how the policy changed after it."""

    shift: PolicyShift


def shift_of(mean, stddev, mean_after, stddev_after) -> PolicyShift:
    return PolicyShift(mean=mean, stddev=stddev, mean_after=mean_after, stddev_after=stddev_after)


def evidence(rng: np.random.Generator, *, rate: float = 0.0, returns: float = 1.0, states: int = 60) -> Shown:
    mean = rng.normal(size=(states, 7))
    stddev = np.full((states, 7), 0.3)
    return Shown(
        unsafe=[rng.random(states // 3) < rate for _ in range(3)],
        shift=shift_of(mean, stddev, mean + 0.02 * rng.normal(size=mean.shape), stddev),
        returns=returns + 0.01 * rng.normal(size=3),
    )


def step(governor: TorqueLimitGovernor, shown: Shown, **given: float):
    measured = float(np.mean(np.concatenate(list(shown.unsafe))))
    return governor.update(
        iteration=governor.iteration,
        unsafety_rate=given.get("rate", measured),
        mean=shown.shift.mean,
        stddev=shown.shift.stddev,
        visited_torque_limit=governor.torque_limit,
        kl=0.01,
        kl_bound=0.05,
        evidence=shown,
        shift=shown.shift,
    )
