# SPDX-License-Identifier: Apache-2.0
"""Message definitions for a bag: the text a reader without ROS needs, and the type hash.

A bag that carries its own definitions can be read on any machine, for years. ROS 2 installs the text
of every message at ``<prefix>/share/<package>/msg/<Type>.msg`` and its hash beside it as JSON; the
text is concatenated with that of every type it uses, the way rosbag2's mcap storage does it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safe_transfer_ros.bags.errors import BagError

_SEPARATOR = "=" * 80
_PRIMITIVES = frozenset(
    "bool byte char float32 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 string wstring".split()
)
_TYPE_NAME = re.compile(r"^(?P<package>[a-z][a-z0-9_]*)/(?:msg/)?(?P<name>[A-Z][A-Za-z0-9]*)$")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Definition of one message type, as a bag stores it.

    Attributes:
      type_name: Full name, for example ``sensor_msgs/msg/JointState``.
      text: The type's .msg text followed by that of every type it uses ("ros2msg" encoding).
      type_hash: The RIHS01 hash that ROS 2 compares at discovery; empty where it is not installed.
      encoding: Language of the text.
    """

    type_name: str
    text: str
    type_hash: str
    encoding: str = "ros2msg"


class MessageDefinitions:
    """Finds definitions in installed message packages.

    Args:
      folders: Folders holding ``<package>/msg/<Type>.msg``, first match wins. Default: ``share`` of
        every prefix on AMENT_PREFIX_PATH, then ``share`` of this Python's environment.
    """

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        self._folders = tuple(installed_share_folders() if folders is None else folders)

    def find(self, type_name: str) -> Definition:
        """Definition of a message type with all it depends on.

        Args:
          type_name: ``package/msg/Type`` (or ``package/Type``).

        Returns:
          The definition.

        Raises:
          BagError: if the name is malformed, or a definition is not installed.
        """
        package, name = _split(type_name)
        root = self._text(package, name)
        parts = [root]
        seen = {(package, name)}
        # Depth first, each type once: the order rosbag2 writes, so that both give the same text.
        pending = list(reversed(list(_dependencies(package, root))))
        while pending:
            key = pending.pop()
            if key in seen:
                continue
            seen.add(key)
            text = self._text(*key)
            parts.append(f"{_SEPARATOR}\nMSG: {key[0]}/{key[1]}\n{text}")
            pending.extend(reversed(list(_dependencies(key[0], text))))
        return Definition(type_name=f"{package}/msg/{name}", text="\n".join(parts), type_hash=self._hash(package, name))

    def _text(self, package: str, name: str) -> str:
        for folder in self._folders:
            path = folder / package / "msg" / f"{name}.msg"
            if path.is_file():
                return path.read_text(encoding="utf-8")
        looked = ", ".join(str(folder) for folder in self._folders) or "nowhere (AMENT_PREFIX_PATH is empty)"
        raise BagError(
            f"no definition of message type {package}/msg/{name} under {looked}: "
            f"install the message package {package}, or source the workspace that has it"
        )

    def _hash(self, package: str, name: str) -> str:
        for folder in self._folders:
            path = folder / package / "msg" / f"{name}.json"
            try:
                hashes = json.loads(path.read_text(encoding="utf-8"))["type_hashes"]
            except (OSError, ValueError, KeyError):
                continue
            for entry in hashes:
                if entry.get("type_name") == f"{package}/msg/{name}":
                    return str(entry["hash_string"])
        return ""


def installed_share_folders() -> Iterator[Path]:
    """Share folders that may hold message packages, most specific first."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    seen: set[Path] = set()
    for prefix in [*prefixes, sys.prefix]:
        folder = Path(prefix) / "share"
        if folder not in seen and folder.is_dir():
            seen.add(folder)
            yield folder


def _split(type_name: str) -> tuple[str, str]:
    match = _TYPE_NAME.match(type_name)
    if match is None:
        raise BagError(f"message type {type_name!r} is not of the form package/msg/Type")
    return match["package"], match["name"]


def _dependencies(package: str, text: str) -> Iterator[tuple[str, str]]:
    """Types that a .msg text uses, as (package, name), in name order, without primitives."""
    found = set()
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) < 2 or words[0].startswith("@"):
            continue
        base = re.split(r"[\[<]", words[0], maxsplit=1)[0]
        if base in _PRIMITIVES:
            continue
        found.add(_split(base if "/" in base else f"{package}/{base}"))
    yield from sorted(found)
