# SPDX-License-Identifier: Apache-2.0
"""How a node's process ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import graph_runs

from safe_transfer_ros.launching import domain

HANGS = """
import sys
from rclpy.node import Node
from safe_transfer_ros.middleware import process

class Stuck(Node):
    def close(self):
        while True:
            pass

process.HANG_SECONDS = 0.5
def create(lifetime):
    print("up", flush=True)
    return Stuck("stuck")
sys.exit(process.run("stuck", create))
"""


def test_a_node_that_hangs_on_its_way_out_is_ended() -> None:
    claimed = domain.claim()  # held until the test ends
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number))
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1 and "hung" in errors
    finally:
        process.kill()


ENDS = """
import sys
from rclpy.node import Node
from safe_transfer_ros.middleware import process

class Quiet(Node):
    def close(self):
        pass

def create(lifetime):
    print("up", flush=True)
    return Quiet("quiet")
sys.exit(process.run("quiet", create))
"""


def test_ctrl_c_to_the_whole_group_comes_twice_and_is_no_death() -> None:
    """From the terminal and from the launcher; here until the process is gone, so that no moment is left out."""
    claimed = domain.claim()  # held until the test ends
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number))
    process = subprocess.Popen(
        [sys.executable, "-c", ENDS], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "up\n"
        deadline = time.monotonic() + 30.0
        while process.poll() is None:
            assert time.monotonic() < deadline
            process.send_signal(signal.SIGINT)
            time.sleep(0.001)
        assert process.returncode == 0, process.communicate()[1]
    finally:
        process.kill()
