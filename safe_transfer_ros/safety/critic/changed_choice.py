# SPDX-License-Identifier: Apache-2.0
"""Chance that two policies act differently behind the same critic: larger than that of their proposals.

The gate takes the first proposal that the critic accepts, or the least risky of all (`masked_policy`). Draw the
proposals of both policies in pairs that differ as seldom as they can, each with probability TV(s), the total variation
distance of their laws. Then both gates choose alike unless one of the pairs they look at differs, and these are N(s)
on the average: the chance is at most E[N(s)] TV(s). Where few actions are accepted, little of the policy decides, and
a small change of it changes much. PSPT's dp_u2 (Eq. 24) of what is proposed is no bound on what is done.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from safe_transfer_ros.safety.limit.rules import PolicyShift, changed_share

Array = npt.NDArray[np.float64]


def proposals_examined(accepted: Array, most: int) -> Array:
    """E[N]: how many proposals a gate looks at on the average, (1 - (1 - p)^most) / p.

    It is convex in p: of an estimate of p from draws it is too large on the average, never too small.

    Args:
      accepted: p, share of a policy's proposals that the critic accepts in each state, any shape, in [0, 1].
      most: Proposals looked at most, >= 1.

    Returns:
      The same shape, in [1, most]; `most` where nothing is accepted.

    Raises:
      ValueError: if a share is not in [0, 1], or most < 1.
    """
    share = np.asarray(accepted, dtype=np.float64)
    if most < 1 or not ((share >= 0.0) & (share <= 1.0)).all():
        raise ValueError(f"expected shares in [0, 1] and at least one proposal, got {share} and {most}")
    # expm1 and log1p keep the digits where p is small; at 0 the limit is `most`.
    positive = np.where(share > 0.0, share, 1.0)
    with np.errstate(divide="ignore"):
        found = -np.expm1(most * np.log1p(-positive)) / positive
    return np.where(share > 0.0, found, float(most))


def choice_change_risk(shift: PolicyShift, examined: Array | float = 1.0) -> float:
    """dp_u2 of what is done: the mean over states of min(1, E[N(s)] TV(s)); see `changed_share` for TV(s).

    Args:
      shift: What is proposed, before and after an update.
      examined: `proposals_examined` in the same states, shape (n_steps,); 1 without a critic.

    Returns:
      In [0, 1].

    Raises:
      ValueError: if shapes differ, or a value is out of range.
    """
    changed, count = changed_share(shift), np.asarray(examined, dtype=np.float64)
    if count.shape not in ((), changed.shape) or not (count >= 1.0).all():
        raise ValueError(f"expected numbers of proposals, at least 1, in {changed.shape[0]} states, got {count}")
    return float(np.mean(np.minimum(count * changed, 1.0)))
