# SPDX-License-Identifier: Apache-2.0
"""A network while it learns: its optimiser, and the target that follows it slowly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
_MOMENTS = ("exp_avg", "exp_avg_sq")


class TrainedNetwork(Generic[Network]):
    """A network, Adam for its parameters, and a copy of it that follows (Lillicrap et al. 2016).

    All parameters lie in one tensor, of which each is a view: a step of Adam, and one of the target, is one call.

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
            self._followers = _in_one(list(self.target.parameters()))
        self._all = _in_one(self._parameters)
        self._all.grad = torch.zeros_like(self._all)
        self._gradients = _views(self._all.grad, self._parameters)
        fused = _fused()
        self._optimiser = torch.optim.Adam([self._all], lr=learning_rate, fused=fused, foreach=not fused)

    def descend(self, loss: Tensor) -> None:
        """Take a step down the gradient of a loss.

        The loss may hang on other networks too: for those nothing is computed, and they do not change.
        """
        torch._foreach_copy_(self._gradients, torch.autograd.grad(loss, self._parameters))
        self._optimiser.step()

    def follow(self) -> None:
        """Move the target toward the network."""
        if self._rate:
            self._followers.lerp_(self._all, self._rate)

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        found: dict[str, Any] = {
            "network": _copies(self.network),
            "optimiser": copy.deepcopy(self._optimiser.state_dict()),  # its own tensors go on changing
        }
        return found | ({"target": _copies(self.target)} if self._rate else {})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from `state`, also from one in which Adam has an entry for each parameter, as it once had."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(_for_all(state["optimiser"]))
        if self._rate:
            self.target.load_state_dict(state["target"])


def _in_one(parameters: list[Tensor]) -> Tensor:
    """Move parameters into one tensor, which has no graph, and make them views of it."""
    whole = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    for parameter, view in zip(parameters, _views(whole, parameters), strict=True):
        parameter.data = view
    return whole


def _views(whole: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    parts = whole.split([parameter.numel() for parameter in parameters])
    return [part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True)]


def _copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _for_all(optimiser: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of Adam's state, which it would keep and change, with its entries joined into one for all parameters."""
    (group,) = copy.deepcopy(optimiser["param_groups"])
    entries = [entry for _, entry in sorted(optimiser["state"].items())]
    joined = {name: torch.cat([entry[name].reshape(-1) for entry in entries]) for name in _MOMENTS if entries}
    state = {0: joined | {"step": entries[0]["step"].clone()}} if entries else {}
    return {"state": state, "param_groups": [group | {"params": [0]}]}


def _fused() -> bool:
    """Whether this torch can do Adam's step of all tensors in one call on a processor: since 2.4."""
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    return (major, minor) >= (2, 4)
