# SPDX-License-Identifier: Apache-2.0
"""Layers of a policy of others under the names that ours have: hidden.N, mean and log_std."""

from __future__ import annotations

import re

from safe_transfer_ros.policies.contract import Contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.policy import DETERMINISTIC, GAUSSIAN
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, listed

_NUMBER = re.compile(r"([0-9]+)")
_MOST_LAYERS = 64


def layers_of(tensors: Tensors, contract: Contract) -> Tensors:
    """Tensors of a state dict as `mlp_network.MlpNetwork` takes them.

    Args:
      tensors: By the names of whoever made them.
      contract: Its `source` says what these names are.

    Raises:
      WeightsError: if they are not those of a plain MLP, naming what is missing or left over.
    """
    if contract.source != "state_dict":
        _no_features(tensors)
    if contract.source == "sb3_ppo":
        return _ppo(tensors, contract)
    if contract.source == "sb3_sac":
        return _sac(tensors, contract)
    if contract.source == "sb3_td3":
        return _chain(
            {name: tensors[name] for name in tensors if name.startswith("actor.mu.")}, "the actor of TD3", tensors
        )
    return _plain(tensors, contract)


def _ppo(tensors: Tensors, contract: Contract) -> Tensors:
    shared = [name for name in tensors if name.startswith("mlp_extractor.shared_net.")]
    if shared:
        raise WeightsError(
            f"layers shared by actor and critic are not supported, got {listed(shared)}: export it as ONNX"
        )
    body = {name: tensors[name] for name in tensors if name.startswith("mlp_extractor.policy_net.")}
    found = _chain(body | _layer(tensors, "action_net"), "the actor of PPO", tensors)
    if contract.law == DETERMINISTIC:
        return found
    log_std = tensors.get("log_std")
    if log_std is None or log_std.ndim != 1:
        shape = "none" if log_std is None else f"shape {log_std.shape} (gSDE)"
        raise WeightsError(f"expected log_std with one number per action, got {shape}: say distribution: deterministic")
    return found | {"log_std": log_std}


def _sac(tensors: Tensors, contract: Contract) -> Tensors:
    body = {name: tensors[name] for name in tensors if name.startswith("actor.latent_pi.")}
    found = _chain(body | _layer(tensors, "actor.mu"), "the actor of SAC", tensors)
    if contract.law == DETERMINISTIC:
        return found
    head = _layer(tensors, "actor.log_std")
    return found | {f"log_std.{name.rpartition('.')[2]}": array for name, array in head.items()}


def _plain(tensors: Tensors, contract: Contract) -> Tensors:
    rules = contract.network
    own = {name.removeprefix(rules.prefix): array for name, array in tensors.items() if name.startswith(rules.prefix)}
    if not own:
        raise ContractError(
            f"no tensor of the state dict begins with prefix '{rules.prefix}'; it has {listed(tensors)}"
        )
    log_std = None
    if rules.log_std:
        log_std = own.pop(rules.log_std, None)
        if log_std is None:
            raise ContractError(f"the state dict has no log_std '{rules.log_std}'; it has {listed(own)}")
    found = _chain(own, "a plain MLP", tensors)
    if contract.law == GAUSSIAN and log_std is not None:
        found["log_std"] = log_std.reshape(-1)
    return found


def _no_features(tensors: Tensors) -> None:
    """Refuse a policy with a network before its MLP (a CNN, a combination of inputs)."""
    found = [
        name for name in tensors if "features_extractor" in name.split(".critic")[0] and not name.startswith("critic")
    ]
    if found:
        raise WeightsError(
            f"a features extractor with weights is not supported, got {listed(found)}: export it as ONNX"
        )


def _layer(tensors: Tensors, name: str) -> Tensors:
    """Weight and bias of one linear layer."""
    found = {f"{name}.{part}": tensors[f"{name}.{part}"] for part in ("weight", "bias") if f"{name}.{part}" in tensors}
    if len(found) != 2:
        raise WeightsError(
            f"expected {name}.weight and {name}.bias, got {listed(tensors)}; is source another algorithm?"
        )
    return found


def _chain(tensors: Tensors, what: str, all_: Tensors) -> Tensors:
    """Linear layers one after the other, in the order of the numbers in their names; the last is the mean.

    Raises:
      WeightsError: if a tensor is left over, a bias is missing or sizes do not follow one another.
    """
    layers = sorted({name.rpartition(".")[0] for name in tensors}, key=_order)
    if not 2 <= len(layers) <= _MOST_LAYERS:
        raise WeightsError(
            f"expected {what} with 1 to {_MOST_LAYERS - 1} hidden layers, got {max(len(layers) - 1, 0)}; the file has "
            f"{listed(all_)}: is source another?"
        )
    found: Tensors = {}
    outputs = None
    for number, layer in enumerate(layers):
        weight, bias = (tensors.get(f"{layer}.{part}" if layer else part) for part in ("weight", "bias"))
        own = [name for name in tensors if name.rpartition(".")[0] == layer]
        if weight is None or bias is None or len(own) != 2 or weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise WeightsError(
                f"expected {what} of linear layers with weight and bias alone, got {listed(own)} in '{layer}': other "
                "layers are imported as ONNX; a log_std is named by network: log_std"
            )
        if outputs is not None and weight.shape[1] != outputs:
            raise WeightsError(
                f"expected {outputs} inputs of layer '{layer}', as many as the one before has outputs, got "
                f"{weight.shape[1]}: its layers are not in the order of the numbers in their names, or not a plain MLP"
            )
        outputs = weight.shape[0]
        name = "mean" if number == len(layers) - 1 else f"hidden.{number}"
        found |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return found


def _order(layer: str) -> tuple[bool, list[object]]:
    """Sorting key: action_net and actor.mu come last, numbers count as numbers."""
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(layer)]
    return layer in ("action_net", "actor.mu"), list(parts)
