# SPDX-License-Identifier: Apache-2.0
"""An imported policy within a file of ours: a baseline beside a safe agent, or behind a safety layer.

Whoever learns from a baseline asks it about past observations, which are the task's own and nothing else. So its
contract may name no other part, and its action must follow from that alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.policies.contract import Part
from safe_transfer_ros.policies.contract_fields import Numbers
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.policy import DETERMINISTIC, TANH_GAUSSIAN, Act
from safe_transfer_ros.policies.tensors import Tensors, WeightsError

Array = NDArray[np.float64]

OBSERVATION_SIZE, ACTION_NAMES = "observation_size", "action_names"
"""Entries of its metadata beside those of a `ContractedPolicy`: of the task, names with commas between."""


class ImportedPolicy:
    """A network with a contract, asked for its action without noise.

    Attributes:
      observation_size: Length of the task's observation.
      action_size: Length of an action.
      noise_size: 0.
    """

    kind: ClassVar[str] = ContractedPolicy.kind
    noise_size = 0

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str]) -> None:
        """Make it, and evaluate the network once: the first time may take long.

        Args:
          tensors: Of the network.
          metadata: Its contract, and what of the task it does not tell; see `OBSERVATION_SIZE`.

        Raises:
          WeightsError: if it is none whose action follows from the task's observation alone, or does not fit.
        """
        policy = ContractedPolicy(tensors, metadata)
        _check_alone(policy)
        contract, size = policy.contract, metadata.get(OBSERVATION_SIZE, "")
        names = tuple(metadata.get(ACTION_NAMES, "").split(","))
        given = names if contract.action.names is None else contract.action.names
        if not (size.isascii() and size.isdigit() and 0 < len(size) < 9) or sorted(given) != sorted(names):
            raise WeightsError(
                f"expected observation_size and action_names of an imported policy's task, got {size[:20]!r} and "
                f"{','.join(names)[:60]!r}"
            )
        assert policy.network is not None
        self._network, self._parts, self._rules = policy.network, contract.observation, contract.action
        self._squashes = contract.law == TANH_GAUSSIAN
        self.observation_size, self.action_size = int(size), len(names)
        self._order = [given.index(name) for name in names]
        self._scale, self._offset = (self._each(values) for values in (self._rules.scale, self._rules.offset))
        self.act(np.zeros(self.observation_size), np.zeros(0))

    def _each(self, values: Numbers) -> Array:
        if len(values) not in (1, self.action_size):
            raise WeightsError(f"expected scale and offset of 1 or {self.action_size} numbers, got {len(values)}")
        return np.broadcast_to(np.array(values), (self.action_size,))

    def begin(self) -> None:
        """Do nothing: it remembers nothing."""

    def act(self, observation: Array, noise: Array) -> Act:
        """See `Policy.act`; takes no noise. A network of others is asked row by row: it may take no more at once.

        Raises:
          WeightsError: if the network cannot be evaluated or gives another number of outputs.
        """
        seen = np.asarray(observation, dtype=np.float64)
        if seen.shape[-1:] != (self.observation_size,):
            raise ValueError(f"expected observations of {self.observation_size} values, got shape {seen.shape}")
        rows = [self._action(row) for row in seen.reshape(-1, self.observation_size)]
        action = np.array(rows).reshape(*seen.shape[:-1], self.action_size)
        return Act(action=action, distribution=DETERMINISTIC, mean=action)

    def _action(self, observation: Array) -> Array:
        output, _ = self._network(np.concatenate([_scaled(part, observation) for part in self._parts]))
        if output.size != self.action_size:
            raise WeightsError(f"expected {self.action_size} numbers of an imported policy, got {output.size}")
        output = output.reshape(self.action_size)
        if self._squashes:
            output = np.tanh(output)
        elif self._rules.clip is not None:  # what is no number stays none: bounds would hide a network that diverged
            output = np.where(np.isfinite(output), np.clip(output, *self._rules.clip), np.nan)
        return np.asarray((self._offset + self._scale * output)[self._order])


def _check_alone(policy: ContractedPolicy) -> None:
    contract = policy.contract
    seen = {part.name for part in contract.observation}
    if policy.network is None or contract.action.chunk is not None or not seen <= {"task", "constant"}:
        raise WeightsError(
            "expected an imported policy that gives one action for the observation part `task` alone, got "
            + ("a process of its own" if policy.network is None else f"one of {', '.join(sorted(seen))}")
            + ("" if contract.action.chunk is None else " that gives chunks")
        )
    if contract.action.damping:
        raise WeightsError("expected an imported policy of torques or tool motions, got one of joint targets")


def _scaled(part: Part, observation: Array) -> Array:
    """A part of what the network sees."""
    values = np.array(part.value) if part.name == "constant" else observation
    scaled: Array = (values - np.array(part.mean)) / np.array(part.stddev)
    return scaled if part.clip is None else np.clip(scaled, *part.clip)
