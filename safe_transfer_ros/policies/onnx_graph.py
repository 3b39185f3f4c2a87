# SPDX-License-Identifier: Apache-2.0
"""Structure of an ONNX file, read from its protobuf bytes within bounds: nodes, weights, inputs and outputs.

Nothing is executed and no other file is opened: a graph that points to one, or that holds another graph (a loop, a
branch), is refused. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bounds import WEIGHTS_BYTES
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.untrusted import printable

MOST_NODES = 10_000
MOST_TENSORS = 10_000
MOST_FIELDS = 1_000_000
_MOST_DIMENSIONS = 8
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")  # others may reach outside the model
FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_TYPES: dict[int, Any] = {FLOAT: np.dtype("<f4"), _INT64: np.dtype("<i8"), 11: np.dtype("<f8"), 10: np.dtype("<f2")}

Array = NDArray[Any]


class OnnxError(WeightsError):
    """Raised when bytes are no ONNX model that is run here. The message says why."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation.

    Attributes:
      operation: Its type, such as Gemm.
      inputs: Names of values.
      outputs: Names of values.
      attributes: Numbers, lists of them, texts and tensors by name.
    """

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(kw_only=True)
class Graph:
    """A model's graph.

    Attributes:
      nodes: In the order of the file.
      weights: Constant values by name; None for one of a type other than float and int64.
      inputs: Values that are handed in, with their shapes; None: a free or an unknown dimension.
      outputs: Values that come out, with their shapes.
    """

    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Array | None] = field(default_factory=dict)
    inputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)


def read_graph(data: bytes) -> Graph:
    """Read a model's graph.

    Args:
      data: Content of an .onnx file.

    Raises:
      OnnxError: if it is none, is out of bounds, or is of a kind that is not run here.
    """
    if len(data) > WEIGHTS_BYTES:
        raise OnnxError(f"expected an ONNX model of at most {WEIGHTS_BYTES} bytes, got {len(data)}")
    try:
        graph = _model(_Wire(), memoryview(data))
    except OnnxError:
        raise
    except (ValueError, IndexError, struct.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise OnnxError(f"expected an ONNX model, got {len(data)} bytes that are none: {error}") from None
    for name in graph.weights:  # older files list them among the inputs
        graph.inputs.pop(name, None)
    if not graph.nodes or not graph.inputs or not graph.outputs:
        raise OnnxError("expected an ONNX model with nodes, inputs and outputs, got none: is it another kind of file?")
    return graph


def _model(wire: _Wire, data: memoryview) -> Graph:
    graphs = []
    for number, value in wire.fields(data):
        if number == 7:
            graphs.append(_bytes(value))
        elif number == 25:
            raise OnnxError("the ONNX model brings functions of its own, which are not run here: export it without")
    if len(graphs) != 1:
        raise OnnxError(f"expected an ONNX model with one graph, got {len(graphs)}: is it another kind of file?")
    return _graph(wire, graphs[0])


def _graph(wire: _Wire, data: memoryview) -> Graph:
    graph = Graph()
    for number, value in wire.fields(data):
        if number == 1:
            graph.nodes.append(_node(wire, _bytes(value)))
        elif number == 5:
            name, array = _tensor(wire, _bytes(value))
            graph.weights[name] = array
        elif number == 15:
            raise OnnxError("the ONNX model has sparse weights, which are not run here: export it with dense ones")
        elif number in (11, 12):
            name, shape = _value(wire, _bytes(value))
            (graph.inputs if number == 11 else graph.outputs)[name] = shape
        if len(graph.nodes) > MOST_NODES or len(graph.weights) > MOST_TENSORS:
            raise OnnxError(f"the ONNX model has more than {MOST_NODES} nodes or {MOST_TENSORS} weights")
    return graph


def _node(wire: _Wire, data: memoryview) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    operation, domain, attributes = "", "", {}
    for number, value in wire.fields(data):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            operation = _text(value)
        elif number == 7:
            domain = _text(value)
        elif number == 5:
            name, content = _attribute(wire, _bytes(value))
            attributes[name] = content
    if domain not in _DOMAINS:
        raise OnnxError(
            f"the ONNX model has the operation '{printable(f'{domain}.{operation}')[:60]}', which is not ONNX's own: "
            "export it with standard operations"
        )
    return Node(operation=operation, inputs=tuple(inputs), outputs=tuple(outputs), attributes=attributes)


def _attribute(wire: _Wire, data: memoryview) -> tuple[str, Any]:
    name = ""
    content: Any = None
    lists: list[Any] = []
    for number, value in wire.fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            content = _float(value)
        elif number == 3:
            content = _signed(value)
        elif number == 4:
            content = bytes(_bytes(value))
        elif number == 5:
            content = _tensor(wire, _bytes(value))[1]
        elif number in (6, 11):
            raise OnnxError(
                f"the ONNX model branches or loops (attribute '{printable(name)[:40]}'), which is not run here: how "
                "long it takes could not be told; export it without"
            )
        elif number == 10:
            _tensor(wire, _bytes(value))
        elif number in (22, 23):
            raise OnnxError("the ONNX model has sparse tensors, which are not run here: export it with dense ones")
        elif number == 8:
            lists += wire.whole_numbers(value)
    return name, lists if lists else content


def _tensor(wire: _Wire, data: memoryview) -> tuple[str, Array | None]:
    dims: list[int] = []
    kind, name, raw = 0, "", None
    floats: list[Array] = []
    whole: list[int] = []
    for number, value in wire.fields(data):
        if number == 1:
            dims += wire.whole_numbers(value)
        elif number == 2:
            kind = _whole(value)
        elif number == 4:
            floats.append(np.frombuffer(_bytes(value), dtype="<f4"))  # one number, or several packed
        elif number == 7:
            whole += wire.whole_numbers(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _bytes(value)
        elif number == 13 or (number == 14 and _whole(value) != 0):
            raise OnnxError(
                f"weight '{printable(name)[:40]}' of the ONNX model lies in another file, which is not opened: save "
                "the model as one file"
            )
    if len(dims) > _MOST_DIMENSIONS or any(size < 0 for size in dims) or math.prod(dims) * 4 > WEIGHTS_BYTES:
        raise OnnxError(f"weight '{printable(name)[:40]}' of the ONNX model has the shape {dims[:9]}, out of bounds")
    if kind not in _TYPES or (raw is None and kind not in (FLOAT, _INT64)):
        return name, None
    if raw is not None:
        array = np.frombuffer(raw, dtype=_TYPES[kind])
    else:
        array = np.concatenate([*floats, np.empty(0, "<f4")]) if kind == FLOAT else np.array(whole, dtype=_TYPES[kind])
    return name, array.reshape(dims)


def _value(wire: _Wire, data: memoryview) -> tuple[str, tuple[int | None, ...]]:
    name = ""
    shape: list[int | None] = []
    for number, value in wire.fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            shape = _shape(wire, _bytes(value))
    return name, tuple(shape)


def _shape(wire: _Wire, data: memoryview) -> list[int | None]:
    """Dimensions of TypeProto.tensor_type.shape."""
    found: list[int | None] = []
    for number, tensor in wire.fields(data):
        if number != 1:
            raise OnnxError("an input or output of the ONNX model is no tensor")
        for inner, shape in wire.fields(_bytes(tensor)):
            if inner == 2:
                for dim_number, dim in wire.fields(_bytes(shape)):
                    if dim_number == 1:
                        sizes = [_whole(value) for number, value in wire.fields(_bytes(dim)) if number == 1]
                        found.append(sizes[0] if sizes and 0 < sizes[0] < 2**31 else None)
    return found


# Protobuf's wire format ---

_Value = int | memoryview


class _Wire:
    """Reader of a model's messages, which gives up where there are more fields and numbers than any model has."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def fields(self, data: memoryview) -> Iterator[tuple[int, _Value]]:
        """Number and value of every field: an int, or the bytes of what has a length or a fixed size."""
        place, end = 0, len(data)
        while place < end:
            self._count()
            key, place = _varint(data, place)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value: _Value
                value, place = _varint(data, place)
            else:
                size = {1: 8, 5: 4}.get(kind)
                if kind == 2:
                    size, place = _varint(data, place)
                if size is None or size > end - place:
                    raise ValueError(f"a field of wire type {kind} at byte {place} is cut off or unknown")
                value = data[place : place + size]
                place += size
            yield number, value

    def whole_numbers(self, value: _Value) -> list[int]:
        """One number, or several packed into bytes."""
        if isinstance(value, int):
            return [_signed(value)]
        found, place = [], 0
        while place < len(value):
            self._count()
            number, place = _varint(value, place)
            found.append(_signed(number))
        return found

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise OnnxError(f"the ONNX model has more than {MOST_FIELDS} fields and whole numbers: no policy's has")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place
    raise ValueError(f"a number at byte {place} is too long")


def _bytes(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes are expected")
    return value


def _whole(value: _Value) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number is expected")
    return value


def _text(value: _Value) -> str:
    return bytes(_bytes(value)).decode()


def _signed(value: _Value) -> int:
    whole = _whole(value)
    return whole - 2**64 if whole >= 2**63 else whole


def _float(value: _Value) -> float:
    return float(struct.unpack("<f", _bytes(value))[0])
