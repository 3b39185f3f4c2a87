# SPDX-License-Identifier: Apache-2.0
"""Franka's own client library, and where it cannot be had."""

from __future__ import annotations

import importlib.util
import platform
import sys

NEWEST_PYTHON = (3, 12)
OLDEST_GLIBC = (2, 34)


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
