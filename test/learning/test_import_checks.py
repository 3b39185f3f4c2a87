# SPDX-License-Identifier: Apache-2.0
"""Checks of an import before a file is written: finite numbers, the source's own, its maker's examples."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from others_policies import Ppo, archive, contract, sb3_zip

from safe_transfer_ros.learning.contracted import ContractInTask
from safe_transfer_ros.learning.import_checks import check_examples, check_outputs, sampled
from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.foreign.importing import import_policy
from safe_transfer_ros.tasks.deployment import in_graph

GRAPH, PUSH = in_graph("pr2_cup_swirl"), in_graph("panda_push_topple")
torch.manual_seed(0)
ACTOR = Ppo(18, 7)


def fitted(distribution: str = "deterministic", **fields: Any) -> ContractInTask:
    made = import_policy(sb3_zip(ACTOR), read_contract(contract("sb3_ppo", distribution, **fields)), origin="x")
    return ContractInTask(made.policy, GRAPH)


def theirs(observation: Any) -> np.ndarray:
    with torch.no_grad():
        return ACTOR(torch.tensor(np.asarray(observation), dtype=torch.float32)).numpy().astype(float)


def test_sampled_states_are_within_the_robots_limits_and_repeat_with_their_seed() -> None:
    states, again = list(sampled(GRAPH, 50)), list(sampled(GRAPH, 50))
    limits = GRAPH.task.robot.limits
    positions = np.array([state.position for state in states])
    finite = np.isfinite(limits.lower)
    assert (positions[:, finite] >= limits.lower[finite]).all() and (positions[:, finite] <= limits.upper[finite]).all()
    assert np.ptp(positions, axis=0).min() > 0.5
    for one, other in zip(states, again, strict=True):
        np.testing.assert_array_equal(one.observation, other.observation)
        np.testing.assert_array_equal(
            one.observation,
            GRAPH.task.observe(one.position, one.velocity, one.torque_limit),  # type: ignore[attr-defined]
        )
    pushed = list(sampled(PUSH, 5))
    assert all(np.isfinite(state.observation).all() and state.object_pose is not None for state in pushed)


def test_the_sources_own_numbers_are_compared() -> None:
    found = check_outputs(fitted(), sampled(GRAPH, 20), theirs)
    assert found.observations == 20 and found.difference is not None and found.difference < 1e-5
    assert (found.lowest < found.highest).all() and found.lowest.shape == (7,)
    assert check_outputs(fitted(), sampled(GRAPH, 3)).difference is None
    with pytest.raises(ContractError, match="expected the source's outputs within 0.0001, got a difference of 0.001"):
        check_outputs(fitted(), sampled(GRAPH, 20), lambda observation: theirs(observation) + 1e-3)
    with pytest.raises(ContractError, match="expected 6 outputs as of the source, got 7"):
        check_outputs(fitted(), sampled(GRAPH, 20), lambda observation: theirs(observation)[:6])
    with pytest.raises(ContractError, match="got a difference of nan"):
        check_outputs(fitted(), sampled(GRAPH, 20), lambda observation: theirs(observation) * np.nan)


def test_what_is_not_finite_is_named() -> None:
    broken = fitted(action={"kind": "torque", "scale": 1.7e308, "offset": 1.7e308})
    with pytest.raises(
        ContractError, match="observation 0: expected finite actions, got inf at place|got -inf at place"
    ):
        check_outputs(broken, sampled(GRAPH, 20))
    bad = fitted(observation=[{"part": "task", "stddev": 1e-320, "mean": 1e10}])
    with pytest.raises(ContractError, match="observation 0: expected finite numbers, got -inf at place 0"):
        check_outputs(bad, sampled(GRAPH, 1))
    with pytest.raises(ContractError, match="at least one state"):
        check_outputs(fitted(), [])


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


SEEN = np.random.default_rng(0).standard_normal((10, 18))


def test_its_makers_examples_must_come_out_the_same() -> None:
    assert check_examples(fitted(), npz(observation=SEEN, output=theirs(SEEN))) == 10
    with pytest.raises(ContractError, match="observation 0: expected the source's outputs"):
        check_examples(fitted(network={"activation": "relu"}), npz(observation=SEEN, output=theirs(SEEN)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"x", "as a zip archive"),
        (npz(observation=SEEN), "expected 'output.npy' in the examples"),
        (npz(observation=SEEN, output=SEEN[:5]), r"got shapes \(10, 18\) and \(5, 18\)"),
        (npz(observation=SEEN[:0], output=SEEN[:0]), "expected observation"),
        (npz(observation=SEEN[0], output=SEEN[0]), "expected observation"),
        (npz(observation=SEEN[:, :5], output=SEEN), "expected observations of 18 numbers, got 5"),
        (npz(observation=np.array([{}], dtype=object), output=SEEN), "expected observation as an array of numbers"),
        (
            archive({"observation.npy": pickle.dumps(3), "output.npy": b""}),
            "expected observation as an array of numbers",
        ),
    ],
)
def test_examples_that_are_none_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_examples(fitted(), data)


def test_a_policy_that_sees_is_checked_on_noise() -> None:
    image = {"part": "image", "height": 2, "width": 3, "encoding": "rgb8", "max_age": 0.1, "stddev": 255}
    seen: list[np.ndarray] = []

    def network(observation: np.ndarray) -> tuple[np.ndarray, None]:
        seen.append(observation)
        return np.full(7, observation.mean()), None

    network.input_size, network.output_size, network.has_log_std = 18, 7, False  # type: ignore[attr-defined]
    policy = import_policy(None, read_contract(contract("process")), origin="x").policy
    policy.contract, policy.network = read_contract(contract("onnx", observation=[image])), network
    for _ in range(2):
        checked = check_outputs(ContractInTask(policy, GRAPH), sampled(GRAPH, 20))
        assert checked.observations == 20 and 0.0 < checked.lowest[0] < checked.highest[0] < 1.0
    np.testing.assert_array_equal(seen[:20], seen[20:])
