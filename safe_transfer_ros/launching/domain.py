# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of its own for every run, so that two runs on one machine never hear each other.

Runs that are told to may share one, in namespaces of their own: a domain is claimed together with a namespace.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safe_transfer_ros.configuration import ConfigurationError

# Domain 0 is everybody's default; above 101 the UDP ports collide with Linux's ephemeral ones.
_CHOICES = range(1, 102)
HIGHEST = 232
_LOOKS = 3  # attempts at a lock, some milliseconds in all


@dataclass(frozen=True)
class Domain:
    """A claimed domain; it is free again when the process ends, however it ends."""

    number: int
    lock: IO[str]

    def serves(self, run_dir: Path) -> None:
        """Note what the domain is for, so that `running` can tell a person which run is which."""
        self.lock.write(f"\n{run_dir}")
        self.lock.flush()


@dataclass(frozen=True)
class Running:
    """A domain held by a run that is up on this machine."""

    number: int
    process: int
    run_dir: str  # empty while the run is being planned
    namespace: str = ""

    def __str__(self) -> str:
        inside = f" {self.namespace}" if self.namespace else ""
        return f"{self.number}{inside} ({self.run_dir or f'process {self.process}'})"


def claim(default: int | None = None, *, namespace: str = "") -> Domain:
    """Claim the domain in ROS_DOMAIN_ID; when that is not set, `default`, or else the first free one.

    Args:
      default: See above.
      namespace: Of the graph. A domain that is named may be shared by runs in different ones; a free one is nobody's.

    Raises:
      ConfigurationError: the domain is held by another run, is not a number, or none is free.
    """
    wanted = from_environment()
    wanted = default if wanted is None else wanted
    if wanted is not None:
        claimed = _try(wanted, namespace)
        if claimed is None:
            holder = (_path(wanted, namespace).read_text().splitlines() or ["unknown"])[0]
            where = f"namespace {namespace} of ROS domain {wanted}" if namespace else f"ROS domain {wanted}"
            raise ConfigurationError(
                f"{where} is in use by another run (process {holder}): "
                "stop that run, unset ROS_DOMAIN_ID to have a free domain chosen, or give each a namespace:= of its own"
            )
        return claimed
    taken = {run.number for run in running()}
    for number in _CHOICES:
        claimed = None if number in taken else _try(number, namespace)
        if claimed is not None:
            return claimed
    raise ConfigurationError("all ROS domains from 1 to 101 are held by other runs: stop one of them")


def from_environment() -> int | None:
    """The domain that ROS_DOMAIN_ID names; None when it is not set.

    Raises:
      ConfigurationError: it is not a number from 0 to 232.
    """
    wanted = os.environ.get("ROS_DOMAIN_ID", "")
    if not wanted:
        return None
    if not wanted.isdigit() or int(wanted) > HIGHEST:
        raise ConfigurationError(f"ROS_DOMAIN_ID must be a number from 0 to {HIGHEST}, got '{wanted}'")
    return int(wanted)


def running() -> tuple[Running, ...]:
    """The domains that runs on this machine hold now, lowest first."""
    found = []
    for path in sorted(_path(0, "").parent.glob("domain_*.lock")):
        number, dot, inside = path.stem.partition("_")[2].partition(".")
        if not number.isdigit():
            continue
        try:
            with open(path) as lock:
                process, _, run_dir = lock.read().partition("\n")
                if _held(lock):
                    namespace = f"/{inside.replace('.', '/')}" if dot else ""
                    found.append(Running(int(number), int(process or 0), run_dir.strip(), namespace))
        except (OSError, ValueError):  # it has just gone, or is another user's, or not ours at all
            continue
    return tuple(sorted(found, key=lambda run: (run.number, run.namespace)))


def _held(lock: IO[str]) -> bool:
    """Whether a process holds the claim. Asked by a shared lock, given back at once: those who look do not disturb."""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def _try(number: int, namespace: str) -> Domain | None:
    path = _path(number, namespace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "a+")  # held open for the life of the process: it is the claim
    except PermissionError:  # another user's
        return None
    for _ in range(_LOOKS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            time.sleep(0.002)  # perhaps somebody was only looking, see `_held`
    else:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return Domain(number, lock)


def _path(number: int, namespace: str) -> Path:
    inside = namespace.replace("/", ".")  # no ROS name has a dot in it
    return Path(tempfile.gettempdir()) / "safe_transfer_ros" / f"domain_{number}{inside}.lock"
