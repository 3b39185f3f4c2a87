# SPDX-License-Identifier: Apache-2.0
"""The files of a recording, and their description in its metadata.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.record import LOST, METADATA_NAME
from safe_transfer_ros.untrusted import OutOfBoundsError, UntrustedError, printable, read_yaml

SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True, kw_only=True)
class BagFolder:
    """Files present of a recording, and files expected.

    Attributes:
      files: Files that are there, in order of recording.
      missing: Files that metadata.yaml names and that are not there.
      messages: How many messages metadata.yaml tells of; None: it does not tell, or was written before the first came.
      topics: The same by topic.
      notes: What else is known to be wrong: metadata.yaml cannot be read, or tells of losses before a repair.
    """

    files: tuple[Path, ...]
    missing: tuple[Path, ...] = ()
    messages: int | None = None
    topics: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def bag_folder(path: Path) -> BagFolder:
    """Look at a recording.

    Args:
      path: A rosbag2 folder (its metadata.yaml may be missing) or one of its files.

    Raises:
      BagError: if there is none, its files are of a kind that is not read here, or its metadata.yaml is out of bounds.
    """
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise BagError(f"{path} is neither an .mcap nor a .db3 file")
        return BagFolder(files=(path,))
    if not path.is_dir():
        raise BagError(f"{path} is not a regular file" if path.exists() else f"there is no bag at {path}")
    information, notes = _information(path / METADATA_NAME)
    if information.get("compression_mode"):
        raise BagError(
            f"{path} is compressed by {printable(information['compression_mode'])}, which is not read here: "
            "convert it with `ros2 bag convert` to mcap without compression_mode"
        )
    names = information.get("relative_file_paths")
    listed = [path / Path(str(name)).name for name in (names if isinstance(names, list) else ())]
    there = {file: file.suffix in SUFFIXES and file.is_file() for file in dict.fromkeys(listed)}
    files = [file for file, found in there.items() if found]
    # metadata.yaml may be older than the last file of a recording that was cut off.
    found = sorted((file for kind in SUFFIXES for file in path.glob(f"*{kind}") if file.is_file()), key=_natural)
    files += [file for file in found if file not in there]
    missing = tuple(file for file, found in there.items() if not found)
    if not files:
        kinds = ", ".join(sorted({file.suffix or file.name for file in path.iterdir()})) or "nothing"
        named = f"; metadata.yaml names {', '.join(file.name for file in missing[:3])}" if missing else ""
        raise BagError(
            printable(
                f"no .mcap or .db3 file in {path} (it holds {kinds}{named}): give the bag folder or one of its files"
            )
        )
    return BagFolder(
        files=tuple(files),
        missing=missing,
        messages=_count(information.get("message_count")),
        topics=_topic_counts(information),
        notes=(*notes, *_lost_before(information)),
    )


def _information(metadata: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """metadata.yaml's content; where it is half written the files tell enough, and that is told."""
    try:
        loaded = read_yaml(metadata)
    except FileNotFoundError:  # a recorder that was killed has written none
        return {}, ()
    except OutOfBoundsError as error:
        raise BagError(str(error)) from None
    except (OSError, UntrustedError) as error:
        return {}, (f"{METADATA_NAME} cannot be read, so that files and counts cannot be held against it: {error}",)
    information = loaded.get("rosbag2_bagfile_information") if isinstance(loaded, dict) else None
    if not isinstance(information, dict):
        return {}, (f"{METADATA_NAME} does not say what the recording holds: no rosbag2_bagfile_information in it",)
    return information, ()


def _count(value: Any) -> int | None:
    """A recorder writes 0 when it begins."""
    return value if type(value) is int and value > 0 else None


def _topic_counts(information: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    entries = information.get("topics_with_message_count")
    for entry in entries if isinstance(entries, list) else ():
        about = entry.get("topic_metadata") if isinstance(entry, dict) else None
        count = _count(entry.get("message_count")) if isinstance(entry, dict) else None
        if isinstance(about, dict) and isinstance(about.get("name"), str) and count is not None:
            counts[about["name"]] = counts.get(about["name"], 0) + count
    return counts


def _lost_before(information: Mapping[str, Any]) -> tuple[str, ...]:
    """Losses of a recording from before its repair: the new one is whole, and still lacks it."""
    custom = information.get("custom_data")
    lost = custom.get(LOST) if isinstance(custom, dict) else None
    return tuple(f"lost before it was repaired: {line}" for line in str(lost).splitlines()) if lost else ()


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts bag_10 behind bag_9."""
    parts = re.split(r"([0-9]{1,18})", path.name)
    return [(0, int(part), "") if place % 2 else (1, 0, part) for place, part in enumerate(parts)]
