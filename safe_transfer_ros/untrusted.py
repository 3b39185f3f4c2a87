# SPDX-License-Identifier: Apache-2.0
"""Untrusted files and texts: read within bounds, refused in one line, shown without control characters.

Whoever reads YAML that did not come out of this process reads it here. How much is read: `bounds`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from safe_transfer_ros.bounds import YAML_BYTES, YAML_DEPTH, YAML_PLAIN_SCALAR, YAML_VALUES

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
# What PyYAML lets out when a value is not what its tag or its looks say: "2001-99-99", "!!bool maybe", 5,000 digits.
_BAD_VALUE = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, RecursionError)


class UntrustedError(ValueError):
    """Raised when a file or text is not valid. The message is one line: what, where, what to do."""


class OutOfBoundsError(UntrustedError):
    """It is more than a valid file holds (see `bounds`), or no file at all but a pipe or a device."""


def read_bytes(path: Path | str, *, most_bytes: int) -> bytes:
    """Content of a regular file, at most `most_bytes` long.

    Raises:
      OSError: if it cannot be read.
      OutOfBoundsError: if it is too long, or a pipe, a socket or a device, which could keep a reader waiting for ever.
    """
    path = Path(path)
    # Not to wait for a writer, should it be a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe, socket or device"
        raise OutOfBoundsError(f"{path} is {what}: a regular file is expected")
    with open(descriptor, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OutOfBoundsError(f"{path} is longer than the {most_bytes} bytes that are read")
    return content


def read_text(path: Path | str, *, most_bytes: int = YAML_BYTES) -> str:
    """Text of a regular file in UTF-8, at most `most_bytes` long.

    Raises:
      OSError: if it cannot be read.
      UntrustedError: if it is not UTF-8, or see `read_bytes`.
    """
    content = read_bytes(path, most_bytes=most_bytes)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UntrustedError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}; save it as UTF-8"
        ) from None


def read_yaml(path: Path | str, *, merge_sections: int = 0) -> Any:
    """Content of a YAML file; see `load_yaml` and `read_text` for what is refused.

    Raises:
      OSError: if it cannot be read.
      UntrustedError: if it is refused.
    """
    return load_yaml(read_text(path), str(path), merge_sections=merge_sections)


def load_yaml(text: str, what: str, *, merge_sections: int = 0) -> Any:
    """Content of a YAML text: plain data only, each key once, within bounds.

    Args:
      text: The text.
      what: What it is, for the message: a path, or a topic of a bag.
      merge_sections: Levels, from the outermost, at which a mapping given twice is merged, as ROS merges repeated
        sections of a parameter file; a value given twice is refused at every level.

    Raises:
      UntrustedError: if it is not YAML, is out of bounds, holds other than plain data, or has a key twice.
    """
    if len(text) > YAML_BYTES:  # counted in characters: near enough
        raise OutOfBoundsError(f"{what} is longer than the {YAML_BYTES} bytes that are read")
    try:
        _check(text, what)
        loader = _UniqueKeys(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _merge(node, merge_sections)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise UntrustedError(f"{what} is not YAML: {_one_line(error)}") from None
    except UntrustedError:
        raise
    except _BAD_VALUE as error:
        detail = printable(str(error)).splitlines()[0] if str(error) else type(error).__name__
        raise UntrustedError(f"{what} holds a value that cannot be read: {detail[:200]}") from None


def printable(text: object) -> str:
    r"""A text from outside as a terminal may show it: control characters, also those that turn it round, as escapes.

    >>> printable("arm\x1b[2J")
    'arm\\x1b[2J'
    """
    told = str(text)
    return told if told.isprintable() else "".join(map(_shown, told))


def printable_lines(text: object) -> str:
    """Escape control characters as `printable` does, but keep line ends and tabs."""
    return "\n".join(line.expandtabs() if line.isprintable() else _with_tabs(line) for line in str(text).split("\n"))


def _with_tabs(line: str) -> str:
    return "".join(_shown(character) for character in line.expandtabs())


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _check(text: str, what: str) -> None:
    """Refuse what is out of bounds before it is built.

    An alias costs as much as what it stands for: ten lines of aliases of aliases are 10 ** 9 values to whoever walks
    through them.
    """
    sizes: dict[str, int | None] = {}  # of what an anchor stands for; None: not complete yet
    opened: list[tuple[str | None, int]] = []  # anchor and count where each open collection began
    values = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(str(event.anchor), 0)
            if size is None:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise OutOfBoundsError(f"{what} holds itself at line {line}: take the alias out")
            values += size
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = None
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
            if event.implicit[0] and len(event.value) > YAML_PLAIN_SCALAR:
                raise OutOfBoundsError(f"{what} holds an unquoted value of more than {YAML_PLAIN_SCALAR} characters")
        if len(opened) > YAML_DEPTH:
            raise OutOfBoundsError(f"{what} is nested more than {YAML_DEPTH} deep")
        if values > YAML_VALUES:
            raise OutOfBoundsError(f"{what} holds more than {YAML_VALUES} values, its aliases written out")


class _UniqueKeys(_Loader):
    """PyYAML lets the last of two equal keys win, in silence; YAML forbids them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._checked: set[int] = set()  # nodes, by id: the document holds them all until it is read

    def flatten_mapping(self, node: Any) -> None:
        """Put merged keys (`<<`) beside a mapping's own, of which none may be there twice."""
        # Before they are merged, and once: what is merged may have the same key, and a node that others merge comes
        # here again with those keys beside its own.
        if id(node) not in self._checked:
            self._checked.add(id(node))
            self._check_keys(node)
        super().flatten_mapping(node)

    def _check_keys(self, node: Any) -> None:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{printable(repr(key))} is given twice", key_node.start_mark
                    )
                seen.add(key)


def _merge(node: yaml.Node, levels: int) -> None:
    """Put the entries of mappings under one key together, `levels` deep."""
    if levels <= 0 or not isinstance(node, yaml.MappingNode):
        return
    entries: list[tuple[yaml.Node, yaml.Node]] = []
    place: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
        before = place.get(name) if name is not None else None
        if before is not None and isinstance(value, yaml.MappingNode):
            first = entries[before][1]
            if isinstance(first, yaml.MappingNode):
                # A new node: what an alias shares with this one must not change with it.
                both = yaml.MappingNode(first.tag, [*first.value, *value.value], first.start_mark, value.end_mark)
                entries[before] = (entries[before][0], both)
                continue
        if name is not None and before is None:
            place[name] = len(entries)
        entries.append((key, value))
    node.value = entries
    for _, value in entries:
        _merge(value, levels - 1)


def _one_line(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    told = printable(str(problem if problem else error).splitlines()[0] if str(problem or error) else "no YAML")
    return f"{told[:200]}{where}"
