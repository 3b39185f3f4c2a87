# SPDX-License-Identifier: Apache-2.0
"""Imported policies that can go on learning: those whose contract fits into the weights of a policy of ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from safe_transfer_ros.policies import weights
from safe_transfer_ros.policies.contract import TOOL, TORQUE, Contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.contracted import ACTIVATION, SQUASH_OUTPUT
from safe_transfer_ros.policies.foreign.importing import Imported
from safe_transfer_ros.policies.policy import GAUSSIAN
from safe_transfer_ros.policies.tensors import Tensors, read


def gaussian_of(imported: Imported) -> bytes:
    """Make a file of kind `gaussian` of an imported policy: its scaling goes into its first and its last layer.

    (o - m) / s into W x + b is (W / s) o + (b - (W / s) m); offset + scale N(mean, stddev^2) is
    N(offset + scale mean, (scale stddev)^2).

    Args:
      imported: The policy; it fits its task.

    Raises:
      ContractError: naming what of the contract no such file can hold.
    """
    contract = imported.policy.contract
    tensors, metadata = read(imported.content)
    _check(contract, tensors, metadata)
    made = {name: array.astype(np.float64) for name, array in tensors.items()}
    (part,), action = contract.observation, contract.action
    first = made["hidden.0.weight"] / np.array(part.stddev)
    made["hidden.0.bias"] -= first @ np.broadcast_to(np.array(part.mean), first.shape[1:])
    made["hidden.0.weight"] = first
    scale = np.broadcast_to(np.array(action.scale), made["mean.bias"].shape)
    if "log_std" not in made:
        made["log_std"] = np.log(np.broadcast_to(np.array(contract.stddev), scale.shape))
    made["mean.weight"] = made["mean.weight"] * scale[:, None]
    made["mean.bias"] = made["mean.bias"] * scale + np.array(action.offset)
    made["log_std"] = made["log_std"] + np.log(np.abs(scale))
    about = {"task": contract.task, "from": metadata["from"]}
    return weights.to_bytes({name: array.astype(np.float32) for name, array in made.items()}, about)


def _check(contract: Contract, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Check that nothing would be lost."""
    part, action = contract.observation[0] if contract.observation else None, contract.action
    plain, activation = "mean.weight" in tensors, metadata.get(ACTIVATION, contract.network.activation)
    problems = {
        "a network that is no plain MLP": not plain,
        f"distribution {contract.law}": contract.law != GAUSSIAN,
        "squash_output": contract.network.squash_output or metadata.get(SQUASH_OUTPUT) == "true",
        f"activation {activation}": plain and activation != "tanh",
        "an observation other than the one part task": len(contract.observation) != 1
        or (part is not None and part.name != "task"),
        "clip of the observation": part is not None and part.clip is not None,
        f"action kind {action.kind}": action.kind not in (TORQUE, TOOL),
        "names of actions": action.names is not None,
    }
    found = [problem for problem, there in problems.items() if there]
    if found:
        raise ContractError(
            f"a policy that can learn is a gaussian MLP of tanh layers of the task's own observation, got "
            f"{', '.join(found)}: leave --learnable out, it then acts as it is"
        )
