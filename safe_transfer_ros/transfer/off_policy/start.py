# SPDX-License-Identifier: Apache-2.0
"""Policy file that fine-tuning begins with: a policy of its own kind, with a safety critic beside it or without."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.learning.policy_file import find
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.loading import policy_of
from safe_transfer_ros.policies.masked import CRITIC, POLICY, MaskedPolicy, part
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, read
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

CRITICS_FIRST = 2_000
"""Updates of new reward critics before a policy that was pre-trained begins to follow them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Content of such a file.

    Attributes:
      policy: Tensors of the policy.
      critic: Tensors of the safety critic; empty: there is none.
      temperature: alpha at the end of its training; None where the file does not tell.
      card: Its metadata.
    """

    policy: Tensors
    critic: Tensors
    temperature: float | None
    card: dict[str, str]


def start_of(name: str, *, deterministic: bool = False) -> Start:
    """Read a file, or the policy that is shipped under a name.

    Args:
      name: Of either.
      deterministic: Whether it must be a deterministic policy, and no squashed Gaussian one.

    Raises:
      WeightsError: if there is none, it is damaged or of another kind.
    """
    path = find(name)
    try:
        data = read_bytes(path, most_bytes=WEIGHTS_BYTES)
    except UntrustedError as error:
        raise WeightsError(str(error)) from None
    return start_from_bytes(data, str(path), deterministic=deterministic)


def start_from_bytes(data: bytes, path: str, *, deterministic: bool = False) -> Start:
    """Take a file's content; see `start_of`.

    Args:
      data: The content.
      path: Where it comes from, for errors.
      deterministic: See `start_of`.
    """
    try:
        tensors, card = read(data)
        policy = policy_of(tensors, card)
    except WeightsError as error:
        raise WeightsError(f"policy {path}: {error}") from error
    if deterministic != isinstance(policy, DeterministicPolicy):
        wanted = DeterministicPolicy.kind if deterministic else f"{SquashedPolicy.kind}, {MaskedPolicy.kind}"
        raise WeightsError(f"policy {path}: expected one of kind {wanted}, got a '{policy.kind}' one")
    if isinstance(policy, MaskedPolicy):
        found = part(tensors, POLICY), part(tensors, CRITIC)
    elif isinstance(policy, SquashedPolicy | DeterministicPolicy):
        found = tensors, {}
    else:
        raise WeightsError(
            f"policy {path}: expected one that SAC or SQRL has learned ({SquashedPolicy.kind}, {MaskedPolicy.kind}), "
            f"got a '{policy.kind}' one"
        )
    return Start(policy=found[0], critic=found[1], temperature=_temperature(card, path), card=card)


def _temperature(card: dict[str, str], name: str) -> float | None:
    if "temperature" not in card:
        return None
    try:
        found = float(card["temperature"])
    except ValueError:
        found = -1.0
    if not 0.0 < found < 1e6:
        raise WeightsError(f"policy {name}: expected a temperature above 0, got {card['temperature'][:40]!r}")
    return found
