# SPDX-License-Identifier: Apache-2.0
"""How long a publisher is blocked while one of its listeners is stopped, as a busy machine stops it for a while.

  python benchmarks/stopped_listener.py [--seconds 60] [--profiles FILE]

One process publishes joint states at up to 2 kHz, two listen. One of them is stopped (SIGSTOP) for .2 s, again and
again. Printed are the stops, and each write that took longer than 20 ms. `--profiles` names another file of Fast DDS
profiles (`builtin`: Fast DDS's own transports, with shared memory, as ROS's range LOCALHOST has them).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time

import numpy as np

from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import dds

STOPPED_S, SLOW_S = 0.2, 0.02
LISTENER = """
import sys, rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node("listener_" + sys.argv[1])
node.create_subscription(JointState, "joint_states", lambda message: None, 10)
print("listening", flush=True)
rclpy.spin(node)
"""
PUBLISHER = """
import sys, time, rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node("publisher")
publisher = node.create_publisher(JointState, "joint_states", 5000)
message = JointState(name=list("abcdefg"), position=[0.1] * 7, velocity=[0.1] * 7)
while publisher.get_subscription_count() < 2:
    time.sleep(0.01)
end = time.monotonic() + float(sys.argv[1])
print("writing", flush=True)
while time.monotonic() < end:
    began = time.monotonic()
    publisher.publish(message)
    took = time.monotonic() - began
    if took > float(sys.argv[2]):
        print(took, flush=True)
    time.sleep(0.0005)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it publishes")
    parser.add_argument("--profiles", help="file of Fast DDS profiles, or builtin (ours)")
    options = parser.parse_args()
    claimed = domain.claim()
    environment = os.environ | dds.environment() | {"ROS_DOMAIN_ID": str(claimed.number)}
    if options.profiles == "builtin":
        del environment[dds.PROFILES]
        environment[dds.RANGE] = "LOCALHOST"
    elif options.profiles:
        environment[dds.PROFILES] = options.profiles
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *words]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout
        started[-1].stdout.readline()
        return started[-1]

    rng, stops = np.random.default_rng(0), 0
    try:
        stopped, _ = start(LISTENER, "1"), start(LISTENER, "2")
        publisher = start(PUBLISHER, str(options.seconds), str(SLOW_S))
        while publisher.poll() is None:
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED_S)
            stopped.send_signal(signal.SIGCONT)
            time.sleep(rng.uniform(0.02, 0.08))
            stops += 1
        assert publisher.stdout
        slow = [float(line) for line in publisher.stdout]
    finally:
        for process in started:
            process.kill()
            process.wait()
    longest = ", ".join(f"{1000.0 * took:.0f} ms" for took in sorted(slow, reverse=True)) or "-"
    print(f"{stops} stops of {STOPPED_S:g} s; writes above {1000.0 * SLOW_S:.0f} ms: {len(slow)} ({longest})")


if __name__ == "__main__":
    main()
