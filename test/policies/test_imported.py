# SPDX-License-Identifier: Apache-2.0
"""An imported policy within another's file gives the actions that its contract gives in the task, without noise."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from others_policies import contract, mlp, mlp_model

from safe_transfer_ros.learning.contracted import ContractInTask, Sensed
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contracted import CONTRACT, ONNX, ContractedPolicy
from safe_transfer_ros.policies.imported import ImportedPolicy
from safe_transfer_ros.policies.loading import layered_to_bytes, pair_to_bytes, part_policy, policy_from_bytes
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.tasks.deployment import in_graph
from safe_transfer_ros.transfer.dual_agent.baseline import alone

GRAPH = in_graph("panda_push_obstacle")
RNG = np.random.default_rng([0, 41])
SCALED = [{"part": "task", "mean": 0.3, "stddev": 2.0, "clip": 1.0}, {"part": "constant", "value": [0.5]}]
TURNED = {"kind": "tool_motion", "names": ["tool_z", "tool_x", "tool_y"], "scale": [0.2, 0.3, 0.4], "offset": 0.1}


def onnx(inputs: int = 21, **changes: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    about = contract("onnx", task="panda_push_obstacle", **{"action": {"kind": "tool_motion"}} | changes)
    model = base64.b64encode(mlp_model(mlp((inputs, 8, 3)))).decode()
    return {}, {"kind": "contracted", CONTRACT: read_contract(about).content, ONNX: model}


@pytest.mark.parametrize(
    ("inputs", "changes"),
    [
        (21, {}),
        (22, {"observation": SCALED}),
        (21, {"action": TURNED}),
        (21, {"action": TURNED | {"clip": 0.05}}),
        (21, {"distribution": "gaussian", "stddev": 0.5, "action": TURNED}),
    ],
)
def test_its_actions_are_those_of_the_contract_in_the_task(inputs: int, changes: dict[str, Any]) -> None:
    tensors, about = onnx(inputs, **changes)
    fitted = ContractInTask(ContractedPolicy(tensors, about), GRAPH)
    seen = RNG.standard_normal((5, 21))
    wanted = []
    for row in seen:
        sensed = Sensed(stamp_ns=0, position=np.zeros(7), velocity=np.zeros(7), torque_limit=1.0, observation=row)
        mean, stddev = fitted.evaluate(sensed, np.zeros(3))
        wanted.append(fitted.act(mean, stddev, np.zeros(3), sensed)[0].mean)
    policy = part_policy(*alone((tensors, about)))
    assert isinstance(policy, ImportedPolicy) and policy.noise_size == 0
    np.testing.assert_array_equal(policy.act(seen, np.zeros((5, 0))).action, wanted)
    np.testing.assert_array_equal(policy.act(seen[0], np.zeros(0)).action, wanted[0])


def test_it_stands_in_a_pair_and_behind_a_layer() -> None:
    part = alone(onnx())
    safe = {"hidden.0.weight": np.ones((4, 21)), "hidden.0.bias": np.ones(4), "mean.weight": np.ones((3, 4))}
    safe |= {"mean.bias": np.ones(3), "bound": np.ones(3)}
    tensors = {name: values.astype(np.float32) for name, values in safe.items()}
    pair, _ = policy_from_bytes(
        pair_to_bytes({"baseline": part, "safe": (tensors, {"kind": "deterministic"})}, {"baseline_share": "1.0"})
    )
    seen = RNG.standard_normal(21)
    wanted = part_policy(*part).act(seen, np.zeros(0)).action
    found = pair.act(seen, np.zeros(pair.noise_size))
    assert found.actor == "baseline"
    np.testing.assert_array_equal(found.action, wanted)
    critic = {"critic.hidden.0.weight": np.ones((4, 24)), "critic.hidden.0.bias": np.ones(4)}
    critic |= {"critic.value.weight": np.ones((1, 4)), "critic.value.bias": np.ones(1), "bound": 9.0 * np.ones(3)}
    layer = {name: values.astype(np.float32) for name, values in critic.items()}
    layered, _ = policy_from_bytes(layered_to_bytes(part, layer, {"limit": "1e6"}))
    np.testing.assert_allclose(layered.act(seen, np.zeros(0)).action, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "changes", "says"),
    [
        (3, {"observation": [{"part": "object_position"}]}, "`task` alone, got one of object_position"),
        (22, {"observation": [{"part": "task"}, {"part": "torque_limit"}]}, "got one of task, torque_limit"),
        (21, {"action": {"kind": "tool_motion", "chunk": {"length": 1, "rate_hz": 25, "follow": 1}}}, "gives chunks"),
    ],
)
def test_what_sees_or_gives_more_is_refused(inputs: int, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError, match=f"baseline: .*{says}"):
        part_policy(*alone(onnx(inputs, **changes)), within="baseline: ")


def test_a_process_of_its_own_is_refused() -> None:
    about = contract("process", task="panda_push_obstacle", action={"kind": "tool_motion"})
    with pytest.raises(WeightsError, match="got a process of its own"):
        part_policy(*alone(({}, {"kind": "contracted", CONTRACT: read_contract(about).content})))


@pytest.mark.parametrize(
    ("name", "value"),
    [("observation_size", ""), ("observation_size", "-21"), ("observation_size", "9" * 40), ("action_names", "x,y,z")],
)
def test_what_the_contract_does_not_tell_must_be_there(name: str, value: str) -> None:
    tensors, about = alone(onnx(action=TURNED))
    with pytest.raises(WeightsError, match="expected observation_size and action_names"):
        part_policy(tensors, about | {name: value})


def test_a_network_of_another_size_is_refused() -> None:
    tensors, about = alone(onnx())
    for changes in ({"observation_size": "20"}, {"action_names": "tool_x,tool_y"}):
        with pytest.raises(WeightsError, match="baseline: "):
            part_policy(tensors, about | changes, within="baseline: ")
