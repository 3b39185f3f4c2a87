# SPDX-License-Identifier: Apache-2.0
"""Checks of an imported policy before anything moves: on sampled, on recorded and on its maker's observations."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.learning.contracted import CameraImage, ContractInTask, Sensed
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.foreign.archive import Archive
from safe_transfer_ros.randomness import Purpose, generator
from safe_transfer_ros.tasks.deployment import TaskInGraph

Array = NDArray[np.float64]

TOLERANCE = 1e-4
"""Largest difference from the source, per unit of its largest output or absolute below 1: both compute in float32."""

_MOST_EXAMPLES = 100_000


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Result of a check.

    Attributes:
      observations: How many were evaluated.
      lowest: Smallest action per joint or axis, shape (action_size,), in the task's unit.
      highest: Largest.
      difference: Largest difference from the source's own outputs; None where it was not evaluated.
    """

    observations: int
    lowest: Array
    highest: Array
    difference: float | None


def sampled(graph: TaskInGraph, count: int, seed: int = 0) -> Iterator[Sensed]:
    """Draw states all over what a robot can do: joints within their limits, up to a third of their speed.

    Args:
      graph: The task.
      count: How many.
      seed: Equal seeds give equal states.
    """
    task, rng = graph.task, generator(Purpose.IMPORT_CHECK, seed)
    limits, home = task.robot.limits, task.robot.home
    lower = np.where(np.isfinite(limits.lower), limits.lower, home - np.pi)
    upper = np.where(np.isfinite(limits.upper), limits.upper, home + np.pi)
    speed = np.where(np.isfinite(limits.velocity), limits.velocity, 3.0) / 3.0
    view = graph.view(seed, lockstep=True)
    view.begin(0, 0)
    for number in range(count):
        position = rng.uniform(lower, upper)
        velocity = rng.uniform(-speed, speed)
        limit = float(rng.uniform(0.1, float(np.min(limits.effort))))
        pose = None
        if graph.tracks_object:
            turn = rng.standard_normal(4)
            pose = np.concatenate([rng.uniform(-1.0, 1.0, 3), turn / np.linalg.norm(turn)])
            view.see(number, pose)
        yield Sensed(
            stamp_ns=number,
            position=position,
            velocity=velocity,
            torque_limit=limit,
            observation=view.observe(position, velocity, limit),
            object_pose=pose,
        )


def check_outputs(
    fitted: ContractInTask, states: Iterable[Sensed], source: Callable[[Array], Array] | None = None
) -> Checked:
    """Evaluate a policy on states, and its source beside it.

    Args:
      fitted: The policy in its task; it has a network.
      states: At least one.
      source: Gives the source's own outputs for an observation.

    Raises:
      ContractError: if an observation or an action is not finite, or the outputs differ from the source's.
    """
    last, actions, largest = np.zeros(fitted.action_size), [], 0.0
    image, pixels = fitted.policy.contract.image, generator(Purpose.IMPORT_CHECK, 1)
    for number, sensed in enumerate(states):
        if image is not None:  # of noise: no state here comes with one
            drawn = pixels.integers(0, 256, image.shape, dtype=np.uint8)
            sensed = dataclasses.replace(sensed, image=CameraImage(stamp_ns=sensed.stamp_ns, pixels=drawn))
        observation = fitted.observe(sensed, last)
        if not np.isfinite(observation).all():
            raise ContractError(f"observation {number}: expected finite numbers, got {_first_bad(observation)}")
        mean, stddev = fitted.evaluate(sensed, last)
        if source is not None:
            difference = check_same(mean.reshape(-1), source(observation), number)
            largest = max(largest, difference)
        row, spread = (mean, stddev) if mean.ndim == 1 else (mean[0], None)
        act, last = fitted.act(row, spread, np.zeros(fitted.action_size), sensed)
        if not np.isfinite(act.action).all():
            raise ContractError(
                f"observation {number}: expected finite actions, got {_first_bad(act.action)}: the policy diverged, or "
                "the contract's scaling is not its own"
            )
        actions.append(act.action)
    if not actions:
        raise ContractError("expected at least one state to check the policy on, got none: is the recording empty?")
    return Checked(
        observations=len(actions),
        lowest=np.min(actions, axis=0),
        highest=np.max(actions, axis=0),
        difference=None if source is None else largest,
    )


def check_examples(fitted: ContractInTask, data: bytes) -> int:
    """Compare a policy with pairs that its maker recorded: the network's input, scaled, and its output without noise.

    Args:
      fitted: The policy in its task; it has a network.
      data: An .npz file with observation, shape (n, observation_size), and output, shape (n, outputs): before the
        contract's scaling of actions, after any squashing.

    Returns:
      How many pairs there are.

    Raises:
      ContractError: if they are not such pairs, or one differs.
    """
    observations, outputs = _examples(data)
    network = fitted.policy.network
    if network is None:
        raise ContractError("a process of its own has no network to compare with examples: leave --examples out")
    if observations.shape[1] != fitted.observation_size:
        raise ContractError(
            f"examples: expected observations of {fitted.observation_size} numbers, got {observations.shape[1]}"
        )
    squashed = fitted.policy.contract.law == "tanh_gaussian"
    for number, (observation, output) in enumerate(zip(observations, outputs, strict=True)):
        mean = network(observation)[0]
        check_same(np.tanh(mean) if squashed else mean, output, number)
    return len(observations)


def _examples(data: bytes) -> tuple[Array, Array]:
    archive = Archive(data, "the examples (.npz)")
    observations, outputs = (_array(archive, name) for name in ("observation", "output"))
    if not (observations.ndim == outputs.ndim == 2 and 0 < len(observations) == len(outputs) <= _MOST_EXAMPLES):
        raise ContractError(
            f"examples: expected observation (n, k) and output (n, m), 0 < n <= {_MOST_EXAMPLES}, got shapes "
            f"{observations.shape} and {outputs.shape}"
        )
    return observations, outputs


def _array(archive: Archive, name: str) -> Array:
    content = archive.read(f"{name}.npy", most_bytes=WEIGHTS_BYTES)
    try:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), dtype=np.float64)
    except Exception as error:  # numpy's own: a stranger's bytes may raise anything
        raise ContractError(f"examples: expected {name} as an array of numbers: {error}") from None


def check_same(ours: Array, theirs: Array, number: int) -> float:
    """Largest difference of outputs from those of the source, both shape (outputs,).

    Raises:
      ContractError: if it is more than `TOLERANCE` allows, naming the observation's number.
    """
    if ours.shape != theirs.shape:
        raise ContractError(f"observation {number}: expected {theirs.size} outputs as of the source, got {ours.size}")
    difference = float(np.max(np.abs(ours - theirs)))
    allowed = TOLERANCE * max(1.0, float(np.max(np.abs(theirs))))
    if not difference <= allowed:
        raise ContractError(
            f"observation {number}: expected the source's outputs within {allowed:.1g}, got a difference of "
            f"{difference:.3g}: is network: activation another, or squash_output?"
        )
    return difference


def _first_bad(values: Array) -> str:
    index = int(np.flatnonzero(~np.isfinite(values))[0])
    return f"{values[index]} at place {index}"
