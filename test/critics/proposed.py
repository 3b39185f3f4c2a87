# SPDX-License-Identifier: Apache-2.0
"""A policy's proposal as a gate sees it, for tests of gates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.filter.proposal import Distribution, Proposal

Array = npt.NDArray[np.float64]


def proposed(
    mean: Array,
    stddev: Array,
    effort: Array,
    distribution: Distribution = Distribution.GAUSSIAN,
    bound: Array | None = None,
) -> Proposal:
    return Proposal(
        stamp_ns=0,
        iteration=0,
        episode=0,
        step=0,
        last=False,
        policy_version=0,
        mean=mean,
        stddev=stddev,
        effort=effort,
        distribution=distribution,
        bound=bound,
    )
