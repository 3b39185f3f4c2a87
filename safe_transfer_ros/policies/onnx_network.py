# SPDX-License-Identifier: Apache-2.0
"""An ONNX model that acts: evaluated by onnxruntime, which is loaded with the first observation and not before."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.configuration import nearest
from safe_transfer_ros.policies.onnx_graph import OnnxError, read_graph

Array = NDArray[np.float64]


class OnnxNetwork:
    """Inputs of floats in, one output; see `contracted.Network`.

    The numbers of an observation fill the model's inputs one after the other, in the model's order.

    Attributes:
      input_size: Length of an observation; None: the model takes any.
      output_size: Length of an output, all rows of a chunk counted; None: the model does not say.
      description: What it is, in a few words.
    """

    has_log_std = False

    def __init__(self, model: bytes, *, output: str = "") -> None:
        """Check a model; it is not executed.

        Args:
          model: Content of an .onnx file.
          output: Name of the output that is the action; empty: it has one only.

        Raises:
          OnnxError: if it is not such a model, or onnxruntime is not installed.
        """
        graph = read_graph(model)
        if importlib.util.find_spec("onnxruntime") is None:
            raise OnnxError("this policy is run by onnxruntime, which is not installed: pip install onnxruntime")
        if not output and len(graph.outputs) != 1:
            raise OnnxError(
                f"the ONNX model has the outputs {', '.join(graph.outputs)}: say network: output in the contract"
            )
        self._output = output or next(iter(graph.outputs))
        if self._output not in graph.outputs:
            raise OnnxError(f"the ONNX model has no output '{self._output}'; {nearest(self._output, graph.outputs)}")
        self._inputs = {name: _fed(name, shape) for name, shape in graph.inputs.items()}
        sizes = [_known_size(shape) for shape in self._inputs.values()]
        if len(sizes) > 1 and None in sizes:
            raise OnnxError(
                f"expected an ONNX model whose inputs {', '.join(graph.inputs)} have fixed sizes: export it with them"
            )
        self.input_size = sum(size for size in sizes if size is not None) if None not in sizes else None
        batched = len(next(iter(graph.inputs.values()))) != 1
        outputs = graph.outputs[self._output]
        known = [size for size in (outputs[1:] if batched else outputs) if size is not None]
        self.output_size = int(np.prod(known)) if known and len(known) == len(outputs) - batched else None
        self.description = f"ONNX of {len(graph.nodes)} nodes, run by onnxruntime"
        self._model: bytes = model
        self._session: Any = None

    def __call__(self, observation: Array) -> tuple[Array, Array | None]:
        """See `contracted.Network`.

        Raises:
          OnnxError: if onnxruntime refuses the model or cannot evaluate it.
        """
        values = np.asarray(observation, dtype=np.float32)
        try:
            if self._session is None:
                self._session = _session(self._model)
            (output,) = self._session.run([self._output], self._split(values))
        except Exception as error:  # the library's own, of many kinds
            first = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise OnnxError(f"onnxruntime cannot evaluate the model: {first[0][:300]}") from error
        if not isinstance(output, np.ndarray) or output.dtype.kind != "f":
            raise OnnxError(f"expected floats from output '{self._output}' of the ONNX model, got another kind")
        return output.astype(np.float64).reshape(-1), None

    def _split(self, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Values for each input, in its shape."""
        found, begin = {}, 0
        for name, shape in self._inputs.items():
            size = _known_size(shape)
            end = len(values) if size is None else begin + size
            found[name] = values[begin:end].reshape(shape)
            begin = end
        return found


def _fed(name: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Shape that an input is fed in: one observation, whose length is -1 where the model takes any.

    Raises:
      OnnxError: if it takes anything else than one observation.
    """
    fed = tuple(-1 if size is None else size for size in shape)
    if len(fed) > 1:
        if fed[0] not in (1, -1) or (-1 in fed[1:] and len(fed) > 2):
            raise OnnxError(
                f"expected input '{name}' of the ONNX model to take one observation, of shape (k,), (1, k) or "
                f"(1, ...) with fixed sizes, got {shape}"
            )
        return (1, *fed[1:])
    return fed or (-1,)


def _known_size(shape: tuple[int, ...]) -> int | None:
    """Numbers of an input; None where it takes any."""
    return None if -1 in shape else int(np.prod(shape))


def _session(model: bytes) -> Any:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    # One thread: the policy shares its machine with the filter, and sums are then in one order.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
