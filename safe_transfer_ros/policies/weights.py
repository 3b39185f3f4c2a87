# SPDX-License-Identifier: Apache-2.0
"""Parameters of a Gaussian MLP policy: names and shapes, checked, to and from bytes and files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.files import write_atomically
from safe_transfer_ros.policies.mlp import head_shapes, hidden_shapes, hidden_widths, outputs_of
from safe_transfer_ros.policies.tensors import (
    LOG_STD_BOUND,
    MAX_MESSAGE_BYTES,
    Tensors,
    WeightsError,
    check_shapes,
    read,
    read_metadata,
    sha256_of,
    write,
)
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

__all__ = ["MAX_MESSAGE_BYTES", "Architecture", "Parameters", "WeightsError", "check", "from_bytes"]
__all__ += ["load", "read_metadata", "save", "sha256_of", "to_bytes"]

Parameters = Tensors
"""Policy parameters by name; see `Architecture.shapes`."""


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
        shapes = hidden_shapes(self.observation_size, self.hidden)
        shapes |= head_shapes("mean", self.hidden[-1], self.action_size)
        return shapes | {"log_std": (self.action_size,)}

    @classmethod
    def of(cls, parameters: Mapping[str, NDArray[np.float32]]) -> Architecture:
        """The architecture that parameters of these names and shapes have.

        Raises:
          WeightsError: if no architecture has these names and shapes.
        """
        inputs, hidden = hidden_widths(parameters)
        return cls(observation_size=inputs, hidden=hidden, action_size=outputs_of(parameters, "mean"))


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
    check_shapes(parameters, architecture.shapes(), architecture)
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
    return write(parameters, metadata or {}, architecture.shapes())


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
    tensors, metadata = read(data, sha256=sha256)
    if (kind := metadata.get("kind", "gaussian")) != "gaussian":
        raise WeightsError(
            f"expected a Gaussian policy, which is what can be learned from here; this is a '{kind}' one"
        )
    check(tensors, architecture)
    return tensors, metadata


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
        data = read_bytes(os.fspath(path), most_bytes=WEIGHTS_BYTES)
    except OSError as error:
        raise WeightsError(f"cannot read the policy file {os.fspath(path)}: {error.strerror or error}") from error
    except UntrustedError as error:
        raise WeightsError(str(error)) from None
    try:
        return from_bytes(data, architecture=architecture, sha256=sha256)
    except WeightsError as error:
        raise WeightsError(f"policy file {os.fspath(path)}: {error}") from error
