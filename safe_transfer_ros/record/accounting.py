# SPDX-License-Identifier: Apache-2.0
"""Decisions of the filter in the unsafety ledger, alike in the monitor and from a bag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.record.episode import stamp_ns
from safe_transfer_ros.safety.filter.proposal import Distribution, law_of
from safe_transfer_ros.safety.limit.torque_law import gaussian_stand_in
from safe_transfer_ros.safety.limit.unsafety import UnsafetyLedger
from safe_transfer_ros.safety.reasons import NOT_TAKEN, VERDICTS, Reason

Array = NDArray[np.float64]


def account(ledger: UnsafetyLedger, decision: Any) -> None:
    """Add a SafetyDecision to the ledger, as the unsafety monitor does."""
    refused = decision.verdict in NOT_TAKEN
    mean, stddev = (np.empty(0), np.empty(0)) if refused or decision.last else _torque_law(decision)
    ledger.add_step(
        int(decision.iteration),
        int(decision.episode),
        stamp_ns(decision),
        bool(decision.last),
        mean,
        stddev,
        float(decision.torque_limit),
        int(decision.step),
        bool(decision.reasons & Reason.CLAMPED_TORQUE_LIMIT),
        decision.observation,
    )


def _torque_law(decision: Any) -> tuple[Array, Array]:
    """Mean and standard deviation of the proposed torque, or of the Gaussian that approximates its distribution.

    NaN where the decision does not say how the torque was drawn, or whether it was taken: the governor refuses an
    iteration with such a step.
    """
    mean = np.asarray(decision.proposed_mean, dtype=np.float64)
    stddev = np.asarray(decision.proposed_stddev, dtype=np.float64)
    law = law_of(getattr(decision, "distribution", 0))  # before actions told their law all were Gaussian
    if int(decision.verdict) not in VERDICTS:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    if law is Distribution.GAUSSIAN:
        return mean, stddev
    bound = np.asarray(getattr(decision, "proposed_bound", ()), dtype=np.float64)
    unfit = law is Distribution.TANH_GAUSSIAN and not (mean.shape == stddev.shape == bound.shape)
    if law is None or unfit:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    return gaussian_stand_in(law, mean, stddev, bound, float(decision.torque_limit))
