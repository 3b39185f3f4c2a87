# SPDX-License-Identifier: Apache-2.0
"""A squashed Gaussian policy behind the safety critic that it was trained with, as one file (SQRL Eq. 3).

The first of independent samples of the policy that the critic accepts IS a sample of the masked policy: the policy's
density cut to the actions of at most epsilon, and scaled up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.policy import TANH_GAUSSIAN, Act
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, check_shapes

Array = NDArray[np.float64]
POLICY, CRITIC = "policy.", "critic."
"""What stands before the names of either's tensors."""


def first_safe(risks: Array, epsilon: float) -> NDArray[np.int64]:
    """Index of the first candidate of at most epsilon, or else of the least risky one, shape (...), of (..., m)."""
    safe = risks <= epsilon
    return np.where(safe.any(axis=-1), safe.argmax(axis=-1), risks.argmin(axis=-1))


def just_below(risks: Array, epsilon: float) -> NDArray[np.int64]:
    """Index of the riskiest candidate of at most epsilon, or else of the least risky one; see `first_safe`."""
    safe = risks <= epsilon
    return np.where(safe.any(axis=-1), np.where(safe, risks, -1.0).argmax(axis=-1), risks.argmin(axis=-1))


def within_limit(
    observation: NDArray[Any], action: NDArray[Any], bound: Array, limit_input: tuple[int, float] | None
) -> NDArray[Any]:
    """Actions as they would act, as fractions of their bound: torques cut to the limit that the observation tells.

    Args:
      observation: Shape (..., k).
      action: As fractions of their bound, shape (..., n).
      bound: Largest |action|, shape (n,).
      limit_input: See `Task.limit_input`; None: nothing is cut.
    """
    if limit_input is None:
        return action
    index, unit = limit_input
    largest = np.maximum(unit * observation[..., index, None], 0.0) / bound
    return np.minimum(np.maximum(action, -largest), largest)


class MaskedPolicy:
    """The first of several samples that the critic accepts, or the least risky of all.

    What it says of an action's law is that of the policy without the mask.

    Attributes:
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: Of all candidates.
      epsilon: Largest accepted risk.
    """

    kind: ClassVar[str] = "masked"

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        """Copy the tensors: the policy's behind "policy.", the critic's layer.L.{weight,bias} behind "critic.".

        Args:
          tensors: Arrays by name; the critic's as `algorithms.safety_critic.initial_critic` has them, its inputs the
            observation and the action as a fraction of its bound.
          metadata: epsilon, in (0, 1), and candidates, of at least 1; limit_index and limit_unit, where observations
            tell the torque limit in force (`Task.limit_input`).

        Raises:
          WeightsError: if they are not those of this kind.
        """
        strangers = [name for name in tensors if not name.startswith((POLICY, CRITIC))]
        if strangers:
            raise WeightsError(f"expected tensors of {POLICY} and {CRITIC} only, got unknown {strangers[:4]}")
        self._policy = SquashedPolicy(part(tensors, POLICY))
        self.observation_size, self.action_size = self._policy.observation_size, self._policy.action_size
        self._bound = tensors[f"{POLICY}bound"].astype(np.float64)
        self._layers = _critic_layers(part(tensors, CRITIC), self.observation_size + self.action_size)
        about = metadata or {}
        self.epsilon = _number(about, "epsilon")
        candidates = _number(about, "candidates")
        if not 0.0 < self.epsilon < 1.0 or candidates < 1.0 or candidates != int(candidates):
            raise WeightsError(
                f"expected epsilon in (0, 1) and a whole number of candidates, got {self.epsilon} and {candidates}"
            )
        self._limit_input = _limit_input(about, self.observation_size)
        self._candidates = int(candidates)
        self.noise_size = self._candidates * self.action_size

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`."""
        drawn = np.asarray(noise, dtype=np.float64)
        drawn = drawn.reshape(*drawn.shape[:-1], self._candidates, self.action_size)
        seen = np.asarray(observation, dtype=np.float64)[..., None, :]
        law = self._policy.act(seen, drawn)
        rows = np.broadcast_to(seen, (*drawn.shape[:-1], seen.shape[-1]))
        chosen = first_safe(self.risk(rows, law.action), self.epsilon)
        action = np.take_along_axis(law.action, chosen[..., None, None], axis=-2)[..., 0, :]
        assert law.stddev is not None
        return Act(
            action=action,
            distribution=TANH_GAUSSIAN,
            mean=law.mean[..., 0, :],
            stddev=law.stddev[..., 0, :],
            bound=self._bound,
        )

    def risk(self, observation: Array, action: Array) -> Array:
        """Q_safe, the mean of the critic's members, shape (...).

        Args:
          observation: Shape (..., observation_size).
          action: In its unit, shape (..., action_size).
        """
        acted = within_limit(observation, action / self._bound, self._bound, self._limit_input)
        values = np.concatenate([observation, acted], axis=-1)[..., None, None, :]
        for layer, (weight, bias) in enumerate(self._layers):
            values = values @ weight + bias
            if layer < len(self._layers) - 1:
                values = np.maximum(values, 0.0)
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values[..., 0, 0])).mean(axis=-1))


def part(tensors: Tensors, within: str) -> Tensors:
    """Tensors whose names begin with `within`, without it."""
    return {name.removeprefix(within): array for name, array in tensors.items() if name.startswith(within)}


def _critic_layers(tensors: Tensors, inputs: int) -> list[tuple[Array, Array]]:
    """Weights (members, in, out) and biases (members, 1, out) of a critic that is checked."""
    count = len(tensors) // 2
    biases = [tensors.get(f"layer.{layer}.bias", np.zeros(())) for layer in range(count)]
    widths = [bias.shape[1:2] for bias in biases]
    members = tensors["layer.0.bias"].shape[:1] if "layer.0.bias" in tensors else ()
    if not count or any(width in ((), (0,)) for width in widths) or members in ((), (0,)):
        raise WeightsError("expected the tensors of a safety critic behind 'critic.'; missing: some layer's bias")
    sizes = (inputs, *(width[0] for width in widths))
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(count):
        shapes[f"layer.{layer}.weight"] = (members[0], sizes[layer + 1], sizes[layer])
        shapes[f"layer.{layer}.bias"] = (members[0], sizes[layer + 1])
    if sizes[-1] != 1:
        raise WeightsError(f"expected one output of the safety critic, got {sizes[-1]}")
    check_shapes(tensors, shapes, "a safety critic")
    return [
        (
            tensors[f"layer.{layer}.weight"].transpose(0, 2, 1).astype(np.float64),
            tensors[f"layer.{layer}.bias"][:, None, :].astype(np.float64),
        )
        for layer in range(count)
    ]


def _limit_input(metadata: Mapping[str, str], observation_size: int) -> tuple[int, float] | None:
    if not {"limit_index", "limit_unit"} & set(metadata):
        return None
    index, unit = _number(metadata, "limit_index"), _number(metadata, "limit_unit")
    if index != int(index) or not 0 <= index < observation_size or not unit > 0.0:
        raise WeightsError(
            f"expected limit_index as a place among {observation_size} observed numbers and limit_unit above 0, got "
            f"{index} and {unit}"
        )
    return int(index), unit


def _number(metadata: Mapping[str, str], name: str) -> float:
    try:
        found = float(metadata[name])
    except (KeyError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise WeightsError(f"expected {name} of a masked policy as a finite number, got {metadata.get(name)!r:.60}")
    return found
