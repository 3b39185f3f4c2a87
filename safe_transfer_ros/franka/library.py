# SPDX-License-Identifier: Apache-2.0
"""Franka's own client library, and where it cannot be had."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys

NEWEST_PYTHON = (3, 12)
OLDEST_GLIBC = (2, 34)
PROTOCOL = 10  # version of the arm's network protocol that the wheel speaks, an FR3's
PANDA_PROTOCOL = 5  # the newest that a Panda (FER) speaks, with system 4.2


def missing() -> str:
    """Reason why the library cannot be imported, with the fix; empty where it is there."""
    if importlib.util.find_spec("pylibfranka") is not None:
        return ""
    if sys.version_info[:2] > NEWEST_PYTHON:
        running = platform.python_version()
        return f"pylibfranka has no wheel for Python {running}: make the environment with a CPython 3.10 to 3.12"
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"pylibfranka has no wheel for {platform.machine()}: robot:=franka needs an x86-64 computer"
    name, version = platform.libc_ver()
    numbers = tuple(int(number) for number in version.split(".")[:2] if number.isdigit())
    if name != "glibc" or numbers < OLDEST_GLIBC:
        found = f"{name or 'another C library'} {version}".strip()
        return (
            f"pylibfranka has no wheel for {found}: robot:=franka needs glibc 2.34 or newer (Ubuntu 22.04, Debian 12)"
        )
    return "pylibfranka is not installed: pip install 'pylibfranka>=0.21.3,<0.22'"


def unreachable(arm: str) -> str:
    """Reason why the library cannot drive an arm, with the fix; empty where it can.

    Args:
      arm: Its name in `franka_robot.arm`.
    """
    if arm != "panda":
        return ""
    return (
        f"a Panda (FER) speaks version {PANDA_PROTOCOL} of the arm's network protocol at most, and pylibfranka version "
        f"{PROTOCOL}, an FR3's, alone: drive a Panda through ros2_control, by robot:=hardware "
        "robot_config:=config/franka_panda.yaml (docs/hardware.md)"
    )


def told(words: str) -> str:
    """The library's own words for why it did not connect; shorter, and with the fix, where the versions differ.

    Args:
      words: Text of its exception.
    """
    found = re.search(r"[Ii]ncompatible library version.*?server version: (\d+)", words, re.DOTALL)
    if found is None:
        return words
    version = int(found[1])
    if version <= PANDA_PROTOCOL:
        fix = "as a Panda (FER) does: drive it through ros2_control, robot:=hardware"
    elif version < PROTOCOL:
        fix = "as an FR3 with a system before 5.9 does: update it in Desk"
    else:
        fix = "newer than this wheel: take the one for the arm's system"
    return f"the arm answers in version {version} of the network protocol, and pylibfranka speaks {PROTOCOL}: {fix}"
