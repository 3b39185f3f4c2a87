# SPDX-License-Identifier: Apache-2.0
"""How a node's process ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import graph_runs
import pytest

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


@contextmanager
def up(program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is up, in a ROS domain of its own."""
    claimed = domain.claim()
    environment = graph_runs.environment(ROS_DOMAIN_ID=str(claimed.number))
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        claimed.release()


def test_a_node_that_hangs_on_its_way_out_is_ended() -> None:
    with up(HANGS) as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1 and "hung" in errors


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_asked_for_help_a_node_says_what_it_takes_and_does_not_start(word: str) -> None:
    program = "from safe_transfer_ros.middleware import process; print(process.run('node', lambda lifetime: 1 / 0))"
    done = subprocess.run([sys.executable, "-c", program, word], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("usage: node --ros-args") and done.stdout.rstrip().endswith("0"), done.stderr
    done = subprocess.run(
        [sys.executable, "-c", program, "--ros-args", "-p", "a:=--help"], capture_output=True, text=True, timeout=60
    )
    assert "usage" not in done.stdout


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
    with up(ENDS) as process:
        deadline = time.monotonic() + 30.0
        while process.poll() is None:
            assert time.monotonic() < deadline
            process.send_signal(signal.SIGINT)
            time.sleep(0.001)
        assert process.returncode == 0, process.communicate()[1]
