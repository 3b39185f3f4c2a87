# SPDX-License-Identifier: Apache-2.0
"""Baselines of a dual agent: one that learns beside it, or one that is given and stays as it is.

A given one is a policy file of this package or a Python function, for example a classical controller. It is asked about
past observations too, so its action must follow from the observation alone: no memory, no clock.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.algorithms.td3 import Td3
from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.learning.policy_file import find
from safe_transfer_ros.learning.transitions import Columns
from safe_transfer_ros.policies.deterministic import DeterministicPolicy
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.loading import policy_from_bytes
from safe_transfer_ros.policies.policy import Policy
from safe_transfer_ros.policies.squashed import SquashedPolicy
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.registry import load
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

Array = NDArray[np.float64]

Controller: TypeAlias = Callable[[Array], Array]
"""Actions (b, n) in the task's unit for observations (b, k)."""

_WITHOUT_MEMORY = (GaussianPolicy, SquashedPolicy, DeterministicPolicy)


class Baseline(Protocol):
    """Agent whose actions the safe one stays close to."""

    def act(self, observation: Array) -> Array:
        """Actions without noise, shape (b, n) in the task's unit, for observations (b, k)."""
        ...

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """Learn from transitions, if it does; gives numbers to watch."""
        ...

    def state(self) -> dict[str, Any]:
        """Complete state, for `restore`."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume exactly."""
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
        action = np.asarray(self._controller(np.asarray(observation, dtype=np.float64)), dtype=np.float64)
        wanted = (len(observation), len(self._bound))
        if action.shape != wanted or not np.isfinite(action).all():
            got = f"shape {action.shape}" if action.shape != wanted else "some that are not finite"
            raise ValueError(f"expected finite actions of shape {wanted} from the baseline, got {got}")
        return np.clip(action, -self._bound, self._bound)

    def update(self, columns: Columns, rng: np.random.Generator) -> Mapping[str, float]:
        """See `Baseline.update`: it does not learn."""
        return {}

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
    if _is_function(name):
        return _function(name)
    path = find(name)
    policy, _ = policy_from_bytes(_content(path))
    has, wants = (policy.observation_size, policy.action_size), (observation_size, action_size)
    if has != wants:
        raise WeightsError(
            f"policy {path}: the task has {wants[0]} observations and {wants[1]} actions, this is for {has[0]} and "
            f"{has[1]}"
        )
    if not isinstance(policy, _WITHOUT_MEMORY):
        raise WeightsError(
            f"policy {path}: expected one whose action follows from the observation alone "
            f"({', '.join(kind.kind for kind in _WITHOUT_MEMORY)}), got a '{policy.kind}' one"
        )
    return lambda observation: without_noise(policy, observation)


def without_noise(policy: Policy, observation: Array) -> Array:
    """Actions of a policy without its noise, shape (b, n), for observations (b, k)."""
    return policy.act(observation, np.zeros((len(observation), policy.noise_size))).action


def fingerprint(name: str) -> str:
    """Hash of what decides a given baseline's actions: the policy's file, or the source of the function's module.

    Raises:
      ValueError: if there is no such baseline.
    """
    if not _is_function(name):
        return hashlib.sha256(_content(find(name))).hexdigest()
    found = inspect.unwrap(_function(name))
    source = inspect.getsourcefile(found if inspect.isroutine(found) else type(found))
    return hashlib.sha256(Path(source).read_bytes() if source else name.encode()).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, most_bytes=WEIGHTS_BYTES)
    except UntrustedError as error:
        raise WeightsError(str(error)) from None


def _is_function(name: str) -> bool:
    return ":" in name and not Path(name).is_file()


def _function(name: str) -> Controller:
    where, _, attribute = name.rpartition(":")
    try:
        found = getattr(_module(Path(where)), attribute) if where.endswith(".py") else load(name)
    except (ImportError, AttributeError, OSError) as error:
        raise ValueError(
            f"expected module:function, or path:function for a Python file, got '{name}': {error}"
        ) from error
    if not callable(found):
        raise ValueError(f"expected a function of observations, got {found!r} for '{name}'")
    controller: Controller = found
    return controller


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
