# SPDX-License-Identifier: Apache-2.0
"""Structure of a pickle, read as data: nothing it names is imported or called.

`pickletools` takes the bytes apart into operations; those that a state dict of torch is written with build a tree of
plain values here, in which a class is its name and a call is a `Call`. Any other operation is refused.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from typing import Any

from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.untrusted import printable

MOST_OPERATIONS = 200_000
_MARK = object()


@dataclass(frozen=True, kw_only=True, eq=False)
class Named:
    """Class or function by name, such as torch.FloatStorage."""

    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """Call of something with arguments, not made; `items` are what was put into the result."""

    of: Named
    arguments: tuple[Any, ...]
    items: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """Reference to what lies outside the pickle."""

    key: Any


def read_pickle(data: bytes, what: str) -> Any:
    """Read a pickle's structure.

    Args:
      data: The pickle.
      what: What it is, for the message.

    Returns:
      Plain values, tuples, lists, dicts with texts for keys, `Named`, `Call` and `Stored`.

    Raises:
      WeightsError: if it is no pickle, or holds an operation that a state dict has no use for.
    """
    machine = _Machine(what)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count > MOST_OPERATIONS:
                raise WeightsError(f"{what} has more than {MOST_OPERATIONS} operations: a state dict has far fewer")
            if operation.name == "STOP":
                return machine.top()
            machine.take(operation.name, argument)
    except WeightsError:
        raise
    except Exception as error:  # pickletools and the tree's own: a stranger's bytes may raise anything
        raise WeightsError(
            f"expected {what} as torch writes it, got something else: {printable(error)[:200]}"
        ) from None
    raise WeightsError(f"expected {what} as torch writes it, got one without an end")


class _Machine:
    """A pickle's stack and memory, with values as `read_pickle` returns them."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def top(self) -> Any:
        """The value on the stack."""
        return self._stack[-1]

    def take(self, name: str, argument: Any) -> None:
        """Process one operation."""
        stack = self._stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name == "GLOBAL":
            stack.append(Named(name=argument.replace(" ", ".")))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self._popped(int(name[-1]))))
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name == "BINPERSID":
            stack.append(Stored(key=stack.pop()))
        elif name == "REDUCE":
            of, arguments = self._popped(2)
            if not isinstance(of, Named) or not isinstance(arguments, tuple):
                raise WeightsError(f"{self._what} calls something that is no named function: not read")
            stack.append(Call(of=of, arguments=arguments, items={}))
        elif name == "BUILD":  # attributes of what is below: torch's notes on versions, of no use here
            stack.pop()
        elif name in ("SETITEM", "SETITEMS"):
            self._set(self._popped(2) if name == "SETITEM" else self._to_mark())
        elif name in ("APPEND", "APPENDS"):
            added = self._popped(1) if name == "APPEND" else self._to_mark()
            stack[-1].extend(added)
        else:
            raise WeightsError(
                f"{self._what} holds the pickle operation {name}, which a state dict has no use for: not read"
            )

    def _set(self, entries: list[Any]) -> None:
        target = self._stack[-1]
        items = target.items if isinstance(target, Call) else target
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            if not isinstance(items, dict) or not isinstance(key, str):
                raise WeightsError(f"{self._what} is no mapping of names to tensors: save model.state_dict()")
            items[key] = value

    def _popped(self, count: int) -> list[Any]:
        values = self._stack[-count:]
        if len(values) != count or any(value is _MARK for value in values):
            raise ValueError("its stack is too short")
        del self._stack[-count:]
        return values

    def _to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise ValueError("a mark is missing")


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
