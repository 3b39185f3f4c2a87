# SPDX-License-Identifier: Apache-2.0
"""Plain MLPs in ONNX: a graph taken apart into layers of ours where it is exactly that, and else left as it is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from safe_transfer_ros.policies.onnx_graph import FLOAT, Graph, Node
from safe_transfer_ros.policies.tensors import Tensors

_ACTIVATIONS = {"Tanh": "tanh", "Relu": "relu", "Elu": "elu", "Sigmoid": "sigmoid"}


@dataclass(frozen=True, kw_only=True)
class OnnxMlp:
    """A plain MLP that a graph is.

    Attributes:
      tensors: hidden.N and mean.
      activation: After every hidden layer.
      squash_output: Whether tanh follows the last one.
    """

    tensors: Tensors
    activation: str
    squash_output: bool


def mlp_of(graph: Graph, output: str) -> OnnxMlp | None:
    """The plain MLP that leads to an output; None where the graph is anything else.

    Args:
      graph: Of a model with one input.
      output: Name of the output.
    """
    graph = dataclasses.replace(graph, weights=_constants(graph))
    by_output = {name: node for node in graph.nodes for name in node.outputs}
    steps: list[Node] = []
    value = output
    while value not in graph.inputs:
        node = by_output.get(value)
        if node is None or len(steps) > len(graph.nodes):
            return None
        steps.append(node)
        led_by = [name for name in node.inputs if name and name not in graph.weights]
        if len(led_by) != 1:
            return None
        value = led_by[0]
    flat = len(graph.inputs[value]) == 2
    return _layers(graph, [node for node in reversed(steps) if not _does_nothing(node, flat)])


def _constants(graph: Graph) -> dict[str, Any]:
    """Weights by name, and what exporters make of them: other names for equal ones, constants."""
    found = dict(graph.weights)
    for node in graph.nodes:
        if node.operation == "Constant" and len(node.outputs) == 1:
            value = node.attributes.get("value")
            found[node.outputs[0]] = value if isinstance(value, np.ndarray) else None
        elif node.operation == "Identity" and node.inputs and node.inputs[0] in found:
            found |= dict.fromkeys(node.outputs, found[node.inputs[0]])
    return found


def _does_nothing(node: Node, flat: bool) -> bool:
    """Whether an operation leaves what a plain MLP's layers hand on as it is."""
    return (
        node.operation == "Identity"
        or (node.operation == "Cast" and node.attributes.get("to") == FLOAT)
        or (node.operation == "Flatten" and flat and node.attributes.get("axis", 1) == 1)
    )


def _layers(graph: Graph, steps: list[Node]) -> OnnxMlp | None:
    """Layers of nodes one after the other: linear, activation, linear, ..., perhaps tanh."""
    linear: list[tuple[Any, Any]] = []
    activations: list[str] = []
    place = 0
    while place < len(steps):
        found, used = _linear(graph, steps[place : place + 2])
        if found is None:
            return None
        linear.append(found)
        place += used
        if place < len(steps):
            node = steps[place]
            if node.operation not in _ACTIVATIONS or node.attributes.get("alpha", 1.0) != 1.0:
                return None
            activations.append(_ACTIVATIONS[node.operation])
            place += 1
    squashes = len(activations) == len(linear)
    inner = activations[:-1] if squashes else activations
    if len(linear) < 2 or len(set(inner)) != 1 or (squashes and activations[-1] != "tanh"):
        return None
    names = [*(f"hidden.{number}" for number in range(len(linear) - 1)), "mean"]
    tensors = {
        f"{name}.{part}": np.array(array, dtype=np.float32)
        for name, layer in zip(names, linear, strict=True)
        for part, array in zip(("weight", "bias"), layer, strict=True)
    }
    return OnnxMlp(tensors=tensors, activation=inner[0], squash_output=squashes)


def _linear(graph: Graph, nodes: list[Node]) -> tuple[tuple[Any, Any] | None, int]:
    """Weight (outputs, inputs) and bias of a linear layer at the beginning of nodes, and how many of them it takes."""
    first = nodes[0]
    if first.operation == "Gemm":
        usual = {"alpha": 1.0, "beta": 1.0, "transA": 0}
        if any(first.attributes.get(name, value) != value for name, value in usual.items()) or len(first.inputs) != 3:
            return None, 0
        weight, bias = (graph.weights.get(name) for name in first.inputs[1:])
        turned = first.attributes.get("transB", 0) == 1
        return _checked(weight if turned or weight is None else weight.T, bias), 1
    if first.operation == "MatMul" and len(nodes) == 2 and nodes[1].operation == "Add":
        weight = graph.weights.get(first.inputs[1])
        (bias,) = [graph.weights[name] for name in nodes[1].inputs if name in graph.weights] or (None,)
        return _checked(None if weight is None else weight.T, bias), 2
    return None, 0


def _checked(weight: Any, bias: Any) -> tuple[Any, Any] | None:
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        return None
    return (weight, bias) if weight.dtype == bias.dtype == np.float32 else None
