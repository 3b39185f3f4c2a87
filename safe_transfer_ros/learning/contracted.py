# SPDX-License-Identifier: Apache-2.0
"""A contract in a task: whether it fits, what the policy then observes, and what its outputs are as an action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.policies.contract import POSITION_TARGET, TOOL, ImageRules, Part, size_of
from safe_transfer_ros.policies.contract_fields import ContractError, Numbers
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.policy import DETERMINISTIC, GAUSSIAN, TANH_GAUSSIAN, Act
from safe_transfer_ros.policies.squashed import LOG_STD_MAX, LOG_STD_MIN
from safe_transfer_ros.tasks.deployment import TaskInGraph

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraImage:
    """An image, as the policy's contract has it.

    Attributes:
      stamp_ns: Of its exposure, by the robot's clock, ns.
      pixels: Shape (height, width, channels), in the contract's encoding.
    """

    stamp_ns: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sensed:
    """Knowledge of a graph when an action is due.

    Attributes:
      stamp_ns: Of the joint state, ns.
      position: Joint positions, shape (n_joints,), rad.
      velocity: Joint velocities, same shape, rad/s.
      torque_limit: In force, N·m.
      observation: The task's own, shape (observation_size,).
      object_pose: Of the task's object, x y z, m, and quaternion x y z w, base frame, shape (7,); None without one.
      image: Newest of the camera's, for a policy that sees; None before the first.
    """

    stamp_ns: int
    position: Array
    velocity: Array
    torque_limit: float
    observation: Array
    object_pose: Array | None = None
    image: CameraImage | None = None


class ContractInTask:
    """Translation between a task and a policy that is held to a contract.

    Attributes:
      policy: The policy.
      action_names: Joints, or axes of the tool's motion, in the task's order.
      action_size: Length of an action.
      observation_size: Length of what the policy observes; 0 for a process of its own.
    """

    def __init__(self, policy: ContractedPolicy, graph: TaskInGraph) -> None:
        """Check that they fit.

        Raises:
          ContractError: naming what does not, what was expected and what came.
        """
        contract = policy.contract
        self.policy, self._contract, self._graph = policy, contract, graph
        if contract.task != graph.task.name:
            raise ContractError(f"expected a contract for the task {graph.task.name}, got one for {contract.task}")
        self.action_names, self.action_size = graph.action_names, len(graph.action_names)
        self._check_kind()
        self._order = self._positions()
        self._scale, self._offset = (
            self._spread(contract.action.scale, "scale"),
            self._spread(contract.action.offset, "offset"),
        )
        self._stddev = self._spread(contract.stddev, "stddev") if contract.stddev else None
        self._stiffness = self._spread(contract.action.stiffness or (0.0,), "stiffness")
        self._damping = self._spread(contract.action.damping or (0.0,), "damping")
        self._parts = [self._input(number, part) for number, part in enumerate(contract.observation, 1)]
        self.observation_size = sum(size for size, _ in self._parts)
        self._check_network()

    # Whether it fits ---

    def _check_kind(self) -> None:
        kind, torques = self._contract.action.kind, self._graph.torques
        if (kind == TOOL) == torques:
            expected = "torque, joint_position or joint_velocity" if torques else "tool_motion"
            raise ContractError(f"action: expected kind {expected} in {self._contract.task}, got {kind}")

    def _positions(self) -> list[int]:
        """For each of the task's action names its place in the policy's order."""
        own, given = self._graph.action_names, self._contract.action.names
        if given is None:
            return list(range(len(own)))
        _check_known("action: names", given, own)
        if len(given) != len(own):
            missing = ", ".join(name for name in own if name not in given)
            raise ContractError(f"action: names: expected all of {self._contract.task}, missing: {missing}")
        return [given.index(name) for name in own]

    def _spread(self, values: Numbers, what: str) -> Array:
        size_of(values, self.action_size, f"action: {what}")
        return np.broadcast_to(np.array(values), (self.action_size,))

    def _check_network(self) -> None:
        network, chunk = self.policy.network, self._contract.action.chunk
        if network is None:
            return
        if network.input_size not in (None, self.observation_size):
            parts = ", ".join(
                f"{part.name} {size}" for part, (size, _) in zip(self._contract.observation, self._parts, strict=True)
            )
            raise ContractError(
                f"observation: the network takes {network.input_size} numbers, the contract's parts are "
                f"{self.observation_size} ({parts}): correct the parts or their order"
            )
        outputs = self.action_size * (1 if chunk is None else chunk.length)
        if network.output_size not in (None, outputs):
            rows = "" if chunk is None else f" x chunk length {chunk.length}"
            raise ContractError(
                f"action: the network gives {network.output_size} numbers, {self._contract.task} takes "
                f"{self.action_size}{rows}: is it a policy for another robot, or chunk missing or wrong?"
            )

    # What it observes ---

    def _input(self, number: int, part: Part) -> tuple[int, Callable[[Sensed, Array], Array]]:
        """Length of a part, and what gives it."""
        where = f"observation part {number} ({part.name})"
        size, raw = self._raw(part, where)
        for values, what in ((part.mean, "mean"), (part.stddev, "stddev")):
            size_of(values, size if part.image is None else part.image.shape[2], f"{where}: {what}")
        mean, stddev, clip = np.array(part.mean), np.array(part.stddev), part.clip
        if part.image is not None:
            mean, stddev = (
                _arranged(np.broadcast_to(values, part.image.shape), part.image) for values in (mean, stddev)
            )

        def scaled(sensed: Sensed, last: Array) -> Array:
            values: Array = (raw(sensed, last) - mean) / stddev
            return values if clip is None else np.clip(values, clip[0], clip[1])

        return size, scaled

    def _raw(self, part: Part, where: str) -> tuple[int, Callable[[Sensed, Array], Array]]:
        task, chain = self._graph.task, self._graph.task.chain
        if part.name in ("joint_position", "joint_velocity"):
            names = task.robot.joint_names
            chosen = names if part.joints is None else part.joints
            _check_known(f"{where}: joints", chosen, names)
            indices = [names.index(name) for name in chosen]
            if part.name == "joint_position":
                return len(indices), lambda sensed, _: sensed.position[indices]
            return len(indices), lambda sensed, _: sensed.velocity[indices]
        if part.name in ("object_position", "object_quaternion"):
            if not self._graph.tracks_object:
                raise ContractError(f"{where}: {task.name} has no object whose pose is known: leave the part out")
            if part.name == "object_position":
                return 3, lambda sensed, _: _pose(sensed)[:3]
            return 4, lambda sensed, _: _upright(_pose(sensed)[3:])
        if part.image is not None:
            image = part.image
            return int(np.prod(image.shape)), lambda sensed, _: _arranged(_pixels(sensed, image), image)
        value = np.array(part.value)
        return {
            "task": (task.observation_size, lambda sensed, _: sensed.observation),
            "tool_position": (3, lambda sensed, _: chain.tool_position(sensed.position)),
            "tool_quaternion": (4, lambda sensed, _: _quaternion(chain.tool_rotation(sensed.position))),
            "tool_matrix": (9, lambda sensed, _: chain.tool_rotation(sensed.position).reshape(9)),
            "torque_limit": (1, lambda sensed, _: np.array([sensed.torque_limit])),
            "last_action": (self.action_size, lambda _, last: last),
            "constant": (len(value), lambda *_: value),
        }[part.name]

    def observe(self, sensed: Sensed, last_output: Array) -> Array:
        """Observation of the policy, shape (observation_size,).

        Args:
          sensed: What the graph knows.
          last_output: What the policy gave last, before scaling, shape (action_size,); 0 at the start of an episode.
        """
        return np.concatenate([made(sensed, last_output) for _, made in self._parts])

    # What it gives ---

    def evaluate(self, sensed: Sensed, last_output: Array) -> tuple[Array, Array | None]:
        """Outputs of the network, shape (action_size,) or (length, action_size), and their standard deviation or None.

        Raises:
          ContractError: if it gives another number of them than the contract says.
        """
        network, chunk = self.policy.network, self._contract.action.chunk
        if network is None:
            raise ContractError("a process of its own has no network here")
        mean, log_std = network(self.observe(sensed, last_output))
        shape = (self.action_size,) if chunk is None else (chunk.length, self.action_size)
        if mean.size != np.prod(shape):
            raise ContractError(f"action: expected {np.prod(shape)} numbers of the network, got {mean.size}")
        mean = mean.reshape(shape)
        if self._contract.law == DETERMINISTIC:
            return mean, None
        if log_std is None:
            return mean, np.broadcast_to(np.array(self._contract.stddev), shape)
        squashed = self._contract.law == TANH_GAUSSIAN
        return mean, np.exp(np.clip(log_std, LOG_STD_MIN, LOG_STD_MAX) if squashed else log_std)

    def act(self, mean: Array, stddev: Array | None, noise: Array, sensed: Sensed) -> tuple[Act, Array]:
        """Action of one row of outputs, in the task's unit and order, and the output that was drawn.

        Args:
          mean: Output of the network, shape (action_size,).
          stddev: Its standard deviation, same shape; None: nothing is drawn.
          noise: Independent standard normal values, same shape, or none where nothing is drawn.
          sensed: What the graph knows.
        """
        drawn = mean if stddev is None else mean + stddev * noise
        order = self._order
        if self._contract.law == TANH_GAUSSIAN and stddev is not None:
            bound = np.abs(self._scale)[order]
            act = Act(
                action=(self._scale * np.tanh(drawn))[order],
                distribution=TANH_GAUSSIAN,
                mean=(np.sign(self._scale) * mean)[order],
                stddev=stddev[order],
                bound=bound,
            )
            return act, np.tanh(drawn)
        if stddev is None:
            action = self._action(drawn, sensed)
            return Act(action=action, distribution=DETERMINISTIC, mean=action), drawn
        gain = np.abs(self._scale)[order] * self._gain()
        return (
            Act(
                action=self._action(drawn, sensed),
                distribution=GAUSSIAN,
                mean=self._action(mean, sensed),
                stddev=gain * stddev[order],
            ),
            drawn,
        )

    def _gain(self) -> Array | float:
        """N·m per unit of the target, or 1 where the action is none."""
        if not self._contract.action.damping:
            return 1.0
        return (
            self._stiffness[self._order]
            if self._contract.action.kind == POSITION_TARGET
            else self._damping[self._order]
        )

    def _action(self, output: Array, sensed: Sensed) -> Array:
        """Action of an output; a target becomes the torque of springs and dampers towards it."""
        rules, order = self._contract.action, self._order
        if rules.clip is not None:  # what is no number stays none: bounds would hide a network that diverged
            output = np.where(np.isfinite(output), np.clip(output, *rules.clip), np.nan)
        action = (self._offset + self._scale * output)[order]
        if not rules.damping:
            return action
        if rules.kind == POSITION_TARGET:
            return self._stiffness[order] * (action - sensed.position) - self._damping[order] * sensed.velocity
        return self._damping[order] * (action - sensed.velocity)


def _check_known(where: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ContractError(f"{where}: unknown '{name[:40]}'; {nearest(name[:40], known)}")


def _pose(sensed: Sensed) -> Array:
    return np.full(7, np.nan) if sensed.object_pose is None else sensed.object_pose


def _pixels(sensed: Sensed, rules: ImageRules) -> Array:
    """Pixels as numbers from 0 to 255."""
    if sensed.image is None:
        return np.full(rules.shape, np.nan)
    return sensed.image.pixels.astype(np.float64)


def _arranged(values: Array, rules: ImageRules) -> Array:
    """Values of pixels (height, width, channels) in the order in which the policy takes them, flat."""
    return (values.transpose(2, 0, 1) if rules.layout == "chw" else values).reshape(-1)


def _quaternion(rotation: Array) -> Array:
    """X y z w of a rotation matrix; scipy has it too, and would take a policy's process twice as long to import."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    products = np.array(  # of each two of x y z w, times 4
        [
            [1.0 + a - e - i, b + d, c + g, h - f],
            [b + d, 1.0 - a + e - i, f + h, c - g],
            [c + g, f + h, 1.0 - a - e + i, d - b],
            [h - f, c - g, d - b, 1.0 + a + e + i],
        ]
    )
    row: Array = products[np.argmax(products.diagonal())]  # the others may be the small difference of large numbers
    return _upright(row / np.linalg.norm(row))


def _upright(quaternion: Array) -> Array:
    """X y z w of the same rotation whose w is not negative: a policy must not see one rotation as two."""
    return -quaternion if quaternion[3] < 0.0 else quaternion
