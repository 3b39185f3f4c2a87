# SPDX-License-Identifier: Apache-2.0
"""Interface of a policy: an action for an observation, and the distribution it was drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GAUSSIAN, TANH_GAUSSIAN, DETERMINISTIC = "gaussian", "tanh_gaussian", "deterministic"
"""Laws an action may be drawn from: N(mean, stddev^2); bound * tanh(N(mean, stddev^2)); no law, the mean itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """An action, and the law it was drawn from; arrays of shape (..., n_actions).

    Attributes:
      action: The action, in the task's unit.
      distribution: GAUSSIAN, TANH_GAUSSIAN or DETERMINISTIC.
      mean: Parameter of the law; the action itself where that is deterministic.
      stddev: Parameter of the law, > 0; None where it is deterministic.
      bound: Largest |action|, shape (n_actions,), for a tanh Gaussian; else None.
      actor: Which of several agents acted; empty: there is one.
    """

    action: Array
    distribution: str
    mean: Array
    stddev: Array | None = None
    bound: Array | None = None
    actor: str = ""


class Policy(Protocol):
    """A policy.

    Attributes:
      kind: Name under which files say what they hold.
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: How many standard normal numbers an action takes.
    """

    kind: ClassVar[str]

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        ...

    @property
    def action_size(self) -> int:
        """Length of an action."""
        ...

    @property
    def noise_size(self) -> int:
        """Numbers of noise per action."""
        ...

    def begin(self) -> None:
        """Begin an episode: forget what was remembered of the one before."""
        ...

    def act(self, observation: Array, noise: Array) -> Act:
        """Choose an action.

        Args:
          observation: Shape (observation_size,), or (n, observation_size) for n episodes side by side.
          noise: Independent standard normal values, shape (noise_size,) or (n, noise_size).

        Raises:
          ValueError: if a shape does not fit.
        """
        ...
