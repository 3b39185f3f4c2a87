# SPDX-License-Identifier: Apache-2.0
"""A policy behind a safety layer, as one file: each action is corrected as little as keeps a linearised cost.

Dalal et al. (2018) in closed form, with a critic of discounted costs in place of a signal one step ahead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.mlp import head_shapes, hidden_shapes, hidden_widths, relu, rounded
from safe_transfer_ros.policies.policy import DETERMINISTIC, Act, Policy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, check_shapes, positive

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BASELINE, CRITIC = "baseline", "critic"
"""What stands before the names of either's tensors, with a dot; the baseline's own metadata is under its name."""


def corrected(
    action: Array, gradient: Array, cost: Array, limit: float, *, bound: Array | None = None
) -> tuple[Array, Flags]:
    """Solve min |a' - a|^2 with c + g (a' - a) <= limit, in closed form (Dalal et al. Eq. 6-7).

    a' = a - max(0, (c - limit) / |g|^2) g.

    Args:
      action: a, shape (b, n).
      gradient: g, derivative of the cost by the action, shape (b, n).
      cost: c, the cost foretold of `action` itself, shape (b,).
      limit: Largest cost accepted.
      bound: What is beyond is cut from the corrected action, shape (n,); None: nothing is.

    Returns:
      The corrected actions, shape (b, n), and whether each keeps the constraint, to first order and after the cut,
      shape (b,). Where the cost does not depend on the action, or the bound is in the way, it may not: who acts must
      not take such an action for a safe one.

    Raises:
      ValueError: if shapes differ, or a value is not finite.
    """
    action, gradient, cost = (np.asarray(values, dtype=np.float64) for values in (action, gradient, cost))
    if action.ndim != 2 or gradient.shape != action.shape or cost.shape != action.shape[:1]:
        raise ValueError(
            "expected actions (b, n), gradients (b, n) and costs (b,), "
            f"got {action.shape}, {gradient.shape} and {cost.shape}"
        )
    if not (np.isfinite(action).all() and np.isfinite(gradient).all() and np.isfinite(cost).all()):
        raise ValueError("an action, a gradient or a cost is not finite: the critic or the policy has diverged")
    if not np.isfinite(limit):
        raise ValueError(f"expected a finite limit, got {limit}")
    steepness = np.square(gradient).sum(axis=1)
    excess = np.maximum(0.0, cost - limit)
    # A gradient whose square underflows is none.
    multiplier = np.divide(excess, steepness, out=np.zeros_like(excess), where=steepness > np.finfo(np.float64).tiny)
    found = action - multiplier[:, None] * gradient
    if bound is not None:
        found = np.clip(found, -bound, bound)
    foretold = cost + (gradient * (found - action)).sum(axis=1)
    # The sum rounds: a constraint met exactly must not be called broken for its last digits.
    rounding = 1e-9 * (1.0 + np.abs(cost) + abs(limit))
    return found, foretold <= limit + rounding


class LayeredPolicy:
    """A baseline without its noise, each of its actions corrected by the layer.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: 0.
    """

    kind: ClassVar[str] = "layered"
    noise_size = 0

    def __init__(self, baseline: Policy, tensors: Tensors, metadata: Mapping[str, str]) -> None:
        """Put a layer before a baseline.

        Args:
          baseline: Proposes the actions.
          tensors: Of the critic, behind "critic.": hidden.N.{weight,bias} and value.{weight,bias}, its inputs the
            observation and the action as a fraction of its bound; and bound.
          metadata: limit, the largest discounted cost that is let pass, > 0.

        Raises:
          WeightsError: if the tensors or the limit are not a layer's, or do not fit the baseline.
        """
        self._baseline = baseline
        self.observation_size, self.action_size = baseline.observation_size, baseline.action_size
        self._limit = _limit(metadata.get("limit", ""))
        check_shapes(
            {name: array for name, array in tensors.items() if not name.startswith(f"{CRITIC}.")},
            {"bound": (self.action_size,)},
            "a safety layer beside its critic",
        )
        positive(tensors, "bound")
        self._bound = tensors["bound"].astype(np.float64)
        own = {name.removeprefix(f"{CRITIC}."): array for name, array in tensors.items() if name != "bound"}
        self._layers = _critic_layers(own, self.observation_size + self.action_size)

    def begin(self) -> None:
        """Do nothing: neither remembers anything."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; takes no noise.

        Raises:
          WeightsError: if the baseline or the critic gives numbers that are not finite.
        """
        rows = np.atleast_2d(np.asarray(observation, dtype=np.float64))
        asked = self._baseline.act(rows, np.zeros((len(rows), self._baseline.noise_size))).action
        fraction = rounded(np.clip(asked / self._bound, -1.0, 1.0))
        cost, gradient = self.cost(rows, fraction)
        try:
            found, _ = corrected(fraction, gradient, cost, self._limit, bound=np.ones(self.action_size))
        except ValueError as error:
            raise WeightsError(str(error)) from error
        action = (self._bound * rounded(found)).reshape(*np.shape(observation)[:-1], self.action_size)
        return Act(action=action, distribution=DETERMINISTIC, mean=action)

    def cost(self, observation: Array, fraction: Array) -> tuple[Array, Array]:
        """Discounted cost that is foretold, shape (b,), and its derivative by the action, shape (b, n).

        Args:
          observation: Shape (b, k).
          fraction: Actions as fractions of their bound, shape (b, n).
        """
        values, active = rounded(np.concatenate([observation, fraction], axis=-1)), []
        *below, (weight, bias) = self._layers
        for inner, shift in below:
            values = relu(values @ inner.T + shift)
            active.append(values > 0.0)
        cost = (values @ weight.T + bias)[:, 0]
        # Of a single output: the chain rule from the last layer to the inputs, no graph is needed for it.
        gradient = np.broadcast_to(weight[0], values.shape)
        for (inner, _), on in zip(reversed(below), reversed(active), strict=True):
            gradient = (gradient * on) @ inner
        return cost, gradient[:, self.observation_size :]


def _critic_layers(tensors: Tensors, inputs: int) -> list[tuple[Array, Array]]:
    """Weights (outputs, inputs) and biases of a critic that is checked."""
    _, widths = hidden_widths(tensors)
    check_shapes(tensors, hidden_shapes(inputs, widths) | head_shapes("value", widths[-1], 1), "a layer's critic")
    names = [*(f"hidden.{layer}" for layer in range(len(widths))), "value"]
    return [
        (tensors[f"{name}.weight"].astype(np.float64), tensors[f"{name}.bias"].astype(np.float64)) for name in names
    ]


def _limit(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0.0 < found < math.inf:
        raise WeightsError(f"expected the limit of a layered policy as a finite number above 0, got {text[:40]!r}")
    return found
