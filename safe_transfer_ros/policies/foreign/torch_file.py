# SPDX-License-Identifier: Apache-2.0
"""Tensors of a state dict that torch.save wrote, without torch and without unpickling anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safe_transfer_ros.bounds import PICKLE_BYTES, WEIGHTS_BYTES
from safe_transfer_ros.policies.foreign.archive import Archive
from safe_transfer_ros.policies.foreign.pickled import Call, Named, Stored, read_pickle
from safe_transfer_ros.policies.tensors import Tensors, WeightsError
from safe_transfer_ros.untrusted import printable

_DTYPES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": "<u2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.BoolStorage": "|b1",
}
_TENSOR, _PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
_MOST_DIMENSIONS = 8


def read_state_dict(data: bytes, what: str) -> Tensors:
    """Read the tensors of a state dict, as float32.

    Args:
      data: What torch.save wrote of a mapping of names to tensors, such as model.state_dict().
      what: What it is, for the message.

    Raises:
      WeightsError: if it is anything else, or out of bounds.
    """
    if data[:2] != b"PK":
        old = data[:1] == b"\x80"
        got = (
            "the format of torch before 1.6, or a plain pickle: never read"
            if old
            else f"{len(data)} bytes of another kind"
        )
        raise WeightsError(f"expected {what} as torch.save writes a state dict (a zip archive), got {got}")
    archive = Archive(data, what)
    roots = [name.removesuffix("data.pkl") for name in archive.names if name.split("/")[1:] == ["data.pkl"]]
    if len(roots) != 1 or "constants.pkl" in "".join(archive.names):
        raise WeightsError(
            f"expected {what} as torch.save writes a state dict, got another archive (TorchScript, or a whole model?): "
            "save model.state_dict()"
        )
    reader = _Storages(archive, roots[0], what)
    content = read_pickle(archive.read(f"{roots[0]}data.pkl", most_bytes=PICKLE_BYTES), f"{what}, data.pkl")
    found = content.items if isinstance(content, Call) and content.of.name == "collections.OrderedDict" else content
    if not isinstance(found, dict):
        raise WeightsError(
            f"expected {what} as a mapping of names to tensors, got something else: save model.state_dict()"
        )
    return {name: reader.tensor(name, value) for name, value in found.items()}


class _Storages:
    """Numbers that a state dict's tensors lie in."""

    def __init__(self, archive: Archive, root: str, what: str) -> None:
        self._archive, self._root, self._what = archive, root, what
        self._read: dict[tuple[str, str], NDArray[Any]] = {}
        self._left = WEIGHTS_BYTES  # of storages and of tensors, which may share one
        if f"{root}byteorder" in archive.names and archive.read(f"{root}byteorder", most_bytes=16) != b"little":
            raise WeightsError(f"{what} was written on a big-endian machine, which is not read: save it on another")

    def tensor(self, name: str, value: Any) -> NDArray[np.float32]:
        """The tensor that a call in the pickle stands for."""
        shown = f"'{printable(name)[:80]}' of {self._what}"
        if isinstance(value, Call) and value.of.name == _PARAMETER and value.arguments:
            value = value.arguments[0]
        if not isinstance(value, Call) or value.of.name != _TENSOR or len(value.arguments) < 4:
            got = printable(value.of.name)[:60] if isinstance(value, Call) else type(value).__name__
            raise WeightsError(f"expected {shown} as a dense tensor, got {got}: save model.state_dict() alone")
        stored, offset, size, stride = value.arguments[:4]
        numbers = self._storage(stored, shown)
        whole = [offset, *size, *stride]
        if not all(type(number) is int and number >= 0 for number in whole) or len(size) != len(stride):
            raise WeightsError(f"the shape of {shown} is damaged")
        count = math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if len(size) > _MOST_DIMENSIONS or (count and last >= len(numbers)):
            raise WeightsError(f"{shown} reaches beyond the numbers stored for it: the file is damaged")
        self._take(4 * count)
        if not count:
            return np.zeros(size, dtype=np.float32)
        steps = [step * numbers.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False).astype(np.float32)

    def _storage(self, stored: Any, shown: str) -> NDArray[Any]:
        """Numbers of a persistent id ("storage", class, key, place, length)."""
        key = stored.key if isinstance(stored, Stored) else None
        if not (isinstance(key, tuple) and len(key) == 5 and key[0] == "storage" and isinstance(key[2], str)):
            raise WeightsError(f"expected the storage of {shown} as torch writes it, got something else")
        kind = key[1].name if isinstance(key[1], Named) else ""
        if kind not in _DTYPES:
            raise WeightsError(f"expected {shown} as numbers, got {printable(kind)[:60] or 'something else'}")
        if (kind, key[2]) not in self._read:
            content = self._archive.read(f"{self._root}data/{key[2]}", most_bytes=self._left)
            self._take(len(content))
            self._read[kind, key[2]] = _numbers(content, kind, shown)
        numbers = self._read[kind, key[2]]
        if type(key[4]) is not int or len(numbers) != key[4]:
            raise WeightsError(f"expected {key[4]!r:.20} numbers for {shown}, got {len(numbers)}: the file is damaged")
        return numbers

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise WeightsError(f"{self._what} holds more than the {WEIGHTS_BYTES} bytes of tensors that are read")


def _numbers(content: bytes, kind: str, shown: str) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[kind])
    if len(content) % dtype.itemsize:
        raise WeightsError(f"{shown} is cut off: {len(content)} bytes are no whole number of values")
    numbers = np.frombuffer(content, dtype=dtype)
    if kind == "torch.BFloat16Storage":  # the upper half of a float32
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers
