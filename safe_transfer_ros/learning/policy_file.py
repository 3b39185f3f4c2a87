# SPDX-License-Identifier: Apache-2.0
"""A policy for a task: a file on disk or one that is shipped, checked against the task's sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from safe_transfer_ros import resources
from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.learning import controllers
from safe_transfer_ros.learning.contracted import ContractInTask
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.loading import AnyPolicy, any_policy_from_bytes
from safe_transfer_ros.policies.weights import Architecture, Parameters, WeightsError, from_bytes
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.tasks.robot_task import RobotTask
from safe_transfer_ros.untrusted import UntrustedError, read_bytes

Made = TypeVar("Made")


def find(name: str) -> Path:
    """Path of a policy given as a file, or by the name of a shipped one.

    Raises:
      WeightsError: there is neither such a file nor such a shipped policy.
    """
    if Path(name).is_file():
        return Path(name)
    known = shipped()
    if name in known:
        return known[name]
    raise WeightsError(f"no policy file '{name}', and none is shipped under that name; {nearest(name, known)}")


def shipped() -> dict[str, Path]:
    """Policies that come with this package, by name."""
    return {path.stem: path for path in sorted(resources.path("weights").glob("*.safetensors"))}


def load_for(task: RobotTask, name: str) -> tuple[Parameters, bytes]:
    """Load a policy and check that it fits the task.

    Args:
      task: The task it is to act in.
      name: File, or name of a shipped policy.

    Returns:
      Parameters and the bytes they came from.

    Raises:
      WeightsError: not found, corrupt, or of other sizes than the task's.
    """

    def made(data: bytes) -> Parameters:
        parameters, _ = from_bytes(data)
        check_fits(Architecture.of(parameters), task)
        return parameters

    return _read(name, made)


def load_policy(task: RobotTask, name: str) -> tuple[AnyPolicy, bytes]:
    """Load a policy of any kind and check that it, or its contract, fits the task; `load_for` takes Gaussian ones.

    Args:
      task: The task it is to act in.
      name: File, name of a shipped policy, or a function (`learning.controllers`), of which this process is then told.

    Returns:
      The policy and the bytes it came from.
    """

    def made(data: bytes) -> AnyPolicy:
        policy, _ = any_policy_from_bytes(data)
        check_fits(policy, task)
        return policy

    if controllers.is_function(name):
        data = controllers.policy_of_function(
            name, observation_size=task.observation_size, action_size=task.action_size
        )
        return made(data), data
    return _read(name, made)


def _read(name: str, made: Callable[[bytes], Made]) -> tuple[Made, bytes]:
    """Result of `made` for a policy's file, and the file's bytes; an error names the file."""
    path = find(name)
    try:
        data = read_bytes(path, most_bytes=WEIGHTS_BYTES)
    except UntrustedError as error:
        raise WeightsError(str(error)) from None
    try:
        return made(data), data
    except WeightsError as error:
        raise WeightsError(f"policy {path}: {error}") from error


def with_stddev_scaled(parameters: Parameters, factor: float) -> Parameters:
    """The same policy with its standard deviation, N·m, multiplied by `factor` > 0; the mean is untouched."""
    return {**parameters, "log_std": parameters["log_std"] + np.float32(np.log(factor))}


def with_torque_scaled(parameters: Parameters, factor: float) -> Parameters:
    """The same policy with every torque it proposes multiplied by `factor` > 0: its mean and its noise."""
    parameters = with_stddev_scaled(parameters, factor)
    scaled = {name: parameters[name] * np.float32(factor) for name in ("mean.weight", "mean.bias")}
    return {**parameters, **scaled}


def check_fits(policy: AnyPolicy | Architecture, task: RobotTask) -> None:
    """Check that a policy takes the task's observations and gives its actions, or that its contract fits the task.

    Raises:
      WeightsError: naming both pairs of sizes, or what of the contract does not fit.
    """
    if isinstance(policy, ContractedPolicy):
        ContractInTask(policy, in_graph(task.name))
        return
    has = (policy.observation_size, policy.action_size)
    wants = (task.observation_size, task.action_size)
    if has != wants:
        raise WeightsError(
            f"{task.name} has {wants[0]} observations and {wants[1]} actions, this policy is for {has[0]} and {has[1]}"
        )
