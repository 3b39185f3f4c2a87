# SPDX-License-Identifier: Apache-2.0
"""Provenance of a run: command, versions, machine. Written at its start, shown in its report."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from safe_transfer_ros.files import write_atomically

# What decides the numbers of a run, or who can read its files.
_PACKAGES = (
    "safe_transfer_ros",
    "numpy",
    "scipy",
    "torch",
    "mujoco",
    "gymnasium",
    "rclpy",
    "mcap",
    "rosbags",
)


def provenance(command: list[str] | None = None) -> dict[str, Any]:
    """Command, versions and start time of this process.

    Args:
      command: Command line; None takes this process's.
    """
    words = sys.argv if command is None else command
    return {
        "command": shlex.join([Path(words[0]).name, *words[1:]]) if words else "",
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | _versions(),
    }


def write_provenance(path: Path, command: list[str] | None = None) -> None:
    """Writes `provenance` as YAML, for a report to read (run.yaml of a run directory)."""
    write_atomically(path, yaml.safe_dump(provenance(command), sort_keys=False))


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
