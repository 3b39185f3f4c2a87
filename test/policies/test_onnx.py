# SPDX-License-Identifier: Apache-2.0
"""ONNX files are read within bounds, point to no other file and do not loop; onnxruntime is loaded late."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from others_policies import attribute, message, mlp, mlp_model, model, node, tensor, value, varint

from safe_transfer_ros.policies import onnx_graph
from safe_transfer_ros.policies.onnx_graph import OnnxError, read_graph
from safe_transfer_ros.policies.onnx_network import OnnxNetwork
from safe_transfer_ros.policies.tensors import WeightsError

K, N = 4, 3
IN, OUT = [value("x", "n", K)], [value("y", "n", N)]
WEIGHTS = mlp((K, 5, N))
PLAIN = mlp_model(WEIGHTS)
HAS_RUNTIME = importlib.util.find_spec("onnxruntime") is not None
needs_runtime = pytest.mark.skipif(not HAS_RUNTIME, reason="onnxruntime is optional, and not installed")


def test_a_graph_is_read_as_it_was_written() -> None:
    graph = read_graph(PLAIN)
    assert [found.operation for found in graph.nodes] == ["Gemm", "Tanh", "Gemm", "Identity"]
    assert graph.nodes[0].inputs == ("x", "w0", "b0") and graph.nodes[0].attributes == {"transB": 1}
    assert (graph.inputs, graph.outputs) == ({"x": (None, K)}, {"y": (None, N)})
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(graph.weights[name], array)


def test_numbers_are_read_in_every_way_they_may_be_written() -> None:
    packed = message((1, varint(2) + varint(3)), (2, 1), (8, "w"), (4, np.arange(6, dtype="<f4").tobytes()))
    single = message((1, 2), (2, 7), (8, "n"), (7, 5), (7, -3))
    older = [(5, packed), (5, single)]
    graph = read_graph(model([node("Identity", ["x"], ["y"])], {}, [*IN, value("w", 2, 3)], OUT, *older))
    np.testing.assert_array_equal(graph.weights["w"], np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(graph.weights["n"], [5, -3])
    assert list(graph.inputs) == ["x"]  # older files list weights among the inputs


IDENTITY = node("Identity", ["x"], ["y"])


def with_tensor(content: bytes) -> bytes:
    return model([IDENTITY], {}, IN, OUT, (5, content))


ELSEWHERE = message((1, "location"), (2, "/etc/passwd"))
W = np.zeros(2, dtype=np.float32)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "expected an ONNX model with one graph, got 0"),
        (b"hello", "is cut off or unknown|that are none|one graph"),
        (PLAIN[:-9], "that are none"),
        (PLAIN + PLAIN, "one graph, got 2"),
        (model([], {}, IN, OUT), "with nodes, inputs and outputs"),
        (model([IDENTITY], {}, [], OUT), "with nodes, inputs and outputs"),
        (with_tensor(tensor("w", W, (13, ELSEWHERE), (14, 1))), "weight 'w' .* lies in another file"),
        (with_tensor(tensor("w", W, (13, ELSEWHERE))), "lies in another file"),
        (with_tensor(tensor("w", W, (14, 1))), "lies in another file"),
        (
            model([node("Constant", [], ["y"], attribute("value", tensor("", W, (13, ELSEWHERE)), 5))], {}, IN, OUT),
            "lies in another file",
        ),
        (
            model([node("Constant", [], ["y"], attribute("value", tensor("", W, (14, 1)), 10))], {}, IN, OUT),
            "lies in another file",
        ),
        (model([node("Loop", ["x"], ["y"], attribute("body", b"", 6))], {}, IN, OUT), r"loops \(attribute 'body'\)"),
        (model([node("If", ["x"], ["y"], attribute("both", b"", 11))], {}, IN, OUT), "branches or loops"),
        (model([node("Constant", [], ["y"], attribute("s", b"", 22))], {}, IN, OUT), "sparse tensors"),
        (model([IDENTITY], {}, IN, OUT, (15, b"")), "sparse weights"),
        (model([node("Do", ["x"], ["y"], domain="evil")], {}, IN, OUT), "operation 'evil.Do', which is not ONNX's own"),
        (model([IDENTITY], {}, IN, OUT) + message((25, b"")), "functions of its own"),
        (with_tensor(message((1, 2**40), (2, 1), (8, "w"))), r"weight 'w' .* out of bounds"),
        (with_tensor(message(*[(1, 1)] * 9, (2, 1), (8, "w"))), "out of bounds"),
        (with_tensor(message((1, -2), (2, 1), (8, "w"))), "out of bounds"),
        (with_tensor(message((1, 3), (2, 1), (8, "w"), (9, W.tobytes()))), "that are none"),
        (model([IDENTITY], {}, [message((1, "x"), (2, message((4, b""))))], OUT), "is no tensor"),
        (b"\xff" * 20, "too long|that are none"),
    ],
)
def test_what_is_not_run_here_is_refused_in_one_line(data: bytes, told: str) -> None:
    with pytest.raises(OnnxError, match=told) as error:
        read_graph(data)
    assert "\n" not in str(error.value)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "MOST_NODES", 3)
    with pytest.raises(OnnxError, match="more than 3 nodes"):
        read_graph(PLAIN)
    monkeypatch.undo()
    monkeypatch.setattr(onnx_graph, "MOST_TENSORS", 3)
    with pytest.raises(OnnxError, match="or 3 weights"):
        read_graph(PLAIN)
    monkeypatch.undo()
    monkeypatch.setattr(onnx_graph, "MOST_FIELDS", 60)
    for many in (message(*[(1, 1)] * 40, (2, 7)), message((1, varint(1) * 40), (2, 7))):
        with pytest.raises(OnnxError, match="more than 60 fields and whole numbers"):
            read_graph(with_tensor(many))
    read_graph(with_tensor(tensor("w", W)))
    monkeypatch.undo()
    monkeypatch.setattr(onnx_graph, "WEIGHTS_BYTES", 100)
    with pytest.raises(OnnxError, match="of at most 100 bytes"):
        read_graph(PLAIN)


def test_a_damaged_file_is_refused_wherever_it_is_cut_or_changed() -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(PLAIN)
        for place in rng.integers(0, len(PLAIN), 4):
            damaged[place] = rng.integers(256)
        for content in (bytes(damaged), bytes(damaged[: rng.integers(len(PLAIN))])):
            try:
                read_graph(content)
            except OnnxError:
                continue


@needs_runtime
def test_onnxruntime_gives_the_numbers_of_the_network() -> None:
    network, observation = OnnxNetwork(PLAIN), np.linspace(-1, 1, K)
    hidden = np.tanh(WEIGHTS["w0"] @ observation + WEIGHTS["b0"])
    mean, log_std = network(observation)
    np.testing.assert_allclose(mean, WEIGHTS["w1"] @ hidden + WEIGHTS["b1"], atol=1e-5)
    assert log_std is None and (network.input_size, network.output_size) == (K, N)


@needs_runtime
def test_a_model_of_one_observation_without_a_batch_and_of_chunks() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.ones((K, 6), dtype=np.float32)}
    network = OnnxNetwork(model(nodes, weights, [value("x", K)], [value("y", 6)]))
    np.testing.assert_allclose(network(np.ones(K))[0], np.full(6, 4.0))
    chunked = [node("MatMul", ["x", "w"], ["m"]), node("Reshape", ["m", "s"], ["y"])]
    weights["s"] = np.array([1, 2, 3])
    network = OnnxNetwork(model(chunked, weights, [value("x", 1, K)], [value("y", 1, 2, 3)]))
    assert network.output_size == 6 and network(np.ones(K))[0].shape == (6,)


@needs_runtime
def test_an_observation_fills_the_inputs_of_a_model_in_their_order() -> None:
    """An image (1, 3, 2, 2) and two numbers: y = mean of each channel, then the numbers."""
    nodes = [
        node("GlobalAveragePool", ["image"], ["pooled"]),
        node("Flatten", ["pooled"], ["means"]),
        node("Concat", ["means", "state"], ["y"], attribute("axis", 1)),
    ]
    network = OnnxNetwork(model(nodes, {}, [value("image", 1, 3, 2, 2), value("state", 1, 2)], [value("y", 1, 5)]))
    assert (network.input_size, network.output_size) == (14, 5)
    observation = np.arange(14.0)
    np.testing.assert_allclose(network(observation)[0], [1.5, 5.5, 9.5, 12.0, 13.0])


@needs_runtime
@pytest.mark.parametrize(
    ("data", "output", "told"),
    [
        (model([IDENTITY], {}, [*IN, value("z", "n", "k")], OUT), "", "whose inputs x, z have fixed sizes"),
        (model([IDENTITY], {}, IN, [*OUT, value("z", 1)]), "", "has the outputs y, z: say network: output"),
        (PLAIN, "actoin", "no output 'actoin'; known: y"),
        (model([IDENTITY], {}, [value("x", 2, K)], OUT), "", r"input 'x' .* one observation, .* got \(2, 4\)"),
        (model([IDENTITY], {}, [value("x", 2, 2, K)], OUT), "", r"with fixed sizes, got \(2, 2, 4\)"),
        (model([IDENTITY], {}, [value("x", 1, "h", K)], OUT), "", r"with fixed sizes, got \(1, None, 4\)"),
    ],
)
def test_inputs_and_outputs_that_are_no_policys_are_named(data: bytes, output: str, told: str) -> None:
    with pytest.raises(OnnxError, match=told):
        OnnxNetwork(data, output=output)


@needs_runtime
def test_what_onnxruntime_cannot_evaluate_is_told_in_one_line() -> None:
    broken = OnnxNetwork(model([node("NoSuchThing", ["x"], ["y"])], {}, IN, OUT))
    whole = OnnxNetwork(model([node("Cast", ["x"], ["y"], attribute("to", 7))], {}, IN, [value("y", "n", K, kind=7)]))
    for network, told in (
        (broken, "onnxruntime cannot evaluate the model"),
        (whole, "expected floats from output 'y'"),
    ):
        with pytest.raises(WeightsError, match=told) as error:
            network(np.zeros(K))
        assert "\n" not in str(error.value)


def test_without_onnxruntime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = importlib.util.find_spec

    def missing(name: str) -> Any:
        return None if name == "onnxruntime" else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(OnnxError, match="not installed: pip install onnxruntime"):
        OnnxNetwork(PLAIN)


@needs_runtime
def test_onnxruntime_is_loaded_with_the_first_observation() -> None:
    program = (
        "import sys, numpy; from safe_transfer_ros.policies.onnx_network import OnnxNetwork\n"
        "network = OnnxNetwork(sys.stdin.buffer.read()); assert 'onnxruntime' not in sys.modules\n"
        f"network(numpy.zeros({K})); assert 'onnxruntime' in sys.modules and 'torch' not in sys.modules"
    )
    finished = subprocess.run([sys.executable, "-c", program], input=PLAIN, capture_output=True)
    assert finished.returncode == 0, finished.stderr.decode()
