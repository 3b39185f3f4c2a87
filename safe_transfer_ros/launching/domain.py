# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of its own for every run, so that two runs on one machine never hear each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safe_transfer_ros.configuration import ConfigurationError

# Domain 0 is everybody's default; above 101 the UDP ports collide with Linux's ephemeral ones.
_CHOICES = range(1, 102)


@dataclass(frozen=True)
class Domain:
    """A claimed domain; it is free again when the process ends, however it ends."""

    number: int
    lock: IO[str]


def claim() -> Domain:
    """Claim the domain in ROS_DOMAIN_ID, or the first free one when that is not set.

    Raises:
      ConfigurationError: the domain is held by another run, is not a number, or none is free.
    """
    wanted = os.environ.get("ROS_DOMAIN_ID", "")
    if wanted:
        if not wanted.isdigit() or int(wanted) > 232:
            raise ConfigurationError(f"ROS_DOMAIN_ID must be a number from 0 to 232, got '{wanted}'")
        claimed = _try(int(wanted))
        if claimed is None:
            holder = _path(int(wanted)).read_text().strip() or "unknown"
            raise ConfigurationError(
                f"ROS domain {wanted} is in use by another run (process {holder}): stop that run, or unset "
                "ROS_DOMAIN_ID to have a free domain chosen"
            )
        return claimed
    for number in _CHOICES:
        claimed = _try(number)
        if claimed is not None:
            return claimed
    raise ConfigurationError("all ROS domains from 1 to 101 are held by other runs: stop one of them")


def _try(number: int) -> Domain | None:
    path = _path(number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "a+")  # held open for the life of the process: it is the claim
    except PermissionError:  # another user's
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return Domain(number, lock)


def _path(number: int) -> Path:
    return Path(tempfile.gettempdir()) / "safe_transfer_ros" / f"domain_{number}.lock"
