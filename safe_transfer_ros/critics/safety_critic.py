# SPDX-License-Identifier: Apache-2.0
"""A safety critic as the robot runs it: numpy forward pass, rule of support, and its file with the model card.

Q(s, a): discounted probability of failing after applying torque a in state s. Hidden layers ReLU, output sigmoid; an
ensemble's answer is the mean of its members. A state and torque far from the training data have no answer: they get
a risk above 1 (SQRL Assumption 3 asks for support).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import scipy
from numpy.typing import ArrayLike, NDArray

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.policies.tensors import WeightsError, read_metadata, sha256_of, write
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

Array = NDArray[np.float64]
CriticParameters = dict[str, NDArray[np.float32]]
"""input.mean, input.scale (d,), support.factor (d, d); layer.L.weight (members, out, in), .bias (members, out)."""

SUPPORT_RULES = ("density", "ensemble", "off")


@dataclass(frozen=True, kw_only=True)
class Support:
    """When the critic has nothing to go by.

    Attributes:
      rule: "density": Mahalanobis distance to the training data, per dimension; "ensemble": standard deviation of the
        members; "off".
      limit: Largest value with support.
    """

    rule: str
    limit: float

    def __post_init__(self) -> None:
        # Not `< inf`: a whole number of 400 digits is below that, and no float.
        if self.rule not in SUPPORT_RULES or not 0.0 < self.limit <= sys.float_info.max:
            raise ValueError(
                f"support rule must be one of {', '.join(SUPPORT_RULES)} with a finite limit > 0, got "
                f"{str(self.rule)[:20]!r} with {str(self.limit)[:20]}"
            )


class SafetyCritic:
    """Risk of applying a torque in a state; see `safety.critic.masked_policy.RiskModel`.

    Args:
      parameters: See `CriticParameters`; copied.
      observation_size: How many of the inputs are the observation; the rest is the torque.
      support: Rule of support.

    Raises:
      WeightsError: if the parameters are not a critic's.
    """

    def __init__(self, parameters: Mapping[str, NDArray[np.float32]], observation_size: int, support: Support) -> None:
        sizes = check(parameters)
        if not 0 < observation_size < sizes[0]:
            raise WeightsError(f"expected 1 to {sizes[0] - 1} observed numbers among {sizes[0]} inputs")
        self.observation_size, self.action_size = observation_size, sizes[0] - observation_size
        self.support = support
        self._mean = parameters["input.mean"].astype(np.float32)
        self._inverse_scale = (1.0 / parameters["input.scale"]).astype(np.float32)
        self._sigmoid = scipy.special.expit  # loads scipy.special now: not at the first risk, beside the motors
        count = len(sizes) - 1
        # (members, in, out): rows times matrices, the fast way round for few rows.
        self._layers = [
            (
                np.ascontiguousarray(parameters[f"layer.{i}.weight"].transpose(0, 2, 1)),
                parameters[f"layer.{i}.bias"][:, None, :].copy(),
            )
            for i in range(count)
        ]
        self._factor = parameters["support.factor"].astype(np.float32)
        self.members = len(self._layers[0][0])
        if support.rule == "ensemble" and self.members < 2:
            raise WeightsError("the ensemble rule of support needs a critic of several members")

    def probabilities(self, observation: ArrayLike, torque: ArrayLike) -> Array:
        """Every member's Q, shape (members, m); see `risk`."""
        return self._forward(self._normalised(observation, torque))

    def risk(self, observation: ArrayLike, torque: ArrayLike) -> Array:
        """Mean Q of the members in [0, 1], shape (m,); 1 plus the excess where there is no support.

        Args:
          observation: Shape (m, observation_size).
          torque: Torque applied, shape (m, action_size), N·m.
        """
        inputs = self._normalised(observation, torque)
        members = self._forward(inputs)
        risk = members.mean(axis=0) if self.members > 1 else members[0]
        if self.support.rule == "off":
            return risk
        measure = self._distance(inputs) if self.support.rule == "density" else members.std(axis=0)
        excess = measure / self.support.limit
        if (excess <= 1.0).all():
            return risk
        # NaN counts as unsupported.
        return np.where(excess <= 1.0, risk, np.where(np.isnan(excess), np.nan, np.maximum(excess, 1.0 + 1e-9)))

    def distance(self, observation: ArrayLike, torque: ArrayLike) -> Array:
        """Mahalanobis distance to the training data divided by the square root of the dimension, shape (m,)."""
        return self._distance(self._normalised(observation, torque))

    def _normalised(self, observation: ArrayLike, torque: ArrayLike) -> NDArray[np.float32]:
        inputs = np.concatenate([observation, torque], axis=-1, dtype=np.float32)
        inputs -= self._mean
        inputs *= self._inverse_scale
        return inputs

    def _forward(self, inputs: NDArray[np.float32]) -> Array:
        activation: NDArray[np.float32] = inputs[None]
        for weight, bias in self._layers[:-1]:
            activation = activation @ weight
            activation += bias
            np.maximum(activation, 0.0, out=activation)
        weight, bias = self._layers[-1]
        return np.asarray(self._sigmoid((activation @ weight + bias)[..., 0].astype(np.float64)))

    def _distance(self, inputs: NDArray[np.float32]) -> Array:
        whitened = (inputs @ self._factor).astype(np.float64)
        return np.asarray(np.sqrt(np.einsum("...j,...j->...", whitened, whitened) / whitened.shape[-1]))


def check(parameters: Mapping[str, NDArray[np.float32]]) -> tuple[int, ...]:
    """Check names, shapes and values of a critic's parameters.

    Returns:
      Width of each layer: inputs, hidden ones, 1.

    Raises:
      WeightsError: what was expected, what came.
    """
    count = sum(1 for name in parameters if name.startswith("layer.") and name.endswith(".weight"))
    names = {"input.mean", "input.scale", "support.factor"}
    names |= {f"layer.{i}.{part}" for i in range(count) for part in ("weight", "bias")}
    if count == 0 or names != set(parameters):
        raise WeightsError(f"expected a safety critic's tensors, got {sorted(parameters)[:8]}; is this a policy?")
    for name, array in parameters.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise WeightsError(f"expected {name!r} as finite float32 values: the critic diverged or is damaged")
    weights = [parameters[f"layer.{i}.weight"] for i in range(count)]
    if any(weight.ndim != 3 or 0 in weight.shape for weight in weights):
        raise WeightsError("expected every weight of shape (members, out, in), each at least 1")
    sizes = (weights[0].shape[2], *(weight.shape[1] for weight in weights))
    members = weights[0].shape[0]
    shapes = {"input.mean": (sizes[0],), "input.scale": (sizes[0],), "support.factor": (sizes[0], sizes[0])}
    for i in range(count):
        shapes |= {f"layer.{i}.weight": (members, sizes[i + 1], sizes[i]), f"layer.{i}.bias": (members, sizes[i + 1])}
    for name, shape in shapes.items():
        if parameters[name].shape != shape:
            raise WeightsError(f"expected {name!r} of shape {shape}, got {parameters[name].shape}")
    if sizes[-1] != 1 or not (parameters["input.scale"] > 0.0).all():
        raise WeightsError("expected one output and positive input scales")
    return sizes


def critic_to_bytes(parameters: CriticParameters, card: Mapping[str, Any]) -> bytes:
    """Serialise a critic and its model card as safetensors; equal parameters and cards give equal bytes.

    Raises:
      WeightsError: if the parameters are not a critic's.
    """
    check(parameters)
    return write(parameters, {"critic": json.dumps(dict(card), sort_keys=True)}, sorted(parameters))


def save_critic(path: str | os.PathLike[str], parameters: CriticParameters, card: Mapping[str, Any]) -> str:
    """Write a critic and its model card as one safetensors file, atomically.

    Returns:
      The sha256 of the file; its first 12 digits are the critic's version.
    """
    data = critic_to_bytes(parameters, card)
    write_atomically(Path(path), data)
    return sha256_of(data)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedCritic:
    """A critic from a file or a message.

    Attributes:
      critic: Ready to judge.
      card: Its model card.
      parameters: Its arrays.
      version: First 12 digits of the sha256 of its bytes.
    """

    critic: SafetyCritic
    card: dict[str, Any]
    parameters: CriticParameters
    version: str

    @property
    def certified(self) -> bool:
        """Whether its training certified it: `true` on its card; a text or a number there is no certificate."""
        return self.card.get("certified") is True

    def number(self, name: str) -> float:
        """A number on its model card.

        Raises:
          WeightsError: if it is missing, no number or not finite.
        """
        value = self.card.get(name)
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
        except (TypeError, OverflowError):  # a list; a whole number beyond every float
            number = math.nan
        if not math.isfinite(number):
            raise WeightsError(f"the model card tells no {name}: expected a finite number, got {str(value)[:40]!r}")
        return number


def read_critic_file(path: str | os.PathLike[str]) -> bytes:
    """Bytes of a critic's file, unchecked.

    Raises:
      WeightsError: if it cannot be read; names the file.
    """
    try:
        return read_bytes(os.fspath(path), most_bytes=WEIGHTS_BYTES)
    except OSError as error:
        raise WeightsError(f"cannot read the critic {os.fspath(path)}: {error.strerror or error}") from error
    except UntrustedError as error:
        raise WeightsError(str(error)) from None


def load_critic(
    path: str | os.PathLike[str], *, observation_size: int | None = None, action_size: int | None = None
) -> LoadedCritic:
    """Read a critic's file, or refuse it whole.

    Args:
      path: File.
      observation_size: What the task observes; None takes the card's.
      action_size: Number of joints; None takes the rest of the inputs.

    Raises:
      WeightsError: what was expected, what came.
    """
    return critic_from_bytes(
        read_critic_file(path), name=os.fspath(path), observation_size=observation_size, action_size=action_size
    )


def critic_from_bytes(
    data: bytes,
    *,
    name: str,
    sha256: str | None = None,
    observation_size: int | None = None,
    action_size: int | None = None,
) -> LoadedCritic:
    """Take a critic from its bytes, or refuse it whole.

    Args:
      data: What `critic_to_bytes` gave.
      name: Where they come from, for errors.
      sha256: Hexadecimal hash the bytes must have; None skips that check.
      observation_size: What the task observes; None takes the card's.
      action_size: Length of an action; None takes the rest of the inputs.

    Raises:
      WeightsError: what was expected, what came.
    """
    found = sha256_of(data)
    if sha256 is not None and found != sha256.lower():
        raise WeightsError(f"expected a critic with sha256 {sha256}, got {found}: damaged on the way, send it again")
    if len(data) > WEIGHTS_BYTES:
        raise WeightsError(f"expected a critic of at most {WEIGHTS_BYTES} bytes, got {len(data)}")
    try:
        arrays = safetensors.numpy.load(data)
        card = json.loads(read_metadata(data)["critic"])
        support, size = Support(**card["support"]), int(card["observation_size"])
    except Exception as error:  # the library raises its own, KeyError (unknown dtype), ValueError, ...
        raise WeightsError(f"{name} is not a safety critic with its model card: {error}") from error
    try:
        critic = SafetyCritic(arrays, size, support)
    except WeightsError as error:
        raise WeightsError(f"critic {name}: {error}") from error
    for what, wanted, got in (
        ("observed numbers", observation_size, critic.observation_size),
        ("action numbers", action_size, critic.action_size),
    ):
        if wanted is not None and wanted != got:
            raise WeightsError(f"critic {name} was trained on {got} {what}, this task has {wanted}")
    parameters = {name: np.array(array, dtype=np.float32) for name, array in arrays.items()}
    return LoadedCritic(critic=critic, card=card, parameters=parameters, version=found[:12])
