# SPDX-License-Identifier: Apache-2.0
"""A policy that was not made here: a network, or a process of its own, and the contract it is held to."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.contract import Contract, contract_from_text
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.mlp_network import MlpNetwork
from safe_transfer_ros.policies.onnx_network import OnnxNetwork
from safe_transfer_ros.policies.policy import GAUSSIAN, TANH_GAUSSIAN
from safe_transfer_ros.policies.tensors import Tensors

Array = NDArray[np.float64]

CONTRACT, ONNX = "contract", "onnx"
"""Entries of a file's metadata: the contract as JSON, and the ONNX model in base64 where there is one."""

ACTIVATION, SQUASH_OUTPUT = "activation", "squash_output"
"""Entries of a file whose tensors came from ONNX: what its graph says of `contract.NetworkRules`."""


class Network(Protocol):
    """A network: outputs for an observation, and the logarithm of their standard deviation where it has one.

    Attributes:
      input_size: Length of an observation; None where the file does not say.
      output_size: Length of an output, all rows of a chunk counted; None where the file does not say.
      has_log_std: Whether it gives the logarithm of a standard deviation.
      description: What it is, in a few words.
    """

    @property
    def input_size(self) -> int | None: ...  # noqa: D102

    @property
    def output_size(self) -> int | None: ...  # noqa: D102

    @property
    def has_log_std(self) -> bool: ...  # noqa: D102

    @property
    def description(self) -> str: ...  # noqa: D102

    def __call__(self, observation: Array) -> tuple[Array, Array | None]:
        """Evaluate it for one observation (input_size,); the values are not checked."""
        ...


class ContractedPolicy:
    """A network and its contract; a process of its own has no network.

    Attributes:
      contract: What its numbers mean.
      network: What acts; None: a process of its own.
    """

    kind: ClassVar[str] = "contracted"

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str]) -> None:
        """Make it of a file's tensors and metadata; the tensors are copied.

        Raises:
          WeightsError: if they are not such a policy's.
        """
        self.contract: Contract = contract_from_text(metadata.get(CONTRACT, ""))
        self.network: Network | None = _network(self.contract, tensors, metadata)
        if self.network is None:
            return
        wanted = self.contract.law == TANH_GAUSSIAN or (self.contract.law == GAUSSIAN and not self.contract.stddev)
        if self.network.has_log_std != wanted:
            got = "one" if self.network.has_log_std else "none"
            expected = "a" if wanted else "no"
            raise ContractError(f"expected {expected} standard deviation in the policy's file, got {got}")


def _network(contract: Contract, tensors: Tensors, metadata: Mapping[str, str]) -> Network | None:
    if contract.is_process or ONNX in metadata:
        if tensors:
            raise ContractError(f"expected no tensors beside {'a process' if contract.is_process else 'ONNX'}")
        return None if contract.is_process else OnnxNetwork(_onnx(metadata[ONNX]), output=contract.network.output)
    rules = contract.network
    if contract.source == "onnx":  # a plain MLP, whose graph said what its contract cannot
        squashes = metadata.get(SQUASH_OUTPUT) == "true"
        rules = dataclasses.replace(rules, activation=metadata.get(ACTIVATION, ""), squash_output=squashes)
    return MlpNetwork(tensors, rules)


def _onnx(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContractError(f"expected the ONNX model in base64: {error}") from error
