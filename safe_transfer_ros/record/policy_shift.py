# SPDX-License-Identifier: Apache-2.0
"""The change of the policy in the states of an iteration, from the weights that were sent and the ledger.

The unsafety monitor, the in-process loop and the recomputation from a bag all call `policy_shift`, so that dp_u2 per
state can differ between them only where their data do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import WeightsError, from_bytes
from safe_transfer_ros.safety.limit.rules import PolicyShift
from safe_transfer_ros.safety.limit.unsafety import LedgerTotals


def updated_policy(update: Any) -> GaussianPolicy:
    """The Gaussian policy that a PolicyWeights message holds.

    Args:
      update: The message.

    Raises:
      WeightsError: if it holds none, or its hash is not that of its data.
    """
    try:
        parameters, _ = from_bytes(bytes(update.data), sha256=str(update.sha256))
    except WeightsError as error:
        raise WeightsError(f"kl 'per_state' compares Gaussian policies: {error}") from error
    return GaussianPolicy(parameters)


def policy_shift(totals: LedgerTotals, updated: GaussianPolicy) -> PolicyShift:
    """The policy of an iteration against the updated one, in every state that was decided on.

    Args:
      totals: The ledger's totals, with observations.
      updated: The policy learned from them.

    Raises:
      ValueError: if the policy does not take such observations.
    """
    return PolicyShift(
        mean=totals.mean,
        stddev=totals.stddev,
        mean_after=updated.mean(totals.observation),
        stddev_after=np.broadcast_to(updated.stddev, totals.mean.shape),
    )
