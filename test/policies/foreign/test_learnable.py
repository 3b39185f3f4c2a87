# SPDX-License-Identifier: Apache-2.0
"""A PPO of others as a Gaussian policy of ours: the same law, scaling included; what does not fit is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from others_policies import Ppo, Sac, contract, linear, mlp, mlp_model, saved, sb3_zip

from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.foreign.importing import import_policy
from safe_transfer_ros.policies.foreign.learnable import gaussian_of
from safe_transfer_ros.policies.forward import GaussianPolicy
from safe_transfer_ros.policies.weights import from_bytes

K, N = 5, 2
RNG = np.random.default_rng(0)
torch.manual_seed(0)
ACTOR = Ppo(K, N)


def learnable(data: bytes, source: str, distribution: str = "gaussian", **fields: Any) -> GaussianPolicy:
    imported = import_policy(data, read_contract(contract(source, distribution, **fields)), origin="a test")
    parameters, metadata = from_bytes(gaussian_of(imported))
    assert metadata == {"task": "pr2_cup_swirl", "from": "a test"}
    return GaussianPolicy(parameters)


def test_it_is_the_same_law_with_the_scaling_in_its_weights() -> None:
    mean, stddev = RNG.normal(size=K), RNG.uniform(0.5, 2.0, size=K)
    scale, offset = np.array([3.0, -2.0]), 0.5
    policy = learnable(
        sb3_zip(ACTOR),
        "sb3_ppo",
        observation=[{"part": "task", "mean": mean.tolist(), "stddev": stddev.tolist()}],
        action={"kind": "torque", "scale": scale.tolist(), "offset": offset},
    )
    observations, noise = RNG.normal(size=(20, K)), RNG.normal(size=(20, N))
    with torch.no_grad():
        theirs = ACTOR(torch.tensor((observations - mean) / stddev, dtype=torch.float32)).numpy()
    ours = policy.act(observations, noise)
    np.testing.assert_allclose(ours.mean, offset + scale * theirs, atol=1e-5)
    np.testing.assert_allclose(policy.stddev, np.abs(scale) * np.exp(ACTOR.log_std.detach().numpy()), rtol=1e-5)
    np.testing.assert_allclose(ours.action, ours.mean + policy.stddev * noise, atol=1e-6)


def test_one_number_of_scaling_is_for_all_and_a_deviation_may_be_the_contracts() -> None:
    module = torch.nn.Sequential(linear(K, 4), torch.nn.Tanh(), linear(4, N))
    rules = {"part": "task", "mean": 0.5, "stddev": 2.0}
    policy = learnable(
        saved(module.state_dict()), "state_dict", stddev=0.2, observation=[rules], action={"kind": "torque", "scale": 4}
    )
    observations = RNG.normal(size=(10, K))
    with torch.no_grad():
        theirs = module(torch.tensor((observations - 0.5) / 2.0, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(policy.mean(observations), 4.0 * theirs, atol=1e-5)
    np.testing.assert_allclose(policy.stddev, 0.8, rtol=1e-6)


def test_of_onnx_the_graph_says_the_activation() -> None:
    pytest.importorskip("onnxruntime")
    weights = mlp((K, 4, N))
    policy = learnable(mlp_model(weights), "onnx", stddev=0.1)
    hidden = np.tanh(weights["w0"] @ np.ones(K) + weights["b0"])
    np.testing.assert_allclose(policy.mean(np.ones(K)), weights["w1"] @ hidden + weights["b1"], atol=1e-5)
    with pytest.raises(ContractError, match="got activation relu: leave --learnable out"):
        learnable(mlp_model(weights, activation="Relu"), "onnx", stddev=0.1)
    with pytest.raises(ContractError, match="got squash_output"):
        learnable(mlp_model(weights, squash=True), "onnx", stddev=0.1)


@pytest.mark.parametrize(
    ("source", "distribution", "fields", "told"),
    [
        ("sb3_ppo", "deterministic", {}, "got distribution deterministic"),
        ("sb3_sac", "squashed_gaussian", {}, "got distribution tanh_gaussian, activation relu"),
        ("sb3_ppo", "gaussian", {"network": {"activation": "elu"}}, "got activation elu"),
        (
            "sb3_ppo",
            "gaussian",
            {"observation": [{"part": "joint_position"}]},
            "an observation other than the one part task",
        ),
        ("sb3_ppo", "gaussian", {"observation": [{"part": "task"}] * 2}, "an observation other than the one part task"),
        ("sb3_ppo", "gaussian", {"observation": [{"part": "task", "clip": 10}]}, "got clip of the observation"),
        ("sb3_ppo", "gaussian", {"action": {"kind": "joint_velocity", "damping": 1}}, "got action kind joint_velocity"),
        ("sb3_ppo", "gaussian", {"action": {"kind": "torque", "names": ["b", "a"]}}, "got names of actions"),
        ("process", "gaussian", {}, "got a network that is no plain MLP, an observation"),
    ],
)
def test_what_such_a_file_cannot_hold_is_named(source: str, distribution: str, fields: Any, told: str) -> None:
    data = None if source == "process" else sb3_zip(Sac(K, N) if source == "sb3_sac" else ACTOR)
    imported = import_policy(data, read_contract(contract(source, distribution, **fields)), origin="a test")
    with pytest.raises(ContractError, match=told):
        gaussian_of(imported)
