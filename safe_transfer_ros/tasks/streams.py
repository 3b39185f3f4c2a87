# SPDX-License-Identifier: Apache-2.0
"""Random streams, one per purpose and episode.

A process that knows the run's seed and the episode's number draws the same numbers as any other, whatever
was drawn
before: the in-process environment, the batch of environments and the ROS graph agree.
"""

from __future__ import annotations

import numpy as np

_INITIAL_STATE = 0
_ACTION = 1


def initial_state_rng(seed: int, episode: int) -> np.random.Generator:
    """Stream from which the task draws an episode's initial state.

    Raises:
      ValueError: if the seed or the episode number is negative.
    """
    return np.random.default_rng([seed, _INITIAL_STATE, episode])


def action_rng(seed: int, episode: int) -> np.random.Generator:
    """Stream of an episode's action noise: one `standard_normal(n_joints)` per step, in order.

    Raises:
      ValueError: if the seed or the episode number is negative.
    """
    return np.random.default_rng([seed, _ACTION, episode])
