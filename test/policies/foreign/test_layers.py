# SPDX-License-Identifier: Apache-2.0
"""Tensors of others become layers of ours: the same numbers, nothing left over in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from others_policies import Ppo, Sac, Td3, contract, linear, saved, sb3_zip

from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.contract_fields import ContractError
from safe_transfer_ros.policies.contracted import ContractedPolicy
from safe_transfer_ros.policies.foreign.importing import Imported, import_policy
from safe_transfer_ros.policies.foreign.layers import layers_of
from safe_transfer_ros.policies.loading import any_policy_from_bytes, policy_from_bytes
from safe_transfer_ros.policies.tensors import Tensors, WeightsError, read

K, N = 5, 2
RNG = np.random.default_rng(0)
OBSERVATIONS = RNG.standard_normal((20, K))


def imported(data: bytes | None, source: str, distribution: str = "deterministic", **fields: Any) -> Imported:
    return import_policy(data, read_contract(contract(source, distribution, **fields)), origin="a test")


def outputs(found: Imported) -> tuple[np.ndarray, Any]:
    assert found.policy.network is not None
    pairs = [found.policy.network(observation) for observation in OBSERVATIONS]
    return np.array([mean for mean, _ in pairs]), [log_std for _, log_std in pairs]


def theirs(module: Any) -> np.ndarray:
    with torch.no_grad():
        return module(torch.tensor(OBSERVATIONS, dtype=torch.float32)).numpy()


def test_ppo() -> None:
    actor = Ppo(K, N)
    drawn = imported(sb3_zip(actor), "sb3_ppo", "gaussian")
    mean, log_std = outputs(drawn)
    np.testing.assert_allclose(mean, theirs(actor), atol=1e-6)
    np.testing.assert_allclose(log_std[0], actor.log_std.detach().numpy())
    mean, log_std = outputs(imported(sb3_zip(actor), "sb3_ppo"))
    np.testing.assert_allclose(mean, theirs(actor), atol=1e-6)
    assert log_std[0] is None
    assert any("activation tanh" in line for line in drawn.understood)


def test_sac() -> None:
    actor = Sac(K, N)
    mean, log_std = outputs(imported(sb3_zip(actor), "sb3_sac", "squashed_gaussian"))
    np.testing.assert_allclose(mean, theirs(actor), atol=1e-6)
    np.testing.assert_allclose(log_std, theirs(actor.log_std), atol=1e-6)
    mean, log_std = outputs(imported(sb3_zip(actor), "sb3_sac"))
    np.testing.assert_allclose(mean, np.tanh(theirs(actor)), atol=1e-6)
    assert log_std[0] is None


def test_td3() -> None:
    actor = Td3(K, N)
    mean, _ = outputs(imported(sb3_zip(actor), "sb3_td3"))
    np.testing.assert_allclose(mean, theirs(actor), atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu", "elu", "sigmoid"])
@pytest.mark.parametrize("squash", [False, True])
def test_a_plain_mlp_of_eleven_layers_in_the_order_of_its_numbers(activation: str, squash: bool) -> None:
    function = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "elu": torch.nn.ELU, "sigmoid": torch.nn.Sigmoid}
    layers: list[torch.nn.Module] = []
    for _ in range(10):
        layers += [linear(K, K), function[activation]()]
    layers += [linear(K, N), *([torch.nn.Tanh()] if squash else [])]
    module = torch.nn.Sequential(*layers)
    state = {f"actor.net.{name}": tensor for name, tensor in module.state_dict().items()} | {"critic.w": torch.zeros(3)}
    rules = {"activation": activation, "squash_output": squash, "prefix": "actor."}
    mean, _ = outputs(imported(saved(state), "state_dict", network=rules))
    np.testing.assert_allclose(mean, theirs(module), atol=1e-6)


def test_a_gaussian_of_a_state_dict_has_its_deviation_from_the_file_or_the_contract() -> None:
    module = torch.nn.Sequential(linear(K, 4), torch.nn.Tanh(), linear(4, N))
    state = module.state_dict() | {"log_std": torch.tensor([[-1.0, 0.5]])}
    rules = {"activation": "tanh", "log_std": "log_std"}
    _, log_std = outputs(imported(saved(state), "state_dict", "gaussian", network=rules))
    np.testing.assert_allclose(log_std[0], [-1.0, 0.5])
    found = imported(saved(module.state_dict()), "state_dict", "gaussian", stddev=0.2)
    assert outputs(found)[1][0] is None and found.policy.contract.stddev == (0.2,)


def test_a_process_has_no_file() -> None:
    found = imported(None, "process")
    assert found.policy.network is None
    with pytest.raises(ContractError, match="a process of its own has no file"):
        imported(b"x", "process")
    with pytest.raises(ContractError, match="a policy of source sb3_ppo has a file"):
        imported(None, "sb3_ppo")


def state_of(module: torch.nn.Module) -> Tensors:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def without(tensors: Tensors, *names: str, **more: Any) -> Tensors:
    return {name: array for name, array in tensors.items() if name not in names} | more


PPO, SAC, TD3 = state_of(Ppo(K, N)), state_of(Sac(K, N)), state_of(Td3(K, N))
PLAIN = {"0.weight": np.zeros((4, K)), "0.bias": np.zeros(4), "2.weight": np.zeros((N, 4)), "2.bias": np.zeros(N)}


@pytest.mark.parametrize(
    ("tensors", "source", "distribution", "told"),
    [
        (SAC, "sb3_ppo", "gaussian", "expected action_net.weight and action_net.bias, got 'actor"),
        (PPO, "sb3_sac", "squashed_gaussian", "expected actor.mu.weight"),
        (PPO, "sb3_td3", "deterministic", "expected the actor of TD3 with 1 to 63 hidden layers, got 0"),
        (without(PPO, "log_std"), "sb3_ppo", "gaussian", "expected log_std with one number per action, got none"),
        (without(PPO, log_std=np.zeros((8, N))), "sb3_ppo", "gaussian", r"got shape \(8, 2\) \(gSDE\)"),
        (without(SAC, "actor.log_std.weight"), "sb3_sac", "squashed_gaussian", "expected actor.log_std.weight"),
        (
            without(PPO, **{"mlp_extractor.shared_net.0.weight": np.zeros((2, 2))}),
            "sb3_ppo",
            "gaussian",
            "layers shared by actor and critic",
        ),
        (
            without(PPO, **{"features_extractor.cnn.0.weight": np.zeros((2, 2))}),
            "sb3_ppo",
            "gaussian",
            "a features extractor with weights",
        ),
        *(
            (without(state, **{name: np.zeros((2, 2))}), source, "deterministic", "a features extractor with weights")
            for state, source, name in (
                (TD3, "sb3_td3", "actor.features_extractor.cnn.0.weight"),
                (SAC, "sb3_sac", "actor.features_extractor.cnn.0.weight"),
                (PPO, "sb3_ppo", "pi_features_extractor.cnn.0.weight"),
            )
        ),
        (without(PLAIN, **{"1.weight": np.zeros(4), "1.bias": np.zeros(4)}), "state_dict", "deterministic", "in '1'"),
        (without(PLAIN, "2.bias"), "state_dict", "deterministic", "linear layers with weight and bias alone"),
        (without(PLAIN, log_std=np.zeros(N)), "state_dict", "deterministic", "a log_std is named by network: log_std"),
        (
            without(PLAIN, **{"2.weight": np.zeros((N, 3))}),
            "state_dict",
            "deterministic",
            "expected 4 inputs of layer '2'",
        ),
        (without(PLAIN, "2.weight", "2.bias"), "state_dict", "deterministic", "hidden layers, got 0"),
        ({}, "state_dict", "deterministic", "no tensor of the state dict begins with prefix ''"),
    ],
)
def test_what_is_no_plain_mlp_is_refused_by_name(tensors: Tensors, source: str, distribution: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        layers_of(tensors, read_contract(contract(source, distribution)))


def test_what_a_critic_looks_through_is_of_no_concern() -> None:
    seen = without(TD3, **{"critic.features_extractor.cnn.0.weight": np.zeros((2, 2))})
    assert (
        layers_of(seen, read_contract(contract("sb3_td3"))).keys()
        == layers_of(TD3, read_contract(contract("sb3_td3"))).keys()
    )


def test_names_in_the_contract_that_the_file_does_not_have_are_told() -> None:
    def rules(**fields: Any) -> Any:
        return read_contract(contract("state_dict", "gaussian", network={"activation": "tanh"} | fields))

    with pytest.raises(ContractError, match="the state dict has no log_std 'sigma'; it has '0.bias'"):
        layers_of(PLAIN, rules(log_std="sigma"))
    prefixed = read_contract(contract("state_dict", network={"activation": "tanh", "prefix": "pi."}))
    with pytest.raises(ContractError, match="prefix 'pi.'; it has '0.bias'"):
        layers_of(PLAIN, prefixed)


def test_nothing_but_the_policys_member_of_an_archive_is_read() -> None:
    found = imported(sb3_zip(Ppo(K, N)), "sb3_ppo")  # its optimiser is no torch file
    assert found.policy.network is not None


def test_numbers_that_are_not_finite_are_refused() -> None:
    actor = Ppo(K, N)
    torch.nn.init.constant_(actor.action_net.bias, float("nan"))
    with pytest.raises(WeightsError, match="'mean.bias' holds NaN"):
        imported(sb3_zip(actor), "sb3_ppo")
    actor = Ppo(K, N)
    torch.nn.init.constant_(actor.log_std, 21.0)
    with pytest.raises(WeightsError, match="log standard deviations within"):
        imported(sb3_zip(actor), "sb3_ppo", "gaussian")


def test_a_deviation_that_is_not_drawn_with_or_not_there_is_told() -> None:
    content = imported(sb3_zip(Ppo(K, N)), "sb3_ppo", "gaussian").content
    tensors, metadata = read(content)
    quiet = {"kind": "contracted", "contract": read_contract(contract("sb3_ppo")).content}
    with pytest.raises(ContractError, match="expected no standard deviation in the policy's file, got one"):
        ContractedPolicy(tensors, quiet)
    del tensors["log_std"]
    with pytest.raises(ContractError, match="expected a standard deviation in the policy's file, got none"):
        ContractedPolicy(tensors, metadata)


def test_tensors_that_nobody_asks_for_are_refused() -> None:
    tensors, _ = read(imported(sb3_zip(Ppo(K, N)), "sb3_ppo").content)
    for metadata in (
        {"contract": read_contract(contract("process")).content},
        {"contract": read_contract(contract("onnx")).content, "onnx": ""},
    ):
        with pytest.raises(ContractError, match="expected no tensors beside"):
            ContractedPolicy(tensors, metadata)
    with pytest.raises(WeightsError, match="expected the ONNX model in base64"):
        ContractedPolicy({}, {"contract": read_contract(contract("onnx")).content, "onnx": "!"})


def test_a_file_with_a_contract_is_for_a_graph_alone() -> None:
    content = imported(sb3_zip(Ppo(K, N)), "sb3_ppo").content
    policy, metadata = any_policy_from_bytes(content)
    assert isinstance(policy, ContractedPolicy) and metadata["from"] == "a test"
    with pytest.raises(WeightsError, match="got an imported one with a contract, which a graph runs"):
        policy_from_bytes(content)
