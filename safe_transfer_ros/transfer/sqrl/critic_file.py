# SPDX-License-Identifier: Apache-2.0
"""SQRL's critic as the filter's gate takes it, and a critic of recordings as SQRL takes it.

Both judge the same inputs by the same layers, and differ in what stands before these: SQRL's own takes observations as
they are and actions as fractions of their bound, a critic of recordings normalises both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.critics.safety_critic import LoadedCritic, critic_to_bytes
from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.masked import CRITIC, POLICY, MaskedPolicy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError
from safe_transfer_ros.transfer.off_policy.start import Start
from safe_transfer_ros.transfer.sqrl.agent import limit_card
from safe_transfer_ros.transfer.sqrl.settings import SqrlSettings, horizon_seen

Array = NDArray[np.float64]


def gate_critic(layers: Mapping[str, NDArray[np.float32]], bound: Array, card: Mapping[str, Any]) -> bytes:
    """Serialise SQRL's critic as a critic of the filter.

    Args:
      layers: layer.L.weight, layer.L.bias, of inputs (o, a / bound).
      bound: Largest |action|, shape (n,).
      card: Of the model; see `critics.training.model_card`. It has no rule of support: support off.
    """
    inputs = layers["layer.0.weight"].shape[2]
    scale = np.concatenate([np.ones(inputs - len(bound)), bound])
    before = {
        "input.mean": np.zeros(inputs, np.float32),
        "input.scale": scale.astype(np.float32),
        "support.factor": np.eye(inputs, dtype=np.float32),
    }
    about = {"observation_size": inputs - len(bound), "support": {"rule": "off", "limit": 1.0}}
    return critic_to_bytes({**before, **layers}, {**card, **about})


def layers_of(critic: LoadedCritic, bound: Array) -> Tensors:
    """Layers of a critic of recordings, of inputs (o, a / bound): what comes before them is made part of the first.

    Its rule of support is lost.

    Args:
      critic: From a file.
      bound: Largest |action|, shape (n,).

    Raises:
      WeightsError: if it judges actions of another length.
    """
    if critic.critic.action_size != len(bound):
        raise WeightsError(
            f"expected a critic of {len(bound)} action numbers, as the policy has, got {critic.critic.action_size}"
        )
    parameters = {name: array.astype(np.float64) for name, array in critic.parameters.items()}
    weight = parameters["layer.0.weight"] / parameters["input.scale"]
    shift = weight @ parameters["input.mean"]
    weight[..., critic.critic.observation_size :] *= bound
    folded = {**parameters, "layer.0.weight": weight, "layer.0.bias": parameters["layer.0.bias"] - shift}
    return {name: array.astype(np.float32) for name, array in folded.items() if name.startswith("layer.")}


def with_critic(
    start: Start, critic: LoadedCritic, limit_input: tuple[int, float] | None, metadata: Mapping[str, str]
) -> bytes:
    """One file of a policy and a critic of recordings, as SQRL's pre-training writes it.

    Args:
      start: Has the policy.
      critic: Of the same task.
      limit_input: See `Task.limit_input`.
      metadata: Of the file, beside its card.

    Raises:
      WeightsError: if they do not fit together, or the critic is none of SQRL's.
    """
    if critic.card.get("kind") != "SQRL":
        raise WeightsError(f"expected a critic trained without --conservative, got one of kind {critic.card['kind']}")
    epsilon, gamma = critic.number("epsilon"), critic.number("gamma_safe")
    bound = start.policy["bound"].astype(np.float64)
    seen = start.policy["hidden.0.weight"].shape[1]
    if critic.critic.observation_size != seen:
        raise WeightsError(f"expected a critic of {seen} observed numbers, got {critic.critic.observation_size}")
    tensors = {f"{POLICY}{name}": array for name, array in start.policy.items()}
    tensors |= {f"{CRITIC}{name}": array for name, array in layers_of(critic, bound).items()}
    card = {
        **metadata,
        "kind": MaskedPolicy.kind,
        "epsilon": repr(epsilon),
        "gamma_safe": repr(gamma),
        "horizon": str(horizon_seen(epsilon, gamma)),
        "candidates": str(SqrlSettings.candidates),
        "critic": critic.version,
    }
    card |= {} if start.temperature is None else {"temperature": repr(start.temperature)}
    return policy_to_bytes(tensors, card | limit_card(limit_input))
