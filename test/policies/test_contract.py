# SPDX-License-Identifier: Apache-2.0
"""Contracts: every field is read, checked and refused by name; nothing is left over or assumed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from others_policies import contract

from safe_transfer_ros.policies.contract import (
    ACTION_KINDS,
    PARTS,
    SOURCES,
    ChunkRules,
    ImageRules,
    contract_from_text,
    read_contract,
)
from safe_transfer_ros.policies.contract_fields import ContractError

CHUNK = {"length": 8, "rate_hz": 20, "follow": 4}
IMAGE = {"height": 4, "width": 6, "encoding": "rgb8", "max_age": 0.1}


def test_what_is_written_is_what_is_read_and_what_a_file_keeps_is_the_same() -> None:
    content = contract(
        "state_dict",
        "gaussian",
        observation=[
            {"part": "joint_position", "joints": ["b", "a"], "mean": [0.5, 1], "stddev": 2.0, "clip": 3},
            {"part": "constant", "value": [1, 2, 3], "clip": [-1, 5]},
        ],
        action={"kind": "joint_position", "scale": 0.5, "offset": 1.0, "stiffness": 20, "damping": [1, 2]},
        stddev=0.3,
        network={"activation": "relu", "prefix": "actor."},
    )
    found = read_contract(content)
    first, second = found.observation
    assert (first.joints, first.mean, first.stddev, first.clip) == (("b", "a"), (0.5, 1.0), (2.0,), (-3.0, 3.0))
    assert (second.value, second.clip) == ((1.0, 2.0, 3.0), (-1.0, 5.0))
    assert (found.action.scale, found.action.offset) == ((0.5,), (1.0,))
    assert (found.action.stiffness, found.action.damping) == ((20.0,), (1.0, 2.0))
    assert (found.law, found.stddev, found.network.activation, found.network.prefix) == (
        "gaussian",
        (0.3,),
        "relu",
        "actor.",
    )
    assert contract_from_text(found.content) == found


def test_what_a_source_leaves_out_is_its_usual() -> None:
    assert read_contract(contract("sb3_ppo", "gaussian")).network.activation == "tanh"
    assert not read_contract(contract("sb3_ppo", "gaussian")).network.squash_output
    assert read_contract(contract("sb3_sac", "squashed_gaussian")).network.activation == "relu"
    assert not read_contract(contract("sb3_sac", "squashed_gaussian")).network.squash_output
    assert read_contract(contract("sb3_sac")).network.squash_output
    assert read_contract(contract("sb3_td3")).network.squash_output
    chunks = read_contract(contract("process", action={"kind": "torque", "chunk": CHUNK})).action.chunk
    assert chunks == ChunkRules(length=8, rate_hz=20.0, follow=4)


def test_an_image_is_told_by_its_contract() -> None:
    assert read_contract(contract("onnx")).image is None
    rules = read_contract(image(layout="hwc")).image
    assert rules == ImageRules(height=4, width=6, encoding="rgb8", layout="hwc", max_age_s=0.1)
    assert rules.shape == (4, 6, 3) and read_contract(image(encoding="mono8")).image.shape == (4, 6, 1)
    assert read_contract(image()).image.layout == "chw"


def test_every_part_and_kind_can_be_named() -> None:
    for part in PARTS:
        more = {"value": 1} if part == "constant" else IMAGE if part == "image" else {}
        read_contract(contract("onnx", observation=[{"part": part, **more}]))
    for kind in ACTION_KINDS:
        gains = {"damping": 1} if kind.startswith("joint_") else {}
        gains |= {"stiffness": 1} if kind == "joint_position" else {}
        read_contract(contract("onnx", action={"kind": kind, **gains}))
    assert set(SOURCES) == {"sb3_ppo", "sb3_sac", "sb3_td3", "state_dict", "onnx", "process"}


def changed(source: str = "onnx", distribution: str = "deterministic", **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in contract(source, distribution, **fields).items() if value is not ...}


def part(**fields: Any) -> dict[str, Any]:
    return changed(observation=[{"part": "joint_position"} | fields])


def image(**fields: Any) -> dict[str, Any]:
    return changed(observation=[{"part": "image"} | IMAGE | fields])


def action(source: str = "onnx", distribution: str = "deterministic", **fields: Any) -> dict[str, Any]:
    return changed(source, distribution, action={"kind": "torque"} | fields)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "expected a mapping of names to values, got a list of 0"),
        (changed(task=...), "'task' is missing"),
        (changed(task=3), "expected task as a text, got '3'"),
        (changed("sb3_pp"), "expected source as one of .*, got 'sb3_pp'; did you mean 'sb3_ppo'"),
        (changed(distribution="gauss"), "expected distribution as one of .*did you mean 'gaussian'"),
        (changed(extra=1), "unknown field 'extra'"),
        (changed(observation=[]), "expected observation as a list of 1 to 64 parts"),
        (changed(observation=[{"part": "images"}]), "expected part as one of .*, got 'images'; did you mean 'image'"),
        (changed(observation=[{"part": "image"}]), r"part 1 \(image\): 'height' is missing"),
        (image(height=1025), "expected height as a whole number from 1 to 1024"),
        (image(width=0), "expected width as a whole number from 1 to 1024"),
        (image(encoding="rgba8"), "expected encoding as one of bgr8, mono8, rgb8, got 'rgba8'"),
        (image(layout="cwh"), "expected layout as one of chw, hwc, got 'cwh'"),
        (image(max_age=0), "expected max_age above 0 and at most 2"),
        (image(max_age=3), "expected max_age above 0 and at most 2"),
        (image(joints=["a"]), r"\(image\): unknown field 'joints'"),
        (part(height=4), r"\(joint_position\): unknown field 'height'"),
        (changed(observation=[{"part": "image", **IMAGE}] * 2), "expected one image in observation"),
        (part(scale=2), r"observation part 1 \(joint_position\): unknown field 'scale'"),
        (part(mean="1e-3"), r"part 1 \(joint_position\): expected mean as a number, got '1e-3'; YAML reads"),
        (part(mean=True), "expected mean as a number, got 'True'"),
        (part(mean=float("nan")), "expected mean as a finite number"),
        (part(mean=10**400), "expected mean as a finite number"),
        (part(stddev=0), "expected stddev above 0, got 0"),
        (part(stddev=[1, -1]), "expected stddev above 0, got -1"),
        (part(clip=0), r"expected clip as \[lowest, highest\] or as one number above 0"),
        (part(clip=[1, 1]), "expected clip as"),
        (part(clip=[1, 2, 3]), "expected clip as"),
        (part(joints=["a", "a"]), "expected each of joints once"),
        (part(joints=[]), "expected joints as a list of names"),
        (part(mean=[0.0] * 4097), "expected 1 to 4096 numbers in mean, got 4097"),
        (changed(observation=[{"part": "task", "joints": ["a"]}]), r"\(task\): unknown field 'joints'"),
        (action(scale=0), "action: expected scale other than 0"),
        (action(scale=[1, 0]), "action: expected scale other than 0"),
        (action(damping=1), "action: unknown field 'damping'"),
        (action(kind="joint_position", damping=1), "action: 'stiffness' is missing"),
        (action(kind="joint_velocity", damping=0), "action: expected damping above 0"),
        (action("sb3_ppo", "gaussian", clip=1), "clip changes the distribution .* deterministic"),
        (action("sb3_sac", "squashed_gaussian", offset=1), "squashed_gaussian is symmetric"),
        (action("sb3_sac", "squashed_gaussian", kind="joint_velocity", damping=1), "squashed_gaussian is symmetric"),
        (action(chunk=CHUNK | {"follow": 9}), "expected follow as a whole number from 1 to 8, got '9'"),
        (action(chunk=CHUNK | {"length": 8.0}), "expected length as a whole number"),
        (action(chunk=CHUNK | {"length": True}), "expected length as a whole number"),
        (action(chunk=CHUNK | {"rate_hz": 0}), "expected rate_hz above 0"),
        (action(chunk={"length": 100, "rate_hz": 20, "follow": 41}), "followed for 2.05 s, expected at most 2 s"),
        (action("state_dict", "gaussian", chunk=CHUNK) | {"stddev": 1}, "chunks are deterministic"),
        (changed("sb3_td3", "gaussian"), "expected distribution deterministic of source sb3_td3, got gaussian"),
        (changed("sb3_ppo", "squashed_gaussian"), "expected distribution gaussian or deterministic of source sb3_ppo"),
        (changed("onnx", "gaussian"), "add stddev"),
        (changed("state_dict", "gaussian"), "add stddev"),
        (changed("sb3_ppo", "gaussian", stddev=1), "leave stddev out"),
        (changed(stddev=1), "stddev is that of a gaussian"),
        (changed("state_dict", network=...), "network: 'activation' is missing"),
        (changed("state_dict", network={"activation": "gelu"}), "expected activation as one of"),
        (changed("sb3_ppo", "gaussian", network={"squash_output": True}), "squash_output needs distribution determ"),
        (changed("sb3_ppo", network={"squash_output": 1}), "expected squash_output as true or false"),
        (changed("sb3_ppo", network={"output": "y"}), "network: unknown field 'output'"),
        (changed(network={"activation": "tanh"}), "network: unknown field 'activation'"),
        (changed("process", observation=[{"part": "task"}]), "observes for itself: leave out 'observation'"),
        (action("process", scale=2), "proposes torque or tool_motion in the task's unit"),
        (action("process", kind="joint_velocity", damping=1), "proposes torque or tool_motion"),
        (action("process", names=["a"], chunk=CHUNK), "names its actions in every message"),
    ],
)
def test_what_is_wrong_is_named(content: Any, told: str) -> None:
    with pytest.raises(ContractError, match=told) as error:
        read_contract(content)
    assert "\n" not in str(error.value) and str(error.value).startswith("contract")


def test_a_file_whose_contract_is_no_json_is_refused() -> None:
    for text in ("", "{", "[" * 100_000, json.dumps([1])):
        with pytest.raises(ContractError, match="expected"):
            contract_from_text(text)
