# SPDX-License-Identifier: Apache-2.0
"""Import of a policy: a file of others and its contract in, a policy file of ours out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.policies.contract import Contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.contracted import ACTIVATION, CONTRACT, ONNX, SQUASH_OUTPUT, ContractedPolicy
from safe_transfer_ros.policies.foreign.archive import Archive
from safe_transfer_ros.policies.foreign.layers import layers_of
from safe_transfer_ros.policies.foreign.onnx_layers import mlp_of
from safe_transfer_ros.policies.foreign.torch_file import read_state_dict
from safe_transfer_ros.policies.loading import any_policy_from_bytes, policy_to_bytes
from safe_transfer_ros.policies.onnx_graph import read_graph
from safe_transfer_ros.policies.onnx_network import OnnxNetwork
from safe_transfer_ros.policies.tensors import Tensors

Array = NDArray[np.float64]

SB3_POLICY = "policy.pth"
"""Member of stable-baselines3's archives that holds the policy's tensors; all others are left unread."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A policy that was imported.

    Attributes:
      policy: The policy as a graph loads it.
      content: Its file.
      understood: What was made of the source, a line each.
      source: Evaluates the source itself for one observation, where that is another program than what acts; or None.
    """

    policy: ContractedPolicy
    content: bytes
    understood: tuple[str, ...]
    source: Callable[[Array], Array] | None = None


def import_policy(data: bytes | None, contract: Contract, *, origin: str) -> Imported:
    """Import a policy. Nothing of the file is unpickled or executed, but for an ONNX graph by onnxruntime.

    Args:
      data: The file's content; None for a process of its own.
      contract: What its numbers mean.
      origin: Where it comes from, kept in the file.

    Raises:
      WeightsError: if the file is not what the contract says, or out of bounds.
    """
    tensors: Tensors = {}
    metadata = {"kind": ContractedPolicy.kind, CONTRACT: contract.content, "task": contract.task, "from": origin}
    source: Callable[[Array], Array] | None = None
    if contract.is_process:
        if data is not None:
            raise ContractError("a process of its own has no file: leave FILE out, or name its source in the contract")
        understood = ["a process of its own, whose messages policy_server passes on"]
    elif data is None:
        raise ContractError(f"a policy of source {contract.source} has a file: give it before --contract")
    elif contract.source == "onnx":
        tensors, entries, source, understood = _from_onnx(data, contract)
        metadata |= entries
    else:
        state = read_state_dict(_tensors_of(data, contract), f"the {contract.source} file")
        tensors = layers_of(state, contract)
        understood = [f"{len(state)} tensors read, {len(tensors)} of them the policy's"]
    content = policy_to_bytes(tensors, metadata)
    policy, _ = any_policy_from_bytes(content)
    assert isinstance(policy, ContractedPolicy)
    if policy.network is not None:
        understood.append(policy.network.description)
    if contract.source.startswith("sb3_"):
        understood.append(
            f"activation {contract.network.activation}: the archive does not say, the contract or sb3's default does"
        )
    return Imported(policy=policy, content=content, understood=tuple(understood), source=source)


def _tensors_of(data: bytes, contract: Contract) -> bytes:
    """Content that torch.save wrote: the file, or a member of stable-baselines3's archive."""
    if contract.source == "state_dict":
        return data
    what = "stable-baselines3's archive"
    return Archive(data, what).read(SB3_POLICY, most_bytes=WEIGHTS_BYTES)


def _from_onnx(data: bytes, contract: Contract) -> tuple[Tensors, dict[str, str], Callable[[Array], Array], list[str]]:
    """Tensors, entries of the metadata, the model itself to compare with, and what was understood."""
    model = OnnxNetwork(data, output=contract.network.output)
    graph = read_graph(data)
    output = contract.network.output or next(iter(graph.outputs))

    def evaluated(observation: Array) -> Array:
        return model(observation)[0]

    inputs = f"input{'s' if len(graph.inputs) > 1 else ''} {', '.join(graph.inputs)}"
    understood = [f"{inputs}, output {output}, {len(graph.nodes)} nodes"]
    found = mlp_of(graph, output) if len(graph.inputs) == 1 else None
    if found is None:
        understood.append("no plain MLP: onnxruntime evaluates it in policy_server")
        return {}, {ONNX: base64.b64encode(data).decode()}, evaluated, understood
    understood.append("a plain MLP: evaluated without onnxruntime")
    entries = {ACTIVATION: found.activation, SQUASH_OUTPUT: str(found.squash_output).lower()}
    return found.tensors, entries, evaluated, understood
