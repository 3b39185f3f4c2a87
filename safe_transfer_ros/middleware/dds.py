# SPDX-License-Identifier: Apache-2.0
"""How our processes talk, unless the user's environment says otherwise.

The discovery range's default multicasts on every network interface; nothing of ours leaves this machine unasked.
Under this range rmw_fastrtps brings its own transports, loopback UDP and shared memory: FASTDDS_BUILTIN_TRANSPORTS then
changes nothing.
"""

from __future__ import annotations

import os

from safe_transfer_ros import resources


def environment() -> dict[str, str]:
    """The defaults, each replaced by what the environment says."""
    defaults = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(resources.path("config/fastdds.xml")),
    }
    return {name: os.environ.get(name, value) for name, value in defaults.items()}


def set_defaults() -> None:
    """Put the defaults into this process's environment; to be called before rclpy loads the middleware."""
    os.environ.update(environment())
