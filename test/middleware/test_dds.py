# SPDX-License-Identifier: Apache-2.0
"""How our processes talk: the middleware takes our profiles, and the user's own go first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from safe_transfer_ros import resources
from safe_transfer_ros.middleware import dds

NODE = """
import rclpy
from std_msgs.msg import Bool
rclpy.init()
rclpy.create_node("probe").create_publisher(Bool, "a", 1)
"""


def complaints(profiles: Path) -> str:
    environment = os.environ | {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profiles), "ROS_DOMAIN_ID": "99"}
    done = subprocess.run([sys.executable, "-c", NODE], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["fastdds.xml", "fastdds_loopback.xml"])
def test_the_middleware_reads_our_profiles(name: str, tmp_path: Path) -> None:
    assert complaints(resources.path(f"config/{name}")) == ""
    wrong = tmp_path / name
    wrong.write_text(resources.path(f"config/{name}").read_text().replace("heartbeatPeriod", "heartbeats"))
    assert "heartbeats" in complaints(wrong), "a name that is not known would have been told"


def test_the_users_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/own.xml")
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    assert dds.environment() == {
        "FASTRTPS_DEFAULT_PROFILES_FILE": "/own.xml",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
