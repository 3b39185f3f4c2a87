# SPDX-License-Identifier: Apache-2.0
"""DDS defaults of our processes: this machine only, unless the user's environment says otherwise.

ROS's default multicasts on every network interface. Its range LOCALHOST looks for nobody beyond this machine, but
brings its own transports, whose sockets hear every interface: a peer that sends to them joins. So our profile has
a transport of its own, bound to the loopback, and the range that leaves it alone is SYSTEM_DEFAULT. A range that
reaches further, SUBNET say, gets a profile without it. There is no shared memory: a process that is stopped while it
holds a port's lock blocks whoever writes to that port.
"""

from __future__ import annotations

import os

from safe_transfer_ros import resources

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"
TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
LOCAL, NETWORK = "fastdds.xml", "fastdds_network.xml"


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
