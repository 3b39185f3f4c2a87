# SPDX-License-Identifier: Apache-2.0
"""Baselines of a dual agent: one that learns beside it, or one that is given and stays as it is.

A given one is a policy file of this package, an imported one (ONNX) too, or a Python function, for example a classical
controller. It is asked about past observations too, so its action must follow from the observation alone: no memory, no
clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.td3 import Td3
from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.contracted import ContractInTask, Sensed
from safe_transfer_ros.learning.policy_file import find
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.controller import Controller, ControllerPolicy, evaluated
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.loading import any_policy_from_bytes
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

Array = NDArray[np.float64]

_WITHOUT_MEMORY = (GaussianPolicy, SquashedPolicy, DeterministicPolicy, ControllerPolicy)
_UNSEEN = np.empty(0)


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

    def state(self) -> dict[str, Any]:
        """See `Baseline.state`."""
        return self._agent.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Baseline.restore`."""
        self._agent.restore(state)


class GivenBaseline:
    """A controller that stays as it is. Its actions are cut to their bound, as the environment does."""

    def __init__(self, controller: Controller, bound: Array) -> None:
        """Take a controller.

        Args:
          controller: See `Controller`.
          bound: Largest |action|, shape (n,).
        """
        self._controller, self._bound = controller, bound

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

    def state(self) -> dict[str, Any]:
        """See `Baseline.state`: it has none."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Baseline.restore`."""


def controller_of(name: str, *, observation_size: int, action_size: int) -> Controller:
    """Load a controller by what a person types.

    Args:
      name: A policy file, the name of a shipped policy, "module:function", or "path:function" for a Python file.
      observation_size: Of the task.
      action_size: Of the task.

    Raises:
      ValueError: if there is none, or a policy is of other sizes or has a memory.
    """
    if controllers.is_function(name):
        return controllers.function(name)
    path = find(name)
    policy, _ = any_policy_from_bytes(_content(path))
    try:
        if isinstance(policy, ContractedPolicy):
            return _of_contract(policy, observation_size=observation_size)
        return controller_of_policy(policy, observation_size=observation_size, action_size=action_size)
    except WeightsError as error:
        raise WeightsError(f"policy {path}: {error}") from None


def controller_of_policy(policy: Policy, *, observation_size: int, action_size: int) -> Controller:
    """A policy of ours as a controller, without its noise; see `controller_of`."""
    has, wants = (policy.observation_size, policy.action_size), (observation_size, action_size)
    if has != wants:
        raise WeightsError(
            f"the task has {wants[0]} observations and {wants[1]} actions, this is for {has[0]} and {has[1]}"
        )
    if not isinstance(policy, _WITHOUT_MEMORY):
        raise WeightsError(
            f"expected one whose action follows from the observation alone "
            f"({', '.join(kind.kind for kind in _WITHOUT_MEMORY)}), got a '{policy.kind}' one"
        )
    return lambda observation: without_noise(policy, observation)


def without_noise(policy: Policy, observation: Array) -> Array:
    """Actions of a policy without its noise, shape (b, n), for observations (b, k)."""
    return policy.act(observation, np.zeros((len(observation), policy.noise_size))).action


def _of_contract(policy: ContractedPolicy, *, observation_size: int) -> Controller:
    """An imported policy (ONNX) as a controller; it is asked about past observations, so it may see nothing else."""
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
    fitted = ContractInTask(policy, in_graph(contract.task))
    if fitted.observation_size and in_graph(contract.task).task.observation_size != observation_size:
        raise WeightsError(f"it is for {contract.task}, which has other observations than this task")
    nothing = np.zeros(fitted.action_size)

    def act(observation: Array) -> Array:
        rows = []
        for row in observation:
            sensed = Sensed(stamp_ns=0, position=_UNSEEN, velocity=_UNSEEN, torque_limit=np.nan, observation=row)
            mean, stddev = fitted.evaluate(sensed, nothing)
            rows.append(fitted.act(mean, stddev, nothing, sensed)[0].action)
        return np.array(rows)

    return act


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
