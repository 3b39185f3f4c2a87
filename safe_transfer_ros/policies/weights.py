# SPDX-License-Identifier: Apache-2.0
"""Policy parameters as bytes: safetensors with everything checked on the way in, never pickle.

A policy that commands motors is only as trustworthy as the bytes it came from, so reading is one function
that either returns parameters of exactly the expected names, shapes and dtype, all finite, or raises a
`WeightsError` saying what was expected, what came and what to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from safe_transfer_ros.files import write_atomically

Parameters = dict[str, NDArray[np.float32]]
"""Policy parameters by name; see `Architecture.shapes`."""

MAX_BYTES = 64 * 1024 * 1024
"""Nothing this package calls a policy comes near this; a larger message is refused before it is parsed."""

LOG_STD_BOUND = 20.0
"""|log_std| above this is a diverged policy: its standard deviation would over- or underflow."""

_METADATA_KEY = "safe_transfer_ros"
_HIDDEN = re.compile(r"hidden\.(\d+)\.weight")


class WeightsError(ValueError):
    """The bytes are not a policy of the expected architecture. The message says which rule they break."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of a Gaussian MLP policy with tanh hidden layers (PSPT: 18 inputs, 3 x 64, 7 torques).

    Attributes:
      observation_size: Number of inputs.
      hidden: Width of each hidden layer, first to last.
      action_size: Number of outputs, and of log standard deviations.
    """

    observation_size: int
    hidden: tuple[int, ...]
    action_size: int

    def __post_init__(self) -> None:
        sizes = (self.observation_size, *self.hidden, self.action_size)
        if not self.hidden or any(size < 1 for size in sizes):
            raise ValueError(f"expected at least one hidden layer and sizes of at least 1, got {sizes}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters, in their canonical order."""
        shapes: dict[str, tuple[int, ...]] = {}
        width = self.observation_size
        for layer, size in enumerate(self.hidden):
            shapes[f"hidden.{layer}.weight"] = (size, width)
            shapes[f"hidden.{layer}.bias"] = (size,)
            width = size
        shapes["mean.weight"] = (self.action_size, width)
        shapes["mean.bias"] = (self.action_size,)
        shapes["log_std"] = (self.action_size,)
        return shapes

    @classmethod
    def of(cls, parameters: Mapping[str, NDArray[np.float32]]) -> Architecture:
        """The architecture that parameters of these names and shapes have.

        Raises:
          WeightsError: if no architecture has these names and shapes.
        """
        hidden = sorted(int(match.group(1)) for match in map(_HIDDEN.fullmatch, parameters) if match)
        first, last = parameters.get("hidden.0.weight"), parameters.get("mean.weight")
        if first is None or last is None or first.ndim != 2 or last.ndim != 2:
            raise WeightsError(
                "expected a policy with matrices 'hidden.0.weight' and 'mean.weight', "
                f"got the tensors {_listed(parameters)}; is this file another kind of network?"
            )
        if hidden != list(range(len(hidden))):
            raise WeightsError(f"expected hidden layers numbered 0, 1, 2, ... without a gap, got {hidden}")
        weights = [parameters[f"hidden.{layer}.weight"] for layer in hidden]
        if any(weight.ndim != 2 or 0 in weight.shape for weight in [*weights, last]):
            raise WeightsError("expected every weight to be a matrix with at least one row and column")
        return cls(
            observation_size=first.shape[1],
            hidden=tuple(weight.shape[0] for weight in weights),
            action_size=last.shape[0],
        )


def check(parameters: Mapping[str, NDArray[np.float32]], architecture: Architecture | None = None) -> Architecture:
    """Check names, shapes, dtype and values of policy parameters.

    Args:
      parameters: Arrays by name.
      architecture: What they must be; None takes it from the arrays themselves.

    Returns:
      Their architecture.

    Raises:
      WeightsError: if a name is missing or unknown, or a shape, a dtype or a value is wrong.
    """
    architecture = Architecture.of(parameters) if architecture is None else architecture
    shapes = architecture.shapes()
    missing, unknown = shapes.keys() - parameters.keys(), parameters.keys() - shapes.keys()
    if missing or unknown:
        raise WeightsError(
            f"expected the tensors of {architecture}; missing: {_listed(missing)}; unknown: {_listed(unknown)}"
        )
    for name, shape in shapes.items():
        array = parameters[name]
        if array.shape != shape:
            raise WeightsError(
                f"expected {name!r} of shape {shape}, got {array.shape}; "
                "the policy was made for another task or network"
            )
        if array.dtype != np.float32:
            raise WeightsError(f"expected {name!r} as float32, got {array.dtype}")
        if not np.isfinite(array).all():
            raise WeightsError(f"{name!r} holds NaN or infinite values: the policy diverged or the file is damaged")
    if np.abs(parameters["log_std"]).max() > LOG_STD_BOUND:
        raise WeightsError(
            f"expected log standard deviations within +-{LOG_STD_BOUND:g}, got {parameters['log_std'].tolist()}"
        )
    return architecture


def to_bytes(parameters: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Serialise checked parameters; equal parameters and metadata give equal bytes.

    Raises:
      WeightsError: if the parameters would not be accepted by `from_bytes`.
    """
    architecture = check(parameters)
    ordered = {name: np.ascontiguousarray(parameters[name]) for name in architecture.shapes()}
    # safetensors writes its metadata in random order; one sorted JSON entry keeps the hash of equal policies
    # equal.
    entry = json.dumps(dict(metadata or {}), sort_keys=True, ensure_ascii=True)
    return safetensors.numpy.save(ordered, metadata={_METADATA_KEY: entry})


def from_bytes(
    data: bytes, *, architecture: Architecture | None = None, sha256: str | None = None
) -> tuple[Parameters, dict[str, str]]:
    """Read parameters, or refuse them whole.

    Args:
      data: A safetensors file's content.
      architecture: What the parameters must be; None accepts any Gaussian MLP policy.
      sha256: Hexadecimal hash the bytes must have; None skips that check.

    Returns:
      Parameters that own their memory, and the metadata given to `to_bytes`.

    Raises:
      WeightsError: on any deviation.
    """
    data = bytes(data)
    if sha256 is not None and sha256_of(data) != sha256.lower():
        raise WeightsError(
            f"expected policy bytes with sha256 {sha256}, got {sha256_of(data)}: damaged on the way, send them again"
        )
    if len(data) > MAX_BYTES:
        raise WeightsError(f"expected a policy of at most {MAX_BYTES} bytes, got {len(data)}")
    try:
        arrays = safetensors.numpy.load(data)
        metadata = read_metadata(data)
    except Exception as error:  # the library raises its own, KeyError (unknown dtype), ValueError, ...
        raise WeightsError(f"expected a safetensors policy, got {len(data)} bytes that are none: {error}") from error
    check(arrays, architecture)
    return {name: np.array(array, dtype=np.float32) for name, array in arrays.items()}, metadata


def save(
    path: str | os.PathLike[str],
    parameters: Mapping[str, NDArray[np.float32]],
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Write a policy file atomically: a reader, or a crash, sees the old file or the new one, never half of
    one.

    Returns:
      The sha256 of the file.
    """
    data = to_bytes(parameters, metadata)
    write_atomically(Path(path), data)
    return sha256_of(data)


def load(
    path: str | os.PathLike[str], *, architecture: Architecture | None = None, sha256: str | None = None
) -> tuple[Parameters, dict[str, str]]:
    """Read a policy file; see `from_bytes`.

    Raises:
      WeightsError: if the file cannot be read or is not such a policy; the message names the file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the policy file {os.fspath(path)}: {error.strerror or error}") from error
    try:
        return from_bytes(data, architecture=architecture, sha256=sha256)
    except WeightsError as error:
        raise WeightsError(f"policy file {os.fspath(path)}: {error}") from error


def sha256_of(data: bytes) -> str:
    """Hexadecimal sha256 of the bytes."""
    return hashlib.sha256(data).hexdigest()


def read_metadata(data: bytes) -> dict[str, str]:
    """The metadata that `to_bytes` put into a safetensors file; anything may be raised where it did not."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    entry = json.loads(header.get("__metadata__", {}).get(_METADATA_KEY, "{}"))
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise ValueError(f"metadata entry {_METADATA_KEY!r} is not an object of strings")
    return entry


def _listed(names: object) -> str:
    listed = sorted(names)  # type: ignore[call-overload]
    shown = ", ".join(map(repr, listed[:6])) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")
    return shown or "none"
