# SPDX-License-Identifier: Apache-2.0
"""A separate ROS domain for every run, so that two runs on one machine never exchange messages.

A claim is two things. A name that the kernel gives to one process at a time, whoever's it is: an abstract socket, which
is no file and ends with its process. And a file that tells this user's other commands what the domain is for, in a
folder that nobody else can write to: in a shared one, a stranger's link would have its target overwritten.

Runs that are told to may share one, in namespaces of their own: a domain is claimed together with a namespace.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.untrusted import printable

# Domain 0 is everybody's default; above 101 the UDP ports collide with Linux's ephemeral ones.
_CHOICES = range(1, 102)
HIGHEST = 232
_LOOKS = 3  # attempts at a lock, some milliseconds in all
_MOST_CHARACTERS = 8192  # of what a claim says of its run


@dataclass(frozen=True)
class Domain:
    """A claimed domain; it is free again when the process ends, however it ends."""

    number: int
    lock: IO[str]
    name: socket.socket

    def release(self) -> None:
        """Give the domain up before the process ends."""
        self.lock.close()
        self.name.close()

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
        return f"{self.number}{inside} ({printable(self.run_dir) or f'process {self.process}'})"


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
            held = [run for run in running() if (run.number, run.namespace) == (wanted, namespace)]
            holder = f"process {held[0].process}" if held else "another user's"
            where = f"namespace {namespace} of ROS domain {wanted}" if namespace else f"ROS domain {wanted}"
            raise ConfigurationError(
                f"{where} is in use by another run ({holder}): stop that run, unset ROS_DOMAIN_ID to have a free "
                "domain chosen, or give each a namespace:= of its own"
            )
        return claimed
    taken = {run.number for run in running()} | _named()
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
    """The domains that this user's runs on this machine hold now, lowest first."""
    found = []
    folder = _folder()
    for path in sorted(folder.glob("domain_*.lock")) if _is_ours(folder) else ():
        number, dot, inside = path.stem.partition("_")[2].partition(".")
        if not number.isdigit():
            continue
        try:
            with _opened(path, os.O_RDONLY) as lock:
                process, _, run_dir = lock.read(_MOST_CHARACTERS).partition("\n")
                if _held(lock):
                    namespace = f"/{inside.replace('.', '/')}" if dot else ""
                    found.append(Running(int(number), int(process or 0), run_dir.strip(), namespace))
        except (OSError, ValueError):  # it has just gone, or is not ours at all
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
    name = _name(number, namespace)
    if name is None:
        return None
    try:
        lock = _locked(number, namespace)
    except BaseException:
        name.close()
        raise
    if lock is None:
        name.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return Domain(number, lock, name)


def _shared() -> str:
    """Beginning of the kernel's names for domains, among all who share a temporary folder."""
    return f"safe_transfer_ros/{hashlib.sha256(os.fsencode(os.path.realpath(tempfile.gettempdir()))).hexdigest()[:16]}"


def _named() -> set[int]:
    """The domains in which any user of this machine holds a namespace or the whole, as the kernel lists them."""
    listed = Path("/proc/net/unix").read_text(errors="replace")
    return {int(number) for number in re.findall(rf"@{_shared()}/domain_(\d+)", listed)}


def _name(number: int, namespace: str) -> socket.socket | None:
    """The kernel's name for a namespace of a domain; None: it is held."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0{_shared()}/domain_{number}{namespace}")
    except OSError:
        name.close()
        return None
    return name


def _locked(number: int, namespace: str) -> IO[str] | None:
    """This user's file about a domain, locked; None: another process of theirs has it."""
    folder = _folder()
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if not _is_ours(folder):
        raise ConfigurationError(
            f"{folder} must be a folder of this user's that no other user can write to: remove it, or set TMPDIR"
        )
    inside = namespace.replace("/", ".")  # no ROS name has a dot in it
    # Held open for the life of the process: with the name it is the claim.
    lock = _opened(folder / f"domain_{number}{inside}.lock", os.O_RDWR | os.O_CREAT)
    for _ in range(_LOOKS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            time.sleep(0.002)  # perhaps another process was only looking, see `_held`
    lock.close()
    return None


def _opened(path: Path, flags: int) -> IO[str]:
    """A regular file with one name, never what a link points to, and never waited for.

    Raises:
      OSError: if it is anything else.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise OSError(f"{path} is not a file of ours")
    return open(descriptor, "r+" if flags & os.O_RDWR else "r", encoding="utf-8", errors="replace")


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder, not a link to one, that this user alone may use."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"safe_transfer_ros-{os.geteuid()}"
