# SPDX-License-Identifier: Apache-2.0
"""A contract in a task: observations and actions as worked out by hand; what does not fit is named."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from others_policies import contract
from scipy.spatial.transform import Rotation

from safe_transfer_ros.learning.contracted import CameraImage, ContractInTask, Sensed
from safe_transfer_ros.learning.policy_file import check_fits
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.contracted import CONTRACT, ContractedPolicy
from safe_transfer_ros.tasks.deployment import in_graph

SWIRL, PUSH = in_graph("pr2_cup_swirl"), in_graph("panda_push_topple")
JOINTS, N = SWIRL.action_names, 7
RNG = np.random.default_rng(0)
POSE = np.array([0.1, 0.2, 0.3, 0.0, 0.0, -0.6, -0.8])
STATE = Sensed(
    stamp_ns=5,
    position=RNG.uniform(-0.5, 0.5, N),
    velocity=RNG.uniform(-1.0, 1.0, N),
    torque_limit=1.5,
    observation=RNG.standard_normal(18),
    object_pose=POSE,
)
LAST = np.arange(7.0)


class Fixed:
    """A network with given outputs."""

    description = "fixed"

    def __init__(self, inputs: int | None, mean: Any, log_std: Any = None) -> None:
        self.input_size, self._mean = inputs, np.array(mean, dtype=float)
        self.output_size, self._log_std = self._mean.size, log_std
        self.has_log_std = log_std is not None

    def __call__(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return self._mean, None if self._log_std is None else np.array(self._log_std, dtype=float)


def fitted(content: dict[str, Any], network: Any = None, graph: Any = SWIRL) -> ContractInTask:
    policy = ContractedPolicy({}, {CONTRACT: read_contract(contract("process")).content})
    policy.contract, policy.network = read_contract(content), network
    return ContractInTask(policy, graph)


def observed(*parts: dict[str, Any], graph: Any = SWIRL, **fields: Any) -> np.ndarray:
    return fitted(contract("onnx", observation=list(parts), **fields), graph=graph).observe(STATE, LAST)


PUSHING = {"graph": PUSH, "task": "panda_push_topple", "action": {"kind": "tool_motion"}}


def test_parts_are_what_they_say_in_their_order() -> None:
    np.testing.assert_array_equal(observed({"part": "task"}), STATE.observation)
    names = {"part": "joint_position", "joints": [JOINTS[3], JOINTS[0]]}
    np.testing.assert_array_equal(observed(names), STATE.position[[3, 0]])
    both = observed({"part": "joint_velocity"}, {"part": "joint_position"})
    np.testing.assert_array_equal(both, np.concatenate([STATE.velocity, STATE.position]))
    position, rotation = SWIRL.task.chain.tool_pose(STATE.position)
    np.testing.assert_allclose(observed({"part": "tool_position"}), position, atol=1e-12)
    np.testing.assert_allclose(observed({"part": "tool_matrix"}), rotation.reshape(-1), atol=1e-12)
    quaternion = observed({"part": "tool_quaternion"})
    np.testing.assert_allclose(Rotation.from_quat(quaternion).as_matrix(), rotation, atol=1e-9)
    assert quaternion[3] >= 0.0
    np.testing.assert_array_equal(observed({"part": "torque_limit"}), [1.5])
    np.testing.assert_array_equal(observed({"part": "last_action"}), LAST)
    np.testing.assert_array_equal(observed({"part": "constant", "value": [3, 4]}), [3, 4])


def test_a_tools_quaternion_is_exact_about_every_axis_half_turns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    halves = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.6, 0, -0.8, 1e-9], [-1e-9, 1, 0, 0], [0, 0, 0, 1]]
    for given in np.concatenate([rng.standard_normal((50, 4)), halves]):
        rotation = Rotation.from_quat(given).as_matrix()
        monkeypatch.setattr(SWIRL.task.chain, "tool_pose", lambda position, to=rotation: (np.zeros(3), to))
        quaternion = observed({"part": "tool_quaternion"})
        np.testing.assert_allclose(Rotation.from_quat(quaternion).as_matrix(), rotation, atol=1e-14)
        assert quaternion[3] >= 0.0 and np.linalg.norm(quaternion) == pytest.approx(1.0, abs=1e-14)


def test_an_objects_pose_is_seen_as_one_rotation() -> None:
    seen = observed({"part": "object_position"}, {"part": "object_quaternion"}, **PUSHING)
    np.testing.assert_allclose(seen, [0.1, 0.2, 0.3, 0.0, 0.0, 0.6, 0.8])


def test_scaling_is_mean_then_stddev_then_clip() -> None:
    part = {"part": "constant", "value": [10, 0, -10], "mean": [1, 2, 3], "stddev": 2, "clip": [-1, 4]}
    np.testing.assert_allclose(observed(part), [4.0, -1.0, -1.0])
    part = {"part": "constant", "value": [10, 0, -10], "mean": 1, "stddev": [1, 2, 4]}
    np.testing.assert_allclose(observed(part), [9.0, -0.5, -2.75])


def test_an_image_is_scaled_by_channel_and_laid_out_as_said() -> None:
    pixels = RNG.integers(0, 256, (2, 3, 3), dtype=np.uint8)
    seen = dataclasses.replace(STATE, image=CameraImage(stamp_ns=5, pixels=pixels))
    part = {"part": "image", "height": 2, "width": 3, "encoding": "rgb8", "max_age": 1}
    part |= {"mean": [10, 20, 30], "stddev": [1, 2, 4], "clip": [-50, 50]}
    expected = np.clip((pixels.astype(float) - [10, 20, 30]) / [1, 2, 4], -50, 50)
    for layout, wanted in (("hwc", expected), ("chw", np.moveaxis(expected, 2, 0))):
        content = contract("onnx", observation=[{"part": "constant", "value": 7}, part | {"layout": layout}])
        found = fitted(content)
        assert found.observation_size == 19
        np.testing.assert_allclose(found.observe(seen, LAST), [7, *wanted.reshape(-1)])
    with pytest.raises(ContractError, match=r"part 1 \(image\): mean: expected 1 or 3 numbers, got 2"):
        fitted(contract("onnx", observation=[part | {"mean": [1, 2]}]))
    assert np.isnan(found.observe(STATE, LAST)[1:]).all(), "without one nothing is made up"


def acted(content: dict[str, Any], network: Any, noise: Any = (), graph: Any = SWIRL) -> tuple[Any, np.ndarray]:
    found = fitted(content, network, graph)
    mean, stddev = found.evaluate(STATE, LAST)
    return found.act(mean, stddev, np.array(noise), STATE)


MEAN = np.linspace(-2.0, 2.0, N)


def test_torque_is_offset_and_scale_and_clip() -> None:
    rules = {"kind": "torque", "scale": 3, "offset": 0.5, "clip": 1}
    act, last = acted(contract("onnx", action=rules), Fixed(18, MEAN))
    np.testing.assert_allclose(act.action, 0.5 + 3.0 * np.clip(MEAN, -1, 1))
    assert act.distribution == "deterministic" and act.stddev is None and (act.mean == act.action).all()
    np.testing.assert_array_equal(last, MEAN)


def test_bounds_do_not_hide_a_network_that_diverged() -> None:
    rules = {"kind": "torque", "clip": 1}
    broken = np.where(np.arange(N) == 2, np.inf, MEAN)
    act, _ = acted(contract("onnx", action=rules), Fixed(18, broken))
    assert np.isnan(act.action[2]) and np.isfinite(np.delete(act.action, 2)).all()


def test_names_put_actions_into_the_tasks_order() -> None:
    backwards = list(reversed(JOINTS))
    rules = {"kind": "torque", "names": backwards, "scale": list(range(1, 8))}
    act, last = acted(contract("onnx", action=rules), Fixed(18, MEAN))
    np.testing.assert_allclose(act.action, (MEAN * np.arange(1, 8))[::-1])
    np.testing.assert_array_equal(last, MEAN)


def test_a_gaussian_is_scaled_with_its_deviation() -> None:
    noise = np.linspace(1.0, -1.0, N)
    rules = {"kind": "torque", "scale": -3.0, "offset": 1.0}
    act, last = acted(contract("onnx", "gaussian", action=rules, stddev=0.2), Fixed(18, MEAN), noise)
    np.testing.assert_allclose(act.mean, 1.0 - 3.0 * MEAN)
    np.testing.assert_allclose(act.stddev, 0.6)
    np.testing.assert_allclose(act.action, 1.0 - 3.0 * (MEAN + 0.2 * noise))
    np.testing.assert_allclose(last, MEAN + 0.2 * noise)
    log_std = np.linspace(-1.0, 0.0, N)
    act, _ = acted(contract("sb3_ppo", "gaussian"), Fixed(18, MEAN, log_std), noise)
    np.testing.assert_allclose(act.stddev, np.exp(log_std))


def test_a_squashed_gaussian_is_within_its_bound() -> None:
    noise, log_std = np.linspace(1.0, -1.0, N), np.full(N, 3.0)
    rules = {"kind": "torque", "scale": [2.0, -2.0, *[1.0] * 5]}
    act, last = acted(contract("sb3_sac", "squashed_gaussian", action=rules), Fixed(18, MEAN, log_std), noise)
    drawn = MEAN + np.exp(2.0) * noise  # sb3 bounds log_std at 2
    scale = np.array([2.0, -2.0, *[1.0] * 5])
    np.testing.assert_allclose(act.action, scale * np.tanh(drawn))
    np.testing.assert_allclose(act.bound, np.abs(scale))
    np.testing.assert_allclose(act.mean, np.sign(scale) * MEAN)
    # As the message has it: bound * tanh(mean + stddev n), n of the same law.
    np.testing.assert_allclose(act.bound * np.tanh(act.mean + act.stddev * np.sign(scale) * noise), act.action)
    np.testing.assert_allclose(last, np.tanh(drawn))


def test_targets_become_torques_of_springs_and_dampers() -> None:
    rules = {"kind": "joint_position", "scale": 0.5, "stiffness": 4.0, "damping": list(range(1, 8))}
    act, _ = acted(contract("onnx", "gaussian", action=rules, stddev=0.1), Fixed(18, MEAN), np.ones(N))
    damping = np.arange(1.0, 8.0)
    np.testing.assert_allclose(act.mean, 4.0 * (0.5 * MEAN - STATE.position) - damping * STATE.velocity)
    np.testing.assert_allclose(act.stddev, 4.0 * 0.5 * 0.1)
    np.testing.assert_allclose(act.action, act.mean + act.stddev)
    rules = {"kind": "joint_velocity", "damping": 2.0}
    act, _ = acted(contract("onnx", action=rules), Fixed(18, MEAN))
    np.testing.assert_allclose(act.action, 2.0 * (MEAN - STATE.velocity))


CHUNK = {"length": 3, "rate_hz": 20, "follow": 2}


def test_a_chunk_is_rows_of_actions() -> None:
    content = contract("onnx", action={"kind": "torque", "chunk": CHUNK})
    found = fitted(content, Fixed(18, np.arange(21.0)))
    rows, stddev = found.evaluate(STATE, LAST)
    np.testing.assert_array_equal(rows, np.arange(21.0).reshape(3, 7))
    assert stddev is None


@pytest.mark.parametrize(
    ("content", "network", "graph", "told"),
    [
        (contract("onnx", task="panda_push_topple"), None, SWIRL, "for the task pr2_cup_swirl, got one for panda_push"),
        (contract("onnx", action={"kind": "tool_motion"}), None, SWIRL, "expected kind torque, .*, got tool_motion"),
        (
            contract("onnx", task="panda_push_topple"),
            None,
            PUSH,
            "expected kind tool_motion in panda_push_topple, got torque",
        ),
        (
            contract("onnx", action={"kind": "torque", "scale": [1, 2]}),
            None,
            SWIRL,
            "action: scale: expected 1 or 7 numbers",
        ),
        (contract("onnx", action={"kind": "torque", "offset": [1, 2]}), None, SWIRL, "action: offset: expected 1 or 7"),
        (contract("onnx", "gaussian", stddev=[1, 2]), None, SWIRL, "action: stddev: expected 1 or 7"),
        (
            contract("onnx", action={"kind": "joint_position", "stiffness": [1, 2], "damping": 1}),
            None,
            SWIRL,
            "action: stiffness: expected 1 or 7",
        ),
        (
            contract("onnx", action={"kind": "joint_velocity", "damping": [1, 2]}),
            None,
            SWIRL,
            "action: damping: expected 1 or 7",
        ),
        (
            contract("onnx", action={"kind": "torque", "names": ["l_shoulder_pan_join"]}),
            None,
            SWIRL,
            "action: names: unknown 'l_shoulder_pan_join'; did you mean 'l_shoulder_pan_joint'",
        ),
        (
            contract("onnx", action={"kind": "torque", "names": list(JOINTS[:6])}),
            None,
            SWIRL,
            "names: expected all of pr2_cup_swirl, missing: l_wrist_roll_joint",
        ),
        (
            contract("onnx", observation=[{"part": "task"}, {"part": "joint_position", "joints": ["x"]}]),
            None,
            SWIRL,
            r"observation part 2 \(joint_position\): joints: unknown 'x'",
        ),
        (
            contract("onnx", observation=[{"part": "joint_position", "mean": [1, 2]}]),
            None,
            SWIRL,
            r"part 1 \(joint_position\): mean: expected 1 or 7 numbers, got 2",
        ),
        (
            contract("onnx", observation=[{"part": "tool_position", "stddev": [1, 2]}]),
            None,
            SWIRL,
            r"\(tool_position\): stddev: expected 1 or 3",
        ),
        (
            contract("onnx", observation=[{"part": "object_position"}]),
            None,
            SWIRL,
            "pr2_cup_swirl has no object whose pose is known",
        ),
        (contract("onnx"), Fixed(17, MEAN), SWIRL, r"takes 17 numbers, the contract's parts are 18 \(task 18\)"),
        (
            contract("onnx"),
            Fixed(18, MEAN[:6]),
            SWIRL,
            "gives 6 numbers, pr2_cup_swirl takes 7: is it a policy for another",
        ),
        (
            contract("onnx", action={"kind": "torque", "chunk": CHUNK}),
            Fixed(18, MEAN),
            SWIRL,
            "gives 7 numbers, pr2_cup_swirl takes 7 x chunk length 3",
        ),
    ],
)
def test_what_does_not_fit_is_named(content: dict[str, Any], network: Any, graph: Any, told: str) -> None:
    with pytest.raises(ContractError, match=told):
        fitted(content, network, graph)


def test_a_network_that_does_not_say_its_sizes_is_held_to_them_when_it_acts() -> None:
    free = Fixed(None, MEAN[:6])
    free.output_size = None
    with pytest.raises(ContractError, match="expected 7 numbers of the network, got 6"):
        fitted(contract("onnx"), free).evaluate(STATE, LAST)


def test_a_contract_is_checked_where_every_policy_is() -> None:
    policy = ContractedPolicy({}, {CONTRACT: read_contract(contract("process")).content})
    check_fits(policy, SWIRL.task)
    with pytest.raises(ContractError, match="for the task panda_push_topple, got one for pr2_cup_swirl"):
        check_fits(policy, PUSH.task)
