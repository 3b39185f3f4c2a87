# SPDX-License-Identifier: Apache-2.0
"""Decodes many serialised messages at once: one walk over the first, numpy for all that are laid out like it.

Where a message's strings and array lengths stay the same, so does every offset in it. A `Layout` holds the offsets,
and the bytes that must not change (lengths, strings); a block of messages whose bytes agree there is decoded column by
column, without touching single messages. https://www.omg.org/spec/DDS-XTYPES (XCDR version 1, as ROS 2 writes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype

from safe_transfer_ros.bags.errors import BagError

Bytes = NDArray[np.uint8]
FieldDefinitions = Mapping[str, Any]

_SIZES = {"bool": 1, "byte": 1, "char": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4}
_SIZES |= {"float32": 4, "int64": 8, "uint64": 8, "float64": 8}
_KINDS = {"bool": "u1", "byte": "u1", "char": "u1", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"}
_KINDS |= {"int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8"}
_HEADER = 4  # bytes of encapsulation before the body; alignment counts from the body
_FIRST_RUN = 256  # messages copied on the guess that they are laid out alike
_TRAILING = 7  # padding that some writers leave behind the last field


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Positions of the numbers in a message.

    Attributes:
      size: Bytes of the message.
      strings: Text fields by path; lists of text for arrays of strings.
      columns: Path -> offset, numpy type, count (None: a single number).
      fixed: Positions of the bytes that all messages of this layout share, shape (m,).
      template: Those bytes, shape (m,).
    """

    size: int
    strings: dict[str, str | list[str]]
    columns: dict[str, tuple[int, np.dtype[Any], int | None]]
    fixed: NDArray[np.intp]
    template: Bytes

    def column(self, block: Bytes, path: str) -> NDArray[Any]:
        """One field of every message of a block (m, size): shape (m,), or (m, count) for an array.

        Raises:
          KeyError: if there is no such number in the message.
        """
        offset, kind, count = self.columns[path]
        length = kind.itemsize * (1 if count is None else count)
        part = np.ascontiguousarray(block[:, offset : offset + length])
        if length == 0:
            return np.empty((len(block), 0), dtype=kind)
        values = part.view(kind)
        return values[:, 0] if count is None else values

    def fits(self, block: Bytes) -> NDArray[np.bool_]:
        """Mask of the messages of a block (m, size) that have this layout, shape (m,)."""
        return np.asarray((block[:, self.fixed] == self.template).all(axis=1))


class LayoutReader:
    """Finds the layouts of one message type.

    Args:
      definitions: Field definitions by type name, as rosbags' type stores give them.
      type_name: The message type.
    """

    def __init__(self, definitions: FieldDefinitions, type_name: str) -> None:
        self._definitions, self._type_name = definitions, type_name
        self._known: dict[int, list[Layout]] = {}

    def runs(self, messages: Sequence[bytes]) -> Iterator[tuple[Layout, Bytes]]:
        """Splits messages into runs of one layout, in order.

        Yields:
          A layout, and the run's messages as (m, size) bytes.

        Raises:
          BagError: if a message does not fit its definition.
        """
        start, most = 0, _FIRST_RUN
        while start < len(messages):
            layout = self._layout(messages[start])
            stop = start + 1
            while stop < min(len(messages), start + most) and len(messages[stop]) == layout.size:
                stop += 1
            block = np.frombuffer(b"".join(messages[start:stop]), dtype=np.uint8).reshape(-1, layout.size)
            fits = layout.fits(block)
            count = stop - start if fits.all() else int(np.argmin(fits))
            # Layouts that alternate must not make every block be copied again and again.
            most = 2 * most if count == most else max(_FIRST_RUN, 2 * count)
            yield layout, block[:count]
            start += count

    def _layout(self, message: bytes) -> Layout:
        row = np.frombuffer(message, dtype=np.uint8)[None]
        known = self._known.setdefault(len(message), [])
        for layout in known:
            if layout.fits(row)[0]:
                return layout
        layout = self._walk(message)
        known.insert(0, layout)
        del known[32:]  # text that changes with every message must not fill the memory
        return layout

    def _walk(self, message: bytes) -> Layout:
        try:
            walk = _Walk(message, self._definitions)
            walk.message(self._type_name, "")
            return walk.layout()
        except (struct.error, IndexError, KeyError, UnicodeDecodeError, RecursionError, _Misfit) as error:
            raise BagError(f"a message does not fit its definition {self._type_name}: {error or 'cut off'}") from error


class _Misfit(ValueError):
    """The bytes are not a message of the type."""


@dataclass
class _Walk:
    """One pass over one message."""

    data: bytes
    definitions: FieldDefinitions
    position: int = 0
    order: str = "<"
    strings: dict[str, str | list[str]] = field(default_factory=dict)
    columns: dict[str, tuple[int, np.dtype[Any], int | None]] = field(default_factory=dict)
    fixed: list[tuple[int, int]] = field(default_factory=lambda: [(0, 2)])

    def __post_init__(self) -> None:
        if len(self.data) < _HEADER or self.data[1] not in (0, 1):
            raise _Misfit("not plain CDR")
        self.order = "<" if self.data[1] == 1 else ">"

    def layout(self) -> Layout:
        if not len(self.data) - _TRAILING <= self.position + _HEADER <= len(self.data):
            raise _Misfit(f"{len(self.data)} bytes, of which the definition accounts for {self.position + _HEADER}")
        fixed = np.concatenate([np.arange(start, stop) for start, stop in self.fixed])
        template = np.frombuffer(self.data, dtype=np.uint8)[fixed]
        return Layout(
            size=len(self.data), strings=self.strings, columns=self.columns, fixed=fixed, template=template.copy()
        )

    def message(self, type_name: str, path: str) -> None:
        for name, (kind, details) in self.definitions[type_name][1]:
            self._field(kind, details, f"{path}.{name}" if path else name)

    def _field(self, kind: Nodetype, details: Any, path: str) -> None:
        if kind == Nodetype.BASE:
            if details[0] == "string":
                self.strings[path] = self._string()
            else:
                self._numbers(details[0], path, None)
        elif kind == Nodetype.NAME:
            self.message(details, path)
        else:
            (element, of), count = details[0], details[1]
            if kind == Nodetype.SEQUENCE:
                count = self._length()
            self._elements(element, of, count, path)

    def _elements(self, kind: Nodetype, details: Any, count: int, path: str) -> None:
        if count > len(self.data):
            raise _Misfit(f"{path} says it has {count} elements")
        if kind == Nodetype.BASE and details[0] == "string":
            self.strings[path] = [self._string() for _ in range(count)]
        elif kind == Nodetype.BASE:
            self._numbers(details[0], path, count)
        else:
            for index in range(count):
                self._field(kind, details, f"{path}.{index}")

    def _numbers(self, name: str, path: str, count: int | None) -> None:
        size = _SIZES[name]
        if count != 0:  # an empty sequence is not aligned
            self.position += -self.position % size
        dtype = np.dtype(self.order + _KINDS[name])
        self.columns[path] = (self.position + _HEADER, dtype, count)
        self.position += size * (1 if count is None else count)
        if self.position + _HEADER > len(self.data):
            raise _Misfit("cut off")

    def _length(self) -> int:
        self.position += -self.position % 4
        start = self.position + _HEADER
        self.fixed.append((start, start + 4))
        self.position += 4
        return int(struct.unpack_from(self.order + "I", self.data, start)[0])

    def _string(self) -> str:
        length = self._length()
        start = self.position + _HEADER
        if start + length > len(self.data):
            raise _Misfit("cut off in a text")
        self.fixed.append((start, start + length))
        self.position += length
        return self.data[start : start + max(length - 1, 0)].decode()
