# SPDX-License-Identifier: Apache-2.0
"""DDS defaults of our processes: this machine only, unless the user's environment says otherwise.

ROS's default multicasts on every network interface. Its range LOCALHOST looks for nobody beyond this machine, but
brings its own transports, whose sockets hear every interface: a peer that sends to them joins. So our profile has
a transport of its own, bound to the loopback, and the range that leaves it alone is SYSTEM_DEFAULT. A range that
reaches further, SUBNET say, gets a profile without it. There is no shared memory: a process that is stopped while it
holds a port's lock blocks whoever writes to that port.

Fast DDS 3, from Kilted on, has other names for some settings and for the variable: a file for each. Whether it was read
at all is looked up in the kernel's list of sockets.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from safe_transfer_ros import resources


def fast_dds(rclpy: str) -> int:
    """Generation of Fast DDS that comes with a version of rclpy: 2 up to Jazzy's (7), 3 from Kilted's (9) on."""
    return 3 if int(rclpy.split(".")[0]) >= 9 else 2


try:
    _GENERATION = fast_dds(version("rclpy"))
except PackageNotFoundError:  # no ROS here: what is said is what Jazzy would be told
    _GENERATION = 2

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PROFILES = {2: "FASTRTPS_DEFAULT_PROFILES_FILE", 3: "FASTDDS_DEFAULT_PROFILES_FILE"}[_GENERATION]
TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
FILES = {2: ("fastdds.xml", "fastdds_network.xml"), 3: ("fastdds3.xml", "fastdds3_network.xml")}
"""Our profiles for this machine and for networks, by generation."""
LOCAL, NETWORK = FILES[_GENERATION]


def profiles(name: str) -> str:
    """Path of one of our files of profiles."""
    return str(resources.path(f"config/{name}"))


def environment() -> dict[str, str]:
    """The defaults, each overridden by the environment."""
    wanted = os.environ.get(RANGE, "")
    here = wanted in ("", "LOCALHOST")
    file = os.environ.get(PROFILES) or profiles(LOCAL if here else NETWORK)
    if here and file == profiles(LOCAL):
        return {RANGE: "SYSTEM_DEFAULT", PROFILES: file}  # LOCALHOST would bring its own transports beside ours
    found = {RANGE: wanted or "SYSTEM_DEFAULT", PROFILES: file}
    if file == profiles(NETWORK):
        found[TRANSPORTS] = os.environ.get(TRANSPORTS) or "UDPv4"  # the built-in ones, without shared memory
    return found


def set_defaults() -> None:
    """Put the defaults into this process's environment; to be called before rclpy loads the middleware."""
    os.environ.update(environment())


def beyond_this_machine() -> str:
    """Setting that lets other machines reach our processes, in words; empty if there is none."""
    given = environment()
    if given[PROFILES] == profiles(LOCAL):
        return ""
    return f"discovery range {given[RANGE]} with the profiles of {given[PROFILES]}"


def unintended_reach(process: Path = Path("/proc/self")) -> str:
    """Reason why this process must not go on: its middleware did not read our profiles. Empty where all is well.

    Args:
      process: Folder in /proc of a process that takes part in the graph already.
    """
    if beyond_this_machine():
        return ""
    own: set[str] = set()
    for entry in os.listdir(process / "fd"):
        with suppress(FileNotFoundError):  # closed since: by another thread, or the list's own
            own.add(os.readlink(process / "fd" / entry))
    hearing = 0
    for family, loopback in (("udp", "7F"), ("udp6", "0" * 24 + "01000000")):
        table = process / "net" / family
        rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
        hearing += sum(f"socket:[{row[9]}]" in own and not row[1].split(":")[0].endswith(loopback) for row in rows)
    if not hearing:
        return ""
    return (
        f"other machines reach {hearing} sockets of this process, though only this one was to: the middleware did not "
        f"read {profiles(LOCAL)}; use rmw_fastrtps_cpp of ROS 2 Jazzy or Kilted, or set "
        f"{RANGE}=SUBNET if the network may reach the arm"
    )
