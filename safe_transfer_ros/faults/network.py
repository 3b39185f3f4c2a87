# SPDX-License-Identifier: Apache-2.0
"""Two networks on this machine with a cable between them that can be cut (Linux network namespaces and a veth pair).

Whoever enters the near one takes the processes started from then on along; the robot is started in the far one. Nothing
but the cable leads out of either, so they may multicast.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time

from safe_transfer_ros.middleware import dds

_CLONE_NEWNET = 0x40000000
ENVIRONMENT = {
    dds.RANGE: "SUBNET",
    dds.PROFILES: dds.profiles(dds.NETWORK),
    dds.TRANSPORTS: "UDPv4",
}


class Cable:
    """Two networks and the link between them; use as a context manager, from the thread that starts the processes."""

    def __init__(self, name: str) -> None:
        """Prepare; nothing exists until the context is entered. `name` separates the networks of campaigns."""
        self._near, self._far = f"{name}_near", f"{name}_far"

    @property
    def to_far(self) -> tuple[str, ...]:
        """Prefix of a command that is to run in the far network."""
        return ("nsenter", f"--net=/run/netns/{self._far}")

    def __enter__(self) -> Cable:
        """Build it and enter the near network.

        Raises:
          OSError: this machine does not allow it.
        """
        self._remove()  # of a campaign that was killed
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._kept = {name: os.environ.get(name) for name in ENVIRONMENT}
        try:
            for name in (self._near, self._far):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", self._near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", self._far)
            for name, link, address in ((self._near, "near", "10.77.0.1/24"), (self._far, "far", "10.77.0.2/24")):
                _ip("-n", name, "address", "add", address, "dev", link)
                _ip("-n", name, "link", "set", link, "up")
            # The kernel takes up to a second over it. A participant that starts before then takes the link for one that
            # is down, and never looks again.
            for name, link in ((self._near, "near"), (self._far, "far")):
                _wait_for_carrier(name, link)
            near = os.open(f"/run/netns/{self._near}", os.O_RDONLY)
            try:
                _enter(near)
            finally:
                os.close(near)
        except BaseException:
            self.__exit__()
            raise
        os.environ.update(ENVIRONMENT)
        return self

    def __exit__(self, *_: object) -> None:
        """Come home and remove both networks."""
        _enter(self._home)
        os.close(self._home)
        for name, value in self._kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._remove()

    def cut(self) -> None:
        """Pull the plug at the robot's end."""
        _ip("-n", self._far, "link", "set", "far", "down")

    def restore(self) -> None:
        """Put it back in."""
        _ip("-n", self._far, "link", "set", "far", "up")

    def _remove(self) -> None:
        for name in (self._near, self._far):
            if os.path.exists(f"/run/netns/{name}"):
                subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def why_not() -> str:
    """Reason why this machine cannot do it; empty if it can."""
    try:
        with Cable(f"safe_transfer_{os.getpid()}"):
            return ""
    except OSError as error:
        return str(error)


def _wait_for_carrier(name: str, link: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while " state UP " not in _ip("-n", name, "link", "show", link):
        if time.monotonic() > deadline:
            raise OSError(f"the link {link} in the network namespace {name} is not up after {seconds:g} s")
        time.sleep(0.02)


def _ip(*arguments: str) -> str:
    try:
        return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise OSError("network namespaces need the command `ip` (iproute2)") from None
    except subprocess.CalledProcessError as error:
        raise OSError(f"`ip {' '.join(arguments)}` was refused: {error.stderr.strip()}") from None


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter a network namespace: {os.strerror(number)}")
