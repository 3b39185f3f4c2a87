# SPDX-License-Identifier: Apache-2.0
"""Contract of a policy that was not made here: what it observes, what its numbers mean, how they are drawn.

It knows no task: whether a contract fits one, `learning.contracted` says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from safe_transfer_ros.policies.contract_fields import ContractError, Fields, Numbers
from safe_transfer_ros.policies.policy import DETERMINISTIC, GAUSSIAN, TANH_GAUSSIAN

SOURCES: Final = ("sb3_ppo", "sb3_sac", "sb3_td3", "state_dict", "onnx", "process")
"""Kinds of source: three algorithms of stable-baselines3, a plain MLP's state dict, ONNX, a process of its own."""

PARTS: Final = (
    "task",
    "joint_position",
    "joint_velocity",
    "tool_position",
    "tool_quaternion",
    "tool_matrix",
    "object_position",
    "object_quaternion",
    "torque_limit",
    "last_action",
    "image",
    "constant",
)
"""Parts that an observation may be made of; see docs/policies.md."""

TORQUE, VELOCITY_TARGET, POSITION_TARGET, TOOL = "torque", "joint_velocity", "joint_position", "tool_motion"
ACTION_KINDS: Final = (TORQUE, VELOCITY_TARGET, POSITION_TARGET, TOOL)

LAWS: Final = {"deterministic": DETERMINISTIC, "gaussian": GAUSSIAN, "squashed_gaussian": TANH_GAUSSIAN}
"""Distributions by the name a contract gives them."""

ACTIVATIONS: Final = ("tanh", "relu", "elu", "sigmoid")

IMAGE = "image"
ENCODINGS: Final = {"rgb8": 3, "bgr8": 3, "mono8": 1}
"""Channels of an image by its encoding, as sensor_msgs/Image names it."""
LAYOUTS: Final = ("chw", "hwc")

MOST_PARTS = 64
MOST_PIXELS = 1024  # along a side
MOST_ROWS = 1000
MOST_FOLLOWED_S = 2.0
"""Longest time a chunk may be followed without another look at the arm, s."""


@dataclass(frozen=True, kw_only=True)
class ImageRules:
    """Rules for a camera's images.

    Attributes:
      height: Pixels.
      width: Pixels.
      encoding: One of `ENCODINGS`: the order of the channels that the policy sees.
      layout: One of `LAYOUTS`: which index of the policy's numbers runs slowest.
      max_age_s: How much older an image may be than the joint state it is seen with, s; in lockstep not at all.
    """

    height: int
    width: int
    encoding: str
    layout: str
    max_age_s: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, ENCODINGS[self.encoding]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of an observation: clip((value - mean) / stddev).

    Attributes:
      name: One of `PARTS`.
      joints: Which joints, in this order; None: all, in the robot's order.
      value: Of a constant.
      image: Of an image.
      mean: Subtracted; of an image one, or one for each channel.
      stddev: Divided by, > 0; likewise.
      clip: Bounds of the result; None: none.
    """

    name: str
    joints: tuple[str, ...] | None = None
    value: Numbers = ()
    image: ImageRules | None = None
    mean: Numbers = (0.0,)
    stddev: Numbers = (1.0,)
    clip: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class ChunkRules:
    """Rules for a policy that gives several future actions at once.

    Attributes:
      length: Actions in a chunk.
      rate_hz: How many of them belong to a second.
      follow: How many may be followed, counted from the state that the chunk answers; then the next chunk is due.
    """

    length: int
    rate_hz: float
    follow: int


@dataclass(frozen=True, kw_only=True)
class ActionRules:
    """Meaning of what a policy gives: offset + scale * clip(output).

    Attributes:
      kind: One of `ACTION_KINDS`.
      names: Joints, or axes of the tool's motion, in the policy's order; None: the task's order.
      scale: Unit of the action per unit of output, not 0.
      offset: Action of an output of 0.
      clip: Bounds of the output; None: none.
      stiffness: Of a position target, N·m/rad, > 0.
      damping: Of a position or velocity target, N·m·s/rad, > 0.
      chunk: Rules of its chunks; None: it gives one action at a time.
    """

    kind: str
    names: tuple[str, ...] | None = None
    scale: Numbers = (1.0,)
    offset: Numbers = (0.0,)
    clip: tuple[float, float] | None = None
    stiffness: Numbers = ()
    damping: Numbers = ()
    chunk: ChunkRules | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkRules:
    """Facts about a network that its file does not tell.

    Attributes:
      activation: One of `ACTIVATIONS`, after every hidden layer.
      squash_output: Whether tanh follows the last layer.
      prefix: Of a state dict: names of the policy's tensors begin with it.
      log_std: Of a state dict: name of the tensor with the logarithm of the standard deviation; empty: none.
      output: Of ONNX: name of the output that is the action; empty: there is one only.
    """

    activation: str
    squash_output: bool
    prefix: str = ""
    log_std: str = ""
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Contract of a policy.

    Attributes:
      task: Name of the task it is for.
      source: One of `SOURCES`.
      observation: Its parts, in their order; empty for a process of its own, which observes for itself.
      action: What it gives.
      law: Distribution of the action, as `policies.policy` names it.
      stddev: Of a Gaussian whose file has none, in units of the output; empty: the file has it.
      network: What its file does not say.
      content: Text that it was read from, as JSON.
    """

    task: str
    source: str
    observation: tuple[Part, ...]
    action: ActionRules
    law: str
    stddev: Numbers
    network: NetworkRules
    content: str

    @property
    def is_process(self) -> bool:
        """Whether the policy is a process of its own."""
        return self.source == "process"

    @property
    def image(self) -> ImageRules | None:
        """Rules for the images that it sees; None: it sees none."""
        return next((part.image for part in self.observation if part.image is not None), None)


def read_contract(content: Any, where: str = "contract") -> Contract:
    """Read a contract from plain data, as YAML or JSON gives it.

    Args:
      content: The data.
      where: What it is, for the message: a path.

    Raises:
      ContractError: naming the field that is wrong, what was expected and what came.
    """
    fields = Fields(content, where)
    task, source = fields.text("task"), fields.choice("source", SOURCES)
    law = LAWS[fields.choice("distribution", LAWS)]
    observation = () if source == "process" else _observation(fields)
    if source == "process" and fields.has("observation"):
        raise ContractError(f"{where}: a process of its own observes for itself: leave out 'observation'")
    action = _action(Fields(fields.take("action"), f"{where}: action"), law)
    stddev = fields.positive("stddev") if fields.has("stddev") else ()
    if stddev and law != GAUSSIAN:
        raise ContractError(f"{where}: stddev is that of a gaussian, got distribution {law}: leave it out")
    network = _network(fields, source, law)
    fields.end()
    contract = Contract(
        task=task,
        source=source,
        observation=observation,
        action=action,
        law=law,
        stddev=stddev,
        network=network,
        content=json.dumps(content, sort_keys=True),
    )
    _check_together(contract, where)
    return contract


def contract_from_text(text: str) -> Contract:
    """Read the contract that a policy file holds.

    Raises:
      ContractError: if it is none.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"expected the policy's contract as JSON, got {text[:60]!r}") from error
    return read_contract(content)


def _observation(fields: Fields) -> tuple[Part, ...]:
    parts = fields.take("observation")
    if not isinstance(parts, list) or not 0 < len(parts) <= MOST_PARTS:
        raise ContractError(f"{fields.where}: expected observation as a list of 1 to {MOST_PARTS} parts")
    read = tuple(
        _part(Fields(part, f"{fields.where}: observation part {number}")) for number, part in enumerate(parts, 1)
    )
    if sum(part.name == IMAGE for part in read) > 1:
        raise ContractError(f"{fields.where}: expected one image in observation: more of them need a process")
    return read


def _part(fields: Fields) -> Part:
    name = fields.choice("part", PARTS)
    fields.where += f" ({name})"
    part = Part(
        name=name,
        joints=fields.names("joints") if name in ("joint_position", "joint_velocity") else None,
        value=fields.numbers("value") if name == "constant" else (),
        image=_image(fields) if name == IMAGE else None,
        mean=fields.numbers("mean", 0.0),
        stddev=fields.positive("stddev", 1.0),
        clip=fields.range("clip"),
    )
    fields.end()
    return part


def _image(fields: Fields) -> ImageRules:
    return ImageRules(
        height=fields.whole("height", at_most=MOST_PIXELS),
        width=fields.whole("width", at_most=MOST_PIXELS),
        encoding=fields.choice("encoding", ENCODINGS),
        layout=fields.choice("layout", LAYOUTS, "chw"),
        max_age_s=fields.number("max_age", above=0.0, at_most=MOST_FOLLOWED_S),
    )


def _action(fields: Fields, law: str) -> ActionRules:
    kind = fields.choice("kind", ACTION_KINDS)
    scale = fields.numbers("scale", 1.0)
    if 0.0 in scale:
        raise ContractError(f"{fields.where}: expected scale other than 0, got 0: the action would be a constant")
    clip = fields.range("clip")
    if clip is not None and law != DETERMINISTIC:
        raise ContractError(
            f"{fields.where}: clip changes the distribution of an action that is drawn, got distribution {law}: leave "
            "clip out (the filter bounds what is drawn), or say distribution: deterministic"
        )
    rules = ActionRules(
        kind=kind,
        names=fields.names("names"),
        scale=scale,
        offset=fields.numbers("offset", 0.0),
        clip=clip,
        stiffness=fields.positive("stiffness") if kind == POSITION_TARGET else (),
        damping=fields.positive("damping") if kind in (POSITION_TARGET, VELOCITY_TARGET) else (),
        chunk=_chunk(Fields(fields.take("chunk"), f"{fields.where}: chunk")) if fields.has("chunk") else None,
    )
    fields.end()
    if law == TANH_GAUSSIAN and (any(rules.offset) or rules.damping):
        raise ContractError(
            f"{fields.where}: a squashed_gaussian is symmetric about 0 and no target, got kind {kind}, offset "
            f"{list(rules.offset)}: say distribution: deterministic with squash_output: true"
        )
    return rules


def _chunk(fields: Fields) -> ChunkRules:
    length = fields.whole("length", at_most=MOST_ROWS)
    rate_hz = fields.number("rate_hz", above=0.0, at_most=1000.0)
    follow = fields.whole("follow", at_most=length)
    fields.end()
    if follow / rate_hz > MOST_FOLLOWED_S:
        raise ContractError(
            f"{fields.where}: {follow} actions at {rate_hz:g} Hz are followed for {follow / rate_hz:g} s, expected at "
            f"most {MOST_FOLLOWED_S:g} s without another look at the arm: lower follow"
        )
    return ChunkRules(length=length, rate_hz=rate_hz, follow=follow)


def _network(fields: Fields, source: str, law: str) -> NetworkRules:
    inner = Fields(fields.take("network") if fields.has("network") else {}, f"{fields.where}: network")
    usual = {"sb3_ppo": "tanh", "sb3_sac": "relu", "sb3_td3": "relu"}.get(source)
    squashes = source == "sb3_td3" or (source == "sb3_sac" and law == DETERMINISTIC)
    made_of_tensors = source not in ("onnx", "process")
    rules = NetworkRules(
        activation=inner.choice("activation", ACTIVATIONS, usual) if made_of_tensors else "",
        squash_output=_flag(inner, "squash_output", squashes) if made_of_tensors else False,
        prefix=inner.text("prefix") if source == "state_dict" and inner.has("prefix") else "",
        log_std=inner.text("log_std") if source == "state_dict" and inner.has("log_std") else "",
        output=inner.text("output") if source == "onnx" and inner.has("output") else "",
    )
    inner.end()
    return rules


def _flag(fields: Fields, name: str, default: bool) -> bool:
    if not fields.has(name):
        return default
    value = fields.take(name)
    if not isinstance(value, bool):
        raise ContractError(f"{fields.where}: expected {name} as true or false, got {value!r:.40}")
    return value


# What of stable-baselines3 may be drawn how.
_LAWS_OF: Mapping[str, tuple[str, ...]] = {
    "sb3_ppo": (GAUSSIAN, DETERMINISTIC),
    "sb3_sac": (TANH_GAUSSIAN, DETERMINISTIC),
    "sb3_td3": (DETERMINISTIC,),
    "state_dict": (GAUSSIAN, DETERMINISTIC),
    "onnx": (GAUSSIAN, DETERMINISTIC),
}


def _check_together(contract: Contract, where: str) -> None:
    """Check what no field tells alone."""
    named = {law: name for name, law in LAWS.items()}
    laws = _LAWS_OF.get(contract.source, tuple(named))
    if contract.law not in laws:
        expected = " or ".join(named[law] for law in laws)
        raise ContractError(
            f"{where}: expected distribution {expected} of source {contract.source}, got {named[contract.law]}"
        )
    if contract.network.squash_output and contract.law != DETERMINISTIC:
        raise ContractError(
            f"{where}: network: squash_output needs distribution deterministic, got {named[contract.law]}"
        )
    needs_stddev = contract.law == GAUSSIAN and (
        contract.source == "onnx" or (contract.source == "state_dict" and not contract.network.log_std)
    )
    if needs_stddev != bool(contract.stddev):
        wanted = (
            "add stddev, in units of the output" if needs_stddev else "leave stddev out: the file or message has it"
        )
        raise ContractError(f"{where}: {wanted}")
    chunk = contract.action.chunk
    if chunk is not None and contract.law != DETERMINISTIC:
        raise ContractError(f"{where}: chunks are deterministic, got distribution {named[contract.law]}")
    if contract.is_process and contract.action.names is not None:
        raise ContractError(f"{where}: action: a process names its actions in every message: leave names out")
    if contract.is_process and chunk is None:
        _check_relayed(contract.action, where)


def _check_relayed(action: ActionRules, where: str) -> None:
    """Check that a process which proposes action by action does so in the task's own unit: it is passed on as it is."""
    plain = ActionRules(kind=action.kind)
    if action.kind not in (TORQUE, TOOL) or action != plain:
        raise ContractError(
            f"{where}: a process without chunks proposes torque or tool_motion in the task's unit, got kind "
            f"{action.kind}: leave the other fields of action out, or send chunks (of length 1)"
        )


def size_of(values: Numbers, length: int, what: str) -> None:
    """Check that there is one number, or one for each of `length` elements.

    Raises:
      ContractError: naming `what`.
    """
    if len(values) not in (1, length):
        raise ContractError(f"{what}: expected 1 or {length} numbers, got {len(values)}")
