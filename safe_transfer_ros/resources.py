# SPDX-License-Identifier: Apache-2.0
"""Paths of the package's data files (urdf/, config/, launch/, policies), for every kind of installation."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "safe_transfer_ros"
_SHARE = Path("share") / PACKAGE


def candidates() -> Iterator[Path]:
    """Folders that may hold the data files, in the order they are searched.

    The source tree comes first, so a checkout always runs its own files; then what lies beside the imported
    code (colcon puts `lib/python3.x/site-packages` and `share` under one prefix); then the environment's
    prefixes; last AMENT_PREFIX_PATH, which may name another copy of the package.
    """
    package_folder = Path(__file__).resolve().parent
    if package_folder.parent.name not in ("site-packages", "dist-packages"):
        yield package_folder.parent
    for parent in package_folder.parents[1:5]:
        yield parent / _SHARE
    for scheme in (None, f"{os.name}_user"):
        data = sysconfig.get_path("data") if scheme is None else sysconfig.get_path("data", scheme)
        yield Path(data) / _SHARE
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            yield Path(prefix) / _SHARE


def path(relative: str) -> Path:
    """Absolute path of a data file or folder of the package.

    Args:
      relative: Path below the package's share folder, for example "urdf/pr2_left_arm.urdf".

    Raises:
      FileNotFoundError: if no candidate folder has it; the message names the folders searched.
    """
    searched = []
    for folder in candidates():
        found = folder / relative
        if found.exists():
            return found
        if folder not in searched:
            searched.append(folder)
    places = ", ".join(str(folder) for folder in searched)
    raise FileNotFoundError(
        f"'{relative}' of {PACKAGE} was not found in {places}. Install the package (make setup, "
        "pip install . or colcon build), or source the workspace it was built in."
    )
