# SPDX-License-Identifier: Apache-2.0
"""Baselines of a dual agent: one that learns beside it, or one that is given and stays as it is.

A given one is a policy file of this package, an imported one (ONNX) too, or a Python function, for example a classical
controller. It is asked about past observations too, so its action must follow from the observation alone: no memory, no
clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.td3 import Td3
from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.contracted import ContractInTask
from safe_transfer_ros.learning.policy_file import find
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.controller import Controller, evaluated
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.imported import ACTION_NAMES, OBSERVATION_SIZE, ImportedPolicy
from safe_transfer_ros.policies.loading import Part, check_without_memory, part_policy
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.tensors import WeightsError, read
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

Array = NDArray[np.float64]


class Baseline(Protocol):
    """Agent whose actions the safe one stays close to."""

    def act(self, observation: Array) -> Array:
        """Actions without noise, shape (b, n) in the task's unit, for observations (b, k)."""
        ...

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """Learn from transitions, if it does; gives numbers to watch."""
        ...

    def policy(self) -> DeterministicPolicy | None:
        """Make its policy as it has become; None: it does not learn."""
        ...

    def part(self) -> Part | None:
        """Content of its policy, for a file that holds more than it; None where no file can."""
        ...

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly."""
        ...


@runtime_checkable
class BesideBaseline(Protocol):
    """Agent that learns beside a baseline."""

    def baseline_policy(self) -> DeterministicPolicy | None:
        """Make the baseline's policy as it has become; None: it does not learn."""
        ...


class LearnedBaseline:
    """TD3, which learns the reward alone from the transitions that both agents make."""

    def __init__(self, agent: Td3) -> None:
        """Take an agent over."""
        self._agent = agent

    def act(self, observation: Array) -> Array:
        """See `Baseline.act`."""
        return self._agent.act(observation, np.zeros((len(observation), self._agent.noise_size)))

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """See `Baseline.update`."""
        return self._agent.update(columns, rng)

    def policy(self) -> DeterministicPolicy:
        """See `Baseline.policy`."""
        return self._agent.policy()

    def part(self) -> Part:
        """See `Baseline.part`."""
        return read(self._agent.policy_file({}))

    def state(self) -> dict[str, Any]:
        """See `Baseline.state`."""
        return self._agent.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Baseline.restore`."""
        self._agent.restore(state)


class GivenBaseline:
    """A controller that stays as it is. Its actions are cut to their bound, as the environment does."""

    def __init__(self, controller: Controller, bound: Array, part: Part | None = None) -> None:
        """Take a controller.

        Args:
          controller: See `Controller`.
          bound: Largest |action|, shape (n,).
          part: The same as a policy; see `Baseline.part`.
        """
        self._controller, self._bound, self._part = controller, bound, part

    def act(self, observation: Array) -> Array:
        """See `Baseline.act`.

        Raises:
          ValueError: if the controller gives actions of another shape, or one that is not finite.
        """
        action = evaluated(self._controller, observation, len(self._bound), what="baseline")
        return np.clip(action, -self._bound, self._bound)

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """See `Baseline.update`: it does not learn."""
        return {}

    def policy(self) -> None:
        """See `Baseline.policy`: it does not learn."""

    def part(self) -> Part | None:
        """See `Baseline.part`."""
        return self._part

    def state(self) -> dict[str, Any]:
        """See `Baseline.state`: it has none."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Baseline.restore`."""


def given_baseline(name: str, *, observation_size: int, bound: Array) -> GivenBaseline:
    """Load a baseline by what a person types.

    Args:
      name: See `part_of`.
      observation_size: Of the task.
      bound: Largest |action|, shape (n,).

    Raises:
      ValueError: if there is none, or a policy is of other sizes or has a memory.
    """
    part = part_of(name, observation_size=observation_size, action_size=len(bound))
    policy = part_policy(*part)
    # A function is asked itself: what it must not do is then told of it, and not of a policy around it.
    controller = controllers.function(name) if controllers.is_function(name) else partial(without_noise, policy)
    return GivenBaseline(controller, bound, part)


def part_of(name: str, *, observation_size: int, action_size: int) -> Part:
    """Load a policy whose action follows from the task's observation alone, as a file may hold it beside more.

    Args:
      name: A policy file, the name of a shipped policy, "module:function", or "path:function" for a Python file.
      observation_size: Of the task.
      action_size: Of the task.

    Raises:
      ValueError: if there is none, or a policy is of other sizes or has a memory.
    """
    if controllers.is_function(name):
        made = controllers.policy_of_function(name, observation_size=observation_size, action_size=action_size)
        return read(made)
    path = find(name)
    try:
        part = alone(read(_content(path)))
        baseline_policy(part, observation_size=observation_size, action_size=action_size)
    except WeightsError as error:
        raise WeightsError(f"policy {path}: {error}") from None
    return part


def alone(part: Part) -> Part:
    """The same, as it stands within another file: of an imported policy with what its contract does not tell.

    Raises:
      WeightsError: if the contract of an imported one does not fit its task.
    """
    tensors, about = part
    if about.get("kind") != ImportedPolicy.kind or OBSERVATION_SIZE in about:
        return part
    policy = ContractedPolicy(tensors, about)
    graph = in_graph(policy.contract.task)
    names = ContractInTask(policy, graph).action_names
    told = {OBSERVATION_SIZE: str(graph.task.observation_size), ACTION_NAMES: ",".join(names)}
    return tensors, {**about, **told}


def baseline_policy(part: Part, *, observation_size: int, action_size: int) -> Policy:
    """Make a policy that a baseline can be.

    Raises:
      WeightsError: if it is of other sizes or has a memory.
    """
    policy = part_policy(*part)
    has, wants = (policy.observation_size, policy.action_size), (observation_size, action_size)
    if has != wants:
        raise WeightsError(
            f"the task has {wants[0]} observations and {wants[1]} actions, this is for {has[0]} and {has[1]}"
        )
    check_without_memory(policy)
    return policy


def without_noise(policy: Policy, observation: Array) -> Array:
    """Actions of a policy without its noise, shape (b, n), for observations (b, k)."""
    return policy.act(observation, np.zeros((len(observation), policy.noise_size))).action


def fingerprint(name: str) -> str:
    """Hash of what decides a given baseline's actions: the policy's file, or a function and its module's source.

    Raises:
      ValueError: if there is no such baseline.
    """
    return (
        controllers.fingerprint(name)
        if controllers.is_function(name)
        else hashlib.sha256(_content(find(name))).hexdigest()
    )


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, most_bytes=WEIGHTS_BYTES)
    except UntrustedError as error:
        raise WeightsError(str(error)) from None
