# SPDX-License-Identifier: Apache-2.0
"""Construction of a policy from a file, by the `kind` in its metadata.

A kind is one class in this folder, listed here. All are numpy: a policy server imports no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import numpy as np

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.controller import ControllerPolicy
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.imported import ImportedPolicy
from safe_transfer_ros.policies.layered import BASELINE, LayeredPolicy
from safe_transfer_ros.policies.masked import MaskedPolicy
from safe_transfer_ros.policies.pair import ACTORS, PairPolicy
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.recurrent import RecurrentPolicy
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, read, write
from safe_transfer_ros.policies.visual import VisualPolicy

Make = Callable[[Tensors, Mapping[str, str]], Policy]
"""Makes a policy of tensors and metadata, or raises WeightsError."""

Part = tuple[Tensors, dict[str, str]]
"""Tensors and metadata of a policy within another's file."""

_WITHOUT_MEMORY = (GaussianPolicy, SquashedPolicy, DeterministicPolicy, ControllerPolicy, ImportedPolicy)

AnyPolicy = Policy | ContractedPolicy
"""A policy of ours, which takes a task's observation, or one that comes with a contract."""


def kinds() -> dict[str, Make]:
    """Every kind of policy by name."""
    made: tuple[type[Policy], ...] = (
        GaussianPolicy,
        SquashedPolicy,
        DeterministicPolicy,
        RecurrentPolicy,
        MaskedPolicy,
        ControllerPolicy,
        VisualPolicy,
    )
    return {policy.kind: policy for policy in made} | {PairPolicy.kind: pair_of, LayeredPolicy.kind: layered_of}


def pair_of(tensors: Tensors, metadata: Mapping[str, str]) -> PairPolicy:
    """Make a pair of agents.

    Args:
      tensors: Those of the agents, their names behind "baseline." and "safe.".
      metadata: baseline_share, in [0, 1]; baseline and safe: each agent's own metadata, with its kind, as JSON;
        exploration, at least 0, where actions are drawn around either's own, in fractions of the safe one's `bound`.

    Raises:
      WeightsError: if they are not those of a pair.
    """
    agents = {
        actor: part_policy(own, about, within=f"{actor}: ")
        for actor, (own, about) in parts_of(tensors, metadata).items()
    }
    exploration = _exploration(metadata.get("exploration", "0"))
    bound = tensors.get("safe.bound")
    if exploration and bound is None:
        raise WeightsError(
            "expected a safe agent with a `bound` in a pair that explores: its noise is a fraction of it"
        )
    spread = None if not exploration or bound is None else exploration * bound.astype(np.float64)
    return PairPolicy(agents, _share(metadata.get("baseline_share", "0")), spread=spread)


def layered_of(tensors: Tensors, metadata: Mapping[str, str]) -> LayeredPolicy:
    """Make a policy behind a safety layer.

    Args:
      tensors: Those of the baseline, their names behind "baseline.", and those of `LayeredPolicy`.
      metadata: limit; baseline: the baseline's own metadata, with its kind, as JSON.

    Raises:
      WeightsError: if they are not those of such a policy, or the baseline remembers.
    """
    within = f"{BASELINE}."
    own = {name.removeprefix(within): array for name, array in tensors.items() if name.startswith(within)}
    about = _metadata(metadata.get(BASELINE, "{}"), BASELINE)
    baseline = part_policy(own, about, within=f"{BASELINE}: ")
    try:
        check_without_memory(baseline)
    except WeightsError as error:
        raise WeightsError(f"{BASELINE}: {error}") from None
    layer = {name: array for name, array in tensors.items() if not name.startswith(within)}
    return LayeredPolicy(baseline, layer, metadata)


def check_without_memory(policy: Policy) -> None:
    """Check that a policy's action, but for its noise, follows from the observation alone.

    Raises:
      WeightsError: if it is of another kind.
    """
    if not isinstance(policy, _WITHOUT_MEMORY):
        raise WeightsError(
            "expected one whose action follows from the observation alone "
            f"({', '.join(kind.kind for kind in _WITHOUT_MEMORY)}), got a '{policy.kind}' one"
        )


def layered_to_bytes(baseline: Part, layer: Tensors, metadata: Mapping[str, str]) -> bytes:
    """Serialise a policy behind a safety layer.

    Args:
      baseline: The policy.
      layer: Tensors of `LayeredPolicy`.
      metadata: With its limit.

    Raises:
      WeightsError: if `any_policy_from_bytes` would refuse it.
    """
    own, about = baseline
    tensors = layer | {f"{BASELINE}.{name}": array for name, array in own.items()}
    kind = {"kind": LayeredPolicy.kind, BASELINE: json.dumps(dict(about), sort_keys=True)}
    return policy_to_bytes(tensors, {**metadata, **kind})


def parts_of(tensors: Tensors, metadata: Mapping[str, str]) -> dict[str, Part]:
    """Tensors and metadata of each agent of a pair, by its name; see `pair_of`.

    Raises:
      WeightsError: if there are others, or an agent's metadata cannot be read.
    """
    parts: dict[str, Part] = {}
    for actor in ACTORS:
        within = f"{actor}."
        own = {name.removeprefix(within): array for name, array in tensors.items() if name.startswith(within)}
        parts[actor] = own, _metadata(metadata.get(actor, "{}"), actor)
    strangers = [name for name in tensors if name.split(".")[0] not in ACTORS]
    if strangers:
        raise WeightsError(f"expected tensors of {' and '.join(ACTORS)} only, got {strangers[:4]}")
    return parts


def pair_to_bytes(parts: Mapping[str, tuple[Tensors, Mapping[str, str]]], metadata: Mapping[str, str]) -> bytes:
    """Serialise a pair of agents: what `parts_of` gives, and metadata of the pair.

    Raises:
      WeightsError: if `any_policy_from_bytes` would refuse it.
    """
    tensors = {f"{actor}.{name}": array for actor, (own, _) in parts.items() for name, array in own.items()}
    about = {actor: json.dumps(dict(own), sort_keys=True) for actor, (_, own) in parts.items()}
    return policy_to_bytes(tensors, {**metadata, "kind": PairPolicy.kind, **about})


def part_policy(tensors: Tensors, metadata: Mapping[str, str], *, within: str = "") -> Policy:
    """Make a policy that stands within another's file: as `policy_of`, and imported ones of their observation alone."""
    if metadata.get("kind") != ContractedPolicy.kind:
        return policy_of(tensors, metadata, within=within)
    try:
        return ImportedPolicy(tensors, metadata)
    except WeightsError as error:
        raise WeightsError(f"{within}{error}") from error
    except Exception as error:  # a stranger's network: whatever it raises is a refusal, and no end of a node
        raise WeightsError(f"{within}expected an imported policy, got one that cannot be evaluated: {error}") from error


def policy_of(tensors: Tensors, metadata: Mapping[str, str], *, within: str = "") -> Policy:
    """Make a policy of tensors by the `kind` its metadata names; `gaussian` where it names none.

    Args:
      tensors: Arrays by name.
      metadata: With `kind`.
      within: Put before the message of an error.

    Raises:
      WeightsError: if the kind is unknown or the tensors are not its own.
    """
    name, known = metadata.get("kind", "gaussian"), kinds()
    if name == ContractedPolicy.kind:
        raise WeightsError(
            f"{within}expected a policy that takes the task's observation, got an imported one with a contract, which "
            "a graph runs (safe_transfer up ... learner:=none) and safe_transfer_ros.rollout"
        )
    if name not in known:
        raise WeightsError(f"{within}expected a known kind of policy, got '{name[:40]}'; {nearest(name[:40], known)}")
    try:
        return known[name](tensors, metadata)
    except WeightsError as error:
        raise WeightsError(f"{within}{error}") from error
    except Exception as error:  # a stranger's tensors: whatever they raise is a refusal, and no end of a node
        raise WeightsError(f"{within}expected a policy of kind {name}, got tensors that are none: {error}") from error


def policy_from_bytes(data: bytes, *, sha256: str | None = None) -> tuple[Policy, dict[str, str]]:
    """Make the policy that a file or a message holds, or refuse it whole.

    Args:
      data: A safetensors file's content.
      sha256: Hexadecimal hash the bytes must have; None skips that check.

    Returns:
      The policy and its metadata.

    Raises:
      WeightsError: on any deviation.
    """
    tensors, metadata = read(data, sha256=sha256)
    return policy_of(tensors, metadata), metadata


def any_policy_from_bytes(data: bytes, *, sha256: str | None = None) -> tuple[AnyPolicy, dict[str, str]]:
    """Make the policy that a file or a message holds, with a contract or without; see `policy_from_bytes`."""
    tensors, metadata = read(data, sha256=sha256)
    return _any_policy_of(tensors, metadata), metadata


def policy_to_bytes(tensors: Tensors, metadata: Mapping[str, str]) -> bytes:
    """Serialise a policy of any kind, with a contract or without; equal tensors and metadata give equal bytes.

    Raises:
      WeightsError: if `any_policy_from_bytes` would refuse it.
    """
    _any_policy_of(tensors, metadata)
    return write(tensors, metadata, sorted(tensors))


def _any_policy_of(tensors: Tensors, metadata: Mapping[str, str]) -> AnyPolicy:
    if metadata.get("kind") == ContractedPolicy.kind:
        return ContractedPolicy(tensors, metadata)
    return policy_of(tensors, metadata)


def _metadata(text: str, actor: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{actor}: expected its metadata as JSON, got {text[:60]!r}") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise WeightsError(f"{actor}: expected its metadata as an object of strings, got {text[:60]!r}")
    if found.get("kind") == PairPolicy.kind:
        raise WeightsError(f"{actor}: a pair of pairs is not supported")
    if found.get("kind") == LayeredPolicy.kind:
        raise WeightsError(f"{actor}: a policy behind a safety layer is not supported within another's file")
    return found


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0.0 <= share <= 1.0:
        raise WeightsError(f"expected baseline_share in [0, 1], got {text[:60]!r}")
    return share


def _exploration(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0.0 <= found < math.inf:
        raise WeightsError(f"expected exploration of at least 0, got {text[:60]!r}")
    return found
