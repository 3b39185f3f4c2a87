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
    """One input of floats in, one output; see `contracted.Network`.

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
        if len(graph.inputs) != 1:
            raise OnnxError(f"expected an ONNX model of one input, got {', '.join(graph.inputs)}")
        if not output and len(graph.outputs) != 1:
            raise OnnxError(
                f"the ONNX model has the outputs {', '.join(graph.outputs)}: say network: output in the contract"
            )
        self._output = output or next(iter(graph.outputs))
        if self._output not in graph.outputs:
            raise OnnxError(f"the ONNX model has no output '{self._output}'; {nearest(self._output, graph.outputs)}")
        ((self._input, shape),) = graph.inputs.items()
        self._batched = len(shape) != 1
        if len(shape) > 2 or (len(shape) == 2 and shape[0] not in (1, None)):
            raise OnnxError(f"expected an ONNX model for observations of shape (1, k) or (k,), got {shape}")
        self.input_size = shape[-1] if shape else None
        sizes = graph.outputs[self._output]
        known = [size for size in (sizes[1:] if self._batched else sizes) if size is not None]
        self.output_size = int(np.prod(known)) if known and len(known) == len(sizes) - self._batched else None
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
            (output,) = self._session.run([self._output], {self._input: values[None] if self._batched else values})
        except Exception as error:  # the library's own, of many kinds
            first = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise OnnxError(f"onnxruntime cannot evaluate the model: {first[0][:300]}") from error
        if not isinstance(output, np.ndarray) or output.dtype.kind != "f":
            raise OnnxError(f"expected floats from output '{self._output}' of the ONNX model, got another kind")
        return output.astype(np.float64).reshape(-1), None


def _session(model: bytes) -> Any:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    # One thread: the policy shares its machine with the filter, and sums are then in one order.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
