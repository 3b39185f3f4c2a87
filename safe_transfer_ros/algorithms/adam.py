# SPDX-License-Identifier: Apache-2.0
"""Adam (Kingma and Ba 2015), a step of all parameters in one call.

The arithmetic is that of `torch.optim.Adam`, and so is the layout of its state. What is left out is the bookkeeping
around a step (groups, hooks, gradients kept by the parameters), which takes longer than the step itself where
parameters are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Steps of parameters, with the moments of their gradients."""

    def __init__(self, parameters: Sequence[Tensor], *, learning_rate: float) -> None:
        """Take parameters over: each step changes them in place."""
        self._parameters, self._learning_rate = list(parameters), learning_rate
        self._mean, self._square = ([torch.zeros_like(one) for one in self._parameters] for _ in range(2))
        self._steps = torch.zeros(())
        self._step = _fused_step if _has_fused_step() else _foreach_step

    def descend(self, loss: Tensor) -> None:
        """Take a step down the gradient of a loss.

        The loss may hang on other parameters too: for those nothing is computed, and they do not change.
        """
        # A gradient may be a transposed view, which the fused step would read in the wrong order.
        gradients = [gradient.contiguous() for gradient in torch.autograd.grad(loss, self._parameters)]
        with torch.no_grad():
            self._steps += 1.0
            self._step(self._parameters, gradients, self._mean, self._square, self._steps, self._learning_rate)

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`: an entry for each parameter, as `torch.optim.Adam` has them."""
        moments = enumerate(zip(self._mean, self._square, strict=True))
        return {
            "state": {
                number: {"step": self._steps.clone(), "exp_avg": mean.clone(), "exp_avg_sq": square.clone()}
                for number, (mean, square) in moments
            }
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly from `state`, also from one of `torch.optim.Adam`, which has no entries before its first step.

        Raises:
          ValueError: if it is of other parameters.
        """
        entries = [entry for _, entry in sorted(state["state"].items())]
        expected, found = ([tuple(one.shape) for one in some] for some in (self._mean, _of(entries, "exp_avg")))
        if entries and found != expected:
            raise ValueError(f"expected a state of Adam for parameters of shapes {expected}, got one for {found}")
        for kept, name in ((self._mean, "exp_avg"), (self._square, "exp_avg_sq")):
            for number, tensor in enumerate(kept):
                tensor.copy_(entries[number][name] if entries else torch.zeros(()))
        self._steps.copy_(entries[0]["step"] if entries else torch.zeros(()))


def _of(entries: Sequence[Mapping[str, Tensor]], name: str) -> list[Tensor]:
    return [entry[name] for entry in entries]


def _has_fused_step() -> bool:
    """Whether this torch has it for a processor: since 2.4."""
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    return (major, minor) >= (2, 4)


def _fused_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    mean: list[Tensor],
    square: list[Tensor],
    steps: Tensor,
    rate: float,
) -> None:
    torch._fused_adam_(
        parameters,
        gradients,
        mean,
        square,
        [],
        len(parameters) * [steps],
        lr=rate,
        beta1=_MEAN_DECAY,
        beta2=_SQUARE_DECAY,
        weight_decay=0.0,
        eps=_EPSILON,
        amsgrad=False,
        maximize=False,
    )


def _foreach_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    mean: list[Tensor],
    square: list[Tensor],
    steps: Tensor,
    rate: float,
) -> None:
    count = steps.item()
    torch._foreach_lerp_(mean, gradients, 1.0 - _MEAN_DECAY)
    torch._foreach_mul_(square, _SQUARE_DECAY)
    torch._foreach_addcmul_(square, gradients, gradients, 1.0 - _SQUARE_DECAY)
    size = torch._foreach_sqrt(square)
    torch._foreach_div_(size, (1.0 - _SQUARE_DECAY**count) ** 0.5)
    torch._foreach_add_(size, _EPSILON)
    torch._foreach_addcdiv_(parameters, mean, size, -rate / (1.0 - _MEAN_DECAY**count))
