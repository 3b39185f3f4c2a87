# SPDX-License-Identifier: Apache-2.0
"""A policy with memory: tanh layers, a GRU, a Gaussian head; the memory lasts for an episode (CST)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.gru import Gru, gru_shapes, gru_units
from safe_transfer_ros.policies.mlp import Linear, Mlp, head_shapes, hidden_shapes, hidden_widths, outputs_of, rounded
from safe_transfer_ros.policies.policy import GAUSSIAN, TANH_GAUSSIAN, Act
from safe_transfer_ros.policies.tensors import LOG_STD_BOUND, Tensors, WeightsError, check_shapes, positive

Array = NDArray[np.float64]


class RecurrentPolicy:
    """h' = GRU(hidden(o), h); x ~ N(mean(h'), exp(log_std)^2); a = x, or bound * tanh(x) where there is a bound.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: As action_size.
      memory: h, shape (units,), or (n, units) for n episodes side by side; None at the start of an episode, where it
        counts as zero.
    """

    kind: ClassVar[str] = "recurrent"

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        """Copy the tensors hidden.N.{weight,bias}, gru.{weight,bias}_{ih,hh}, mean.{weight,bias}, log_std and bound.

        The GRU's are torch's: its gates are stacked as reset, update, new. `bound` may be missing.

        Raises:
          WeightsError: if they are not those of this kind.
        """
        inputs, widths = hidden_widths(tensors)
        n, units = outputs_of(tensors, "mean"), gru_units(tensors)
        shapes = hidden_shapes(inputs, widths) | gru_shapes(widths[-1], units) | head_shapes("mean", units, n)
        shapes |= {"log_std": (n,)}
        shapes |= {"bound": (n,)} if "bound" in tensors else {}
        check_shapes(tensors, shapes, "a recurrent policy")
        self._bound: Array | None = None
        if "bound" in tensors:
            positive(tensors, "bound")
            self._bound = tensors["bound"].astype(np.float64)
        self._hidden, self._mean = Mlp(tensors, np.tanh), Linear(tensors, "mean")
        self._gru = Gru(tensors)
        if np.abs(tensors["log_std"]).max() > LOG_STD_BOUND:
            raise WeightsError(f"expected log standard deviations within +-{LOG_STD_BOUND:g}: the policy diverged")
        self._stddev = np.exp(tensors["log_std"].astype(np.float64))
        self.observation_size, self.action_size, self.noise_size = inputs, n, n

    @property
    def memory(self) -> Array | None:
        """See the class."""
        return self._gru.memory

    def begin(self) -> None:
        """Forget the episode before."""
        self._gru.memory = None

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; remembers the observation.

        Raises:
          ValueError: if the number of episodes side by side is another than at the step before.
        """
        mean = rounded(self._mean(self._gru.step(self._hidden(observation))))
        drawn = mean + self._stddev * np.asarray(noise, dtype=np.float64)
        if self._bound is None:
            return Act(action=drawn, distribution=GAUSSIAN, mean=mean, stddev=self._spread(mean))
        action = self._bound * np.tanh(drawn)
        return Act(action=action, distribution=TANH_GAUSSIAN, mean=mean, stddev=self._spread(mean), bound=self._bound)

    def _spread(self, mean: Array) -> Array:
        return np.broadcast_to(self._stddev, mean.shape)
