# SPDX-License-Identifier: Apache-2.0
"""Message types from the definitions in a bag, refused where decoding them would not end.

rosbags makes a Python function of each type: one line a field, and one an element of a fixed array. What a stranger's
definition may cost is therefore counted before anything is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bounds import DEFINITION_BYTES, DEFINITION_DEPTH, DEFINITION_FIELDS

_NUMBERS = frozenset("bool byte char int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64".split())
# What the parser lets out besides its own errors, for a text that is not a definition.
_NOT_PARSED = (TypesysError, UnicodeDecodeError, ValueError, KeyError, IndexError, TypeError, AttributeError)
_NOT_PARSED += (RecursionError, OverflowError, MemoryError, AssertionError, SyntaxError)  # type: ignore[assignment]


@lru_cache(maxsize=64)
def type_store(encoding: str, name: str, definition: bytes) -> Typestore:
    """Types of a definition.

    Each definition has a type store of its own: what stands in the file decides, not what this machine knows,
    and two files may hold two versions of one type.

    Args:
      encoding: Language of the definition: "ros2msg", "ros2idl" or "omgidl".
      name: The type it defines, for example "sensor_msgs/msg/JointState".
      definition: The text, with that of every type it uses.

    Raises:
      BagError: if it cannot be understood, or is out of bounds; the text says why, not where.
    """
    if encoding not in ("ros2msg", "ros2idl", "omgidl"):
        raise BagError(f"it is described in {encoding!r}; only ros2msg and ros2idl are read")
    if len(definition) > DEFINITION_BYTES:
        raise BagError(f"it is longer than {DEFINITION_BYTES} bytes")
    try:
        text = definition.decode()
        if encoding == "ros2msg":
            types: dict[str, Any] = dict(get_types_from_msg(text, name))
        else:
            types = {}
            for part in re.split(r"^=+\nIDL: .*\n", text, flags=re.MULTILINE):
                types.update(get_types_from_idl(part))
        store = get_typestore(Stores.EMPTY)
        _check(name, dict(store.fielddefs) | types)
        store.register(types)
    except BagError:
        raise
    except _NOT_PARSED as error:
        detail = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise BagError(f"it cannot be parsed: {detail[:200]}") from None
    return store


def _check(name: str, types: Mapping[str, Any]) -> None:
    """Refuse a type whose decoding is not bounded by the length of a message.

    Every field takes at least a byte of the message: types without fields have one on the wire, and arrays of no
    element are refused. So what is left to bound is the work there is before the message is looked at.
    """
    counted: dict[str, tuple[int, int]] = {}

    def cost(type_name: str, within: tuple[str, ...]) -> tuple[int, int]:
        """Fields and depth."""
        if type_name in within:
            raise BagError(f"type {type_name} holds itself")
        if type_name not in types:
            raise BagError(f"it uses the type {type_name} and does not define it")
        if len(within) >= DEFINITION_DEPTH:
            raise BagError(f"its types are nested more than {DEFINITION_DEPTH} deep")
        if type_name not in counted:
            fields, depth = 1, 0
            for field_name, (kind, details) in types[type_name][1]:
                times = 1
                if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                    (element, of), length = details
                    if kind == Nodetype.ARRAY:
                        if length < 1:
                            raise BagError(f"{type_name}.{field_name} is an array of {length} elements")
                        times = 1 if element == Nodetype.BASE and of[0] in _NUMBERS else length
                    kind, details = element, of
                if kind == Nodetype.NAME:
                    inside, below = cost(details, (*within, type_name))
                elif details[0] in _NUMBERS or details[0] == "string":
                    inside, below = 1, 0
                else:
                    raise BagError(f"{type_name}.{field_name} is a {details[0]}, which is not read here")
                fields, depth = fields + times * inside, max(depth, below + 1)
                if fields > DEFINITION_FIELDS:
                    raise BagError(f"it has more than {DEFINITION_FIELDS} fields, those of all its types counted")
            counted[type_name] = fields, depth
        if len(within) + counted[type_name][1] > DEFINITION_DEPTH:
            raise BagError(f"its types are nested more than {DEFINITION_DEPTH} deep")
        return counted[type_name]

    cost(name, ())
