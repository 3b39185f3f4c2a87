# SPDX-License-Identifier: Apache-2.0
"""Interface of a policy, and its construction from a file by the `kind` in the metadata.

A kind is one class in this folder, registered here. All are numpy: a policy server imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, read, write

Array = NDArray[np.float64]

GAUSSIAN, TANH_GAUSSIAN, DETERMINISTIC = "gaussian", "tanh_gaussian", "deterministic"
"""Laws an action may be drawn from: N(mean, stddev^2); bound * tanh(N(mean, stddev^2)); no law, the mean itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """An action, and the law it was drawn from; arrays of shape (..., n_actions).

    Attributes:
      action: The action, in the task's unit.
      distribution: GAUSSIAN, TANH_GAUSSIAN or DETERMINISTIC.
      mean: Parameter of the law; the action itself where that is deterministic.
      stddev: Parameter of the law, > 0; None where it is deterministic.
      bound: Largest |action|, shape (n_actions,), for a tanh Gaussian; else None.
      actor: Which of several agents acted; empty: there is one.
    """

    action: Array
    distribution: str
    mean: Array
    stddev: Array | None = None
    bound: Array | None = None
    actor: str = ""


class Policy(Protocol):
    """A policy.

    Attributes:
      kind: Name under which files say what they hold.
      observation_size: Length of an observation.
      action_size: Length of an action.
      noise_size: How many standard normal numbers an action takes.
    """

    kind: ClassVar[str]

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        ...

    @property
    def action_size(self) -> int:
        """Length of an action."""
        ...

    @property
    def noise_size(self) -> int:
        """Numbers of noise per action."""
        ...

    def begin(self) -> None:
        """Begin an episode: forget what was remembered of the one before."""
        ...

    def act(self, observation: Array, noise: Array) -> Act:
        """Choose an action.

        Args:
          observation: Shape (observation_size,), or (n, observation_size) for n episodes side by side.
          noise: Independent standard normal values, shape (noise_size,) or (n, noise_size).

        Raises:
          ValueError: if a shape does not fit.
        """
        ...


Make = Callable[[Tensors, Mapping[str, str]], Policy]
"""Makes a policy of tensors and metadata, or raises WeightsError."""


def kinds() -> dict[str, Make]:
    """Every kind of policy by name."""
    # Here, because each kind imports this module.
    from safe_transfer_ros.policies.deterministic import DeterministicPolicy
    from safe_transfer_ros.policies.forward import GaussianPolicy
    from safe_transfer_ros.policies.pair import PairPolicy
    from safe_transfer_ros.policies.recurrent import RecurrentPolicy
    from safe_transfer_ros.policies.squashed import SquashedPolicy

    made = (GaussianPolicy, SquashedPolicy, DeterministicPolicy, RecurrentPolicy, PairPolicy)
    return {policy.kind: policy for policy in made}


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
    if name not in known:
        raise WeightsError(f"{within}expected a known kind of policy, got '{name[:40]}'; {nearest(name[:40], known)}")
    try:
        return known[name](tensors, metadata)
    except WeightsError as error:
        raise WeightsError(f"{within}{error}") from error


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


def policy_to_bytes(tensors: Tensors, metadata: Mapping[str, str]) -> bytes:
    """Serialise a policy of any kind; equal tensors and metadata give equal bytes.

    Raises:
      WeightsError: if `policy_from_bytes` would refuse it.
    """
    policy_of(tensors, metadata)
    return write(tensors, metadata, sorted(tensors))
