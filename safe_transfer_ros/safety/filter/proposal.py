# SPDX-License-Identifier: Apache-2.0
"""What a policy proposes."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Proposal:
    """One decision of a policy, its arrays in the filter's joint order.

    Attributes:
      stamp_ns: Stamp of the joint state it answers, ns.
      iteration: Iteration it belongs to.
      episode: Episode within the run.
      step: Step within the episode.
      last: It ends the episode and carries no torque: the arrays are ignored and may be empty.
      policy_version: Version of the policy that made it.
      mean: Mean of the proposed distribution, shape (n_joints,), N·m.
      stddev: Its standard deviation, shape (n_joints,), N·m, > 0.
      effort: The sample proposed, shape (n_joints,), N·m.
    """

    stamp_ns: int
    iteration: int
    episode: int
    step: int
    last: bool
    policy_version: int
    mean: Array
    stddev: Array
    effort: Array


def all_finite(values: Array) -> bool:
    """Whether no value is NaN or infinite, shape (n,). For a few joints 3 times as fast as numpy."""
    return all(map(isfinite, values.tolist()))


def fault_of(proposal: Proposal, n_joints: int) -> Reason:
    """Why a proposal's numbers are unusable; NONE when they are not. Nothing is repaired."""
    if proposal.last:
        return Reason.NONE
    shape = (n_joints,)
    if not (proposal.effort.shape == proposal.mean.shape == proposal.stddev.shape == shape):
        return Reason.PROPOSAL_WRONG_LENGTH
    if not (all_finite(proposal.effort) and all_finite(proposal.mean) and all_finite(proposal.stddev)):
        return Reason.PROPOSAL_NOT_FINITE
    # A standard deviation of 0 or less is no distribution; every estimate made from it would be nonsense.
    return Reason.NONE if min(proposal.stddev.tolist()) > 0.0 else Reason.PROPOSAL_NOT_FINITE
