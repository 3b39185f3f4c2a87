# SPDX-License-Identifier: Apache-2.0
"""The advantage of an action by a safety critic: how much riskier it is than what the policy does on average (CSC)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def critic_advantages(
    risk: Callable[[Array, Array], Array],
    observations: Array,
    actions: Array,
    policy_actions: Array,
) -> Array:
    """A_C(s, a) = Q_C(s, a) - E_{a' ~ pi}[Q_C(s, a')], the expectation by samples.

    Args:
      risk: Q_C of observations (m, k) and actions (m, n), shape (m,).
      observations: Shape (steps, k).
      actions: Taken, as they were applied, shape (steps, n).
      policy_actions: Samples of the policy in the same states, as they would be applied, shape (samples, steps, n).

    Returns:
      Shape (steps,), within [-1, 1] for a critic within [0, 1].
    """
    samples, steps = policy_actions.shape[:2]
    everywhere = np.broadcast_to(observations, (samples, *observations.shape)).reshape(samples * steps, -1)
    tried = risk(everywhere, policy_actions.reshape(samples * steps, -1)).reshape(samples, steps)
    return np.asarray(risk(observations, actions) - tried.mean(axis=0))
