# SPDX-License-Identifier: Apache-2.0
"""A network while it learns: its optimiser, and the target that follows it slowly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from safe_transfer_ros.algorithms.adam import Adam

Network = TypeVar("Network", bound=nn.Module)


class TrainedNetwork(Generic[Network]):
    """A network, Adam for its parameters, and a copy of it that follows (Lillicrap et al. 2016).

    Attributes:
      network: The one that learns.
      target: The one that follows; it never has a graph. The network itself where the rate is 0.
    """

    def __init__(self, network: Network, *, learning_rate: float, target_rate: float = 0.0) -> None:
        """Take a network over.

        Args:
          network: Its parameters are changed in place.
          learning_rate: Of Adam, > 0.
          target_rate: How far the target moves toward the network at each `follow`, in [0, 1]; 0: there is no target.

        Raises:
          ValueError: if a rate is out of range.
        """
        if not (learning_rate > 0.0 and 0.0 <= target_rate <= 1.0):
            raise ValueError(
                f"expected learning_rate > 0 and target_rate in [0, 1], got {learning_rate} and {target_rate}"
            )
        self.network, self.target, self._rate = network, network, target_rate
        self._parameters: list[Tensor] = list(network.parameters())
        if target_rate:
            self.target = copy.deepcopy(network).requires_grad_(False)
        self._followers: list[Tensor] = list(self.target.parameters())
        self._optimiser = Adam(self._parameters, learning_rate=learning_rate)

    def descend(self, loss: Tensor) -> None:
        """Take a step down the gradient of a loss.

        The loss may hang on other networks too: for those nothing is computed, and they do not change.
        """
        self._optimiser.descend(loss)

    def follow(self) -> None:
        """Move the target toward the network."""
        with torch.no_grad():
            torch._foreach_lerp_(self._followers, self._parameters, self._rate)

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        found: dict[str, Any] = {
            "network": copy.deepcopy(self.network.state_dict()),
            "optimiser": self._optimiser.state(),
        }
        return found | ({"target": copy.deepcopy(self.target.state_dict())} if self._rate else {})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from `state`."""
        self.network.load_state_dict(state["network"])
        self._optimiser.restore(state["optimiser"])
        if self._rate:
            self.target.load_state_dict(state["target"])
