# SPDX-License-Identifier: Apache-2.0
"""A policy's proposal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import isfinite

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.reasons import Reason

Array = npt.NDArray[np.float64]


class Distribution(str, Enum):
    """Law that a proposal's sample was drawn from; n is standard normal noise."""

    GAUSSIAN = "gaussian"
    """effort = mean + stddev n."""
    TANH_GAUSSIAN = "tanh_gaussian"
    """effort = bound tanh(mean + stddev n): mean and stddev are those before the squashing, without a unit."""
    DETERMINISTIC = "deterministic"
    """effort = mean, of a policy without noise or a plain controller."""


LAWS = (Distribution.GAUSSIAN, Distribution.TANH_GAUSSIAN, Distribution.DETERMINISTIC)
"""In the order of PolicyAction.DISTRIBUTION_*."""


def law_of(number: int) -> Distribution | None:
    """Law that a message's DISTRIBUTION_* number stands for; None for a number that is none of them."""
    return LAWS[number] if 0 <= number < len(LAWS) else None


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
      stddev: Its standard deviation, shape (n_joints,), N·m, > 0; all 0, or of shape (0,), where it is deterministic.
      effort: The sample proposed, shape (n_joints,), N·m.
      distribution: Law of the sample.
      bound: Largest |effort| of a tanh Gaussian, shape (n_joints,), N·m, > 0; None otherwise.
      actor: Which of several agents acted; empty: there is one.
      terminated: With `last`: the episode ended by the task's own rule, not by its horizon.
      fault: Why whoever read it could not match its arrays to joints; they are empty then. NONE where it could.
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
    distribution: Distribution = Distribution.GAUSSIAN
    bound: Array | None = None
    actor: str = ""
    terminated: bool = False
    fault: Reason = Reason.NONE


_NONE, _DETERMINISTIC = Reason.NONE, Distribution.DETERMINISTIC  # looked up once: this is the hot path


def all_finite(values: Array) -> bool:
    """Whether no value is NaN or infinite, shape (n,). For a few joints 3 times as fast as numpy."""
    return all(map(isfinite, values.tolist()))


def fault_of(proposal: Proposal, n_joints: int) -> Reason:
    """Reason why a proposal's numbers are unusable; NONE when they are usable. Nothing is repaired."""
    if proposal.last:
        return _NONE
    shape = (n_joints,)
    deterministic = proposal.distribution is _DETERMINISTIC
    stddev = proposal.stddev
    if not (proposal.effort.shape == proposal.mean.shape == shape):
        return Reason.PROPOSAL_WRONG_LENGTH
    if stddev.shape != shape and not (deterministic and stddev.shape == (0,)):
        return Reason.PROPOSAL_WRONG_LENGTH
    if not (all_finite(proposal.effort) and all_finite(proposal.mean) and all_finite(stddev)):
        return Reason.PROPOSAL_NOT_FINITE
    if (proposal.distribution is Distribution.TANH_GAUSSIAN) != (proposal.bound is not None):
        return Reason.PROPOSAL_WRONG_LENGTH
    if proposal.bound is not None and not _bounded(proposal.effort, proposal.bound):
        return Reason.PROPOSAL_NOT_FINITE
    if deterministic:  # noise beside it contradicts it, and so does a sample that is not the mean
        whole = not stddev.any() and np.array_equal(proposal.mean, proposal.effort)
        return _NONE if whole else Reason.PROPOSAL_NOT_FINITE
    # A standard deviation of 0 or less does not define a distribution; every estimate made from it would be nonsense.
    return _NONE if min(stddev.tolist()) > 0.0 else Reason.PROPOSAL_NOT_FINITE


def _bounded(effort: Array, bound: Array) -> bool:
    """Whether a tanh Gaussian's sample can be one: within bounds that are finite and above 0."""
    return (
        bound.shape == effort.shape
        and all_finite(bound)
        and all(0.0 < most and abs(value) <= most for value, most in zip(effort.tolist(), bound.tolist(), strict=True))
    )
