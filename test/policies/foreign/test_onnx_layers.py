# SPDX-License-Identifier: Apache-2.0
"""A plain MLP in ONNX is evaluated without onnxruntime, to the same numbers; anything else is left to onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from others_policies import attribute, contract, mlp, mlp_model, model, node, tensor, value

from safe_transfer_ros.policies.contract import read_contract
from safe_transfer_ros.policies.foreign.importing import import_policy
from safe_transfer_ros.policies.foreign.onnx_layers import mlp_of
from safe_transfer_ros.policies.mlp_network import MlpNetwork
from safe_transfer_ros.policies.onnx_graph import read_graph
from safe_transfer_ros.policies.onnx_network import OnnxNetwork

pytest.importorskip("onnxruntime")

K, N = 4, 3
WEIGHTS = mlp((K, 6, 5, N))
OBSERVATIONS = np.random.default_rng(1).standard_normal((20, K))


def same(data: bytes) -> str:
    """Compare what we make of a model with onnxruntime, and return which network that is."""
    found = import_policy(data, read_contract(contract("onnx")), origin="a test")
    reference, network = OnnxNetwork(data), found.policy.network
    assert network is not None and found.source is not None
    for observation in OBSERVATIONS:
        np.testing.assert_allclose(network(observation)[0], reference(observation)[0], atol=1e-6)
        np.testing.assert_array_equal(found.source(observation), reference(observation)[0])
    return type(network).__name__


@pytest.mark.parametrize("activation", ["Tanh", "Relu", "Elu", "Sigmoid"])
@pytest.mark.parametrize("squash", [False, True])
def test_layers_of_gemm(activation: str, squash: bool) -> None:
    assert same(mlp_model(WEIGHTS, activation=activation, squash=squash)) == MlpNetwork.__name__


def test_layers_of_matmul_and_add_as_other_exporters_write_them() -> None:
    weights = {name: array.T.copy() if name.startswith("w") else array for name, array in WEIGHTS.items()}
    nodes, before = [], "x"
    for layer in range(3):
        nodes += [node("MatMul", [before, f"w{layer}"], [f"m{layer}"])]
        nodes += [node("Add", [f"b{layer}", f"m{layer}"] if layer else [f"m{layer}", "b0"], [f"h{layer}"])]
        nodes += [node("Relu", [f"h{layer}"], [f"a{layer}"])] if layer < 2 else []
        before = f"a{layer}"
    nodes += [node("Identity", ["h2"], ["y"])]
    assert same(model(nodes, weights, [value("x", 1, K)], [value("y", 1, N)])) == MlpNetwork.__name__


def test_a_weight_that_stands_elsewhere_under_another_name() -> None:
    weights = dict(WEIGHTS)
    constant = node("Constant", [], ["b0"], attribute("value", tensor("", weights.pop("b0")), 5))
    shared = node("Identity", ["kept"], ["b1"])
    weights["kept"] = weights.pop("b1")
    plain = [
        constant,
        shared,
        node("Cast", ["x"], ["c"], attribute("to", 1)),
        node("Flatten", ["c"], ["f"], attribute("axis", 1)),
        node("Gemm", ["f", "w0", "b0"], ["h0"], attribute("transB", 1)),
        node("Tanh", ["h0"], ["a0"]),
        node("Gemm", ["a0", "w1", "b1"], ["h1"], attribute("transB", 1)),
        node("Tanh", ["h1"], ["a1"]),
        node("Gemm", ["a1", "w2", "b2"], ["y"], attribute("transB", 1)),
    ]
    assert same(model(plain, weights, [value("x", "n", K)], [value("y", "n", N)])) == MlpNetwork.__name__


HEAD = ["a0", "w1", "b1"]


@pytest.mark.parametrize(
    "second",
    [
        [node("Gemm", HEAD, ["y"], attribute("transB", 1), attribute("alpha", 0.5))],
        [node("Gemm", HEAD, ["y"], attribute("transB", 1), attribute("beta", 2.0))],
        [node("Gemm", HEAD[:2], ["y"], attribute("transB", 1))],
        [node("Gemm", HEAD, ["h1"], attribute("transB", 1)), node("Relu", ["h1"], ["y"])],
        [node("Gemm", HEAD, ["h1"], attribute("transB", 1)), node("Add", ["h1", "h1"], ["y"])],
        [node("Gemm", HEAD, ["h1"], attribute("transB", 1)), node("Mul", ["h1", "scale"], ["y"])],
        [node("Gemm", HEAD, ["h1"], attribute("transB", 1)), node("Softmax", ["h1"], ["y"])],
    ],
)
def test_a_graph_that_is_more_than_that_is_left_to_onnxruntime(second: list[bytes]) -> None:
    weights = mlp((K, 5, N)) | {"scale": np.full((1, N), 2.0, np.float32)}
    nodes = [node("Gemm", ["x", "w0", "b0"], ["h0"], attribute("transB", 1)), node("Tanh", ["h0"], ["a0"]), *second]
    assert same(model(nodes, weights, [value("x", "n", K)], [value("y", "n", N)])) == OnnxNetwork.__name__


def test_two_activations_or_one_with_a_parameter_are_no_plain_mlp() -> None:
    weights = mlp((K, 5, 5, N))
    gemms = [node("Gemm", [f"a{n}", f"w{n}", f"b{n}"], [f"h{n}"], attribute("transB", 1)) for n in (1, 2)]
    first = node("Gemm", ["x", "w0", "b0"], ["h0"], attribute("transB", 1))
    end = node("Identity", ["h2"], ["y"])
    for one, two in (
        (node("Tanh", ["h0"], ["a1"]), node("Relu", ["h1"], ["a2"])),
        (node("Elu", ["h0"], ["a1"], attribute("alpha", 0.5)), node("Elu", ["h1"], ["a2"], attribute("alpha", 0.5))),
    ):
        data = model([first, one, gemms[0], two, gemms[1], end], weights, [value("x", "n", K)], [value("y", "n", N)])
        assert same(data) == OnnxNetwork.__name__


def test_a_flatten_that_reshapes_is_no_plain_mlp() -> None:
    weights = mlp((K, 5, N))
    nodes = [
        node("Flatten", ["x"], ["f"], attribute("axis", 0)),
        node("Gemm", ["f", "w0", "b0"], ["h0"], attribute("transB", 1)),
        node("Tanh", ["h0"], ["a0"]),
        node("Gemm", HEAD, ["y"], attribute("transB", 1)),
    ]
    assert mlp_of(read_graph(model(nodes, weights, [value("x", "n", K)], [value("y", "n", N)])), "y") is None


def test_weights_of_another_type_are_no_plain_mlp() -> None:
    weights = {name: array.astype(np.float64) for name, array in WEIGHTS.items()}
    assert mlp_of(read_graph(mlp_model(weights)), "y") is None and mlp_of(read_graph(mlp_model(WEIGHTS)), "y")


def test_a_circle_is_no_plain_mlp() -> None:
    nodes = [node("Tanh", ["a"], ["b"]), node("Tanh", ["b"], ["a"]), node("Identity", ["a"], ["y"])]
    assert mlp_of(read_graph(model(nodes, {}, [value("x", "n", K)], [value("y", "n", N)])), "y") is None
