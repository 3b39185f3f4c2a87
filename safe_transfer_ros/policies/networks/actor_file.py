# SPDX-License-Identifier: Apache-2.0
"""An actor as the content of a policy file."""

from __future__ import annotations

from collections.abc import Mapping

from safe_transfer_ros.policies.loading import policy_to_bytes
from safe_transfer_ros.policies.networks.actors import Actor
from safe_transfer_ros.policies.networks.layers import arrays


def actor_to_bytes(actor: Actor, metadata: Mapping[str, str]) -> bytes:
    """Serialise an actor as a policy of its kind; see `policies.loading.policy_from_bytes`.

    Raises:
      WeightsError: if its parameters are not finite.
    """
    return policy_to_bytes(arrays(actor), {**metadata, "kind": actor.kind})
