# SPDX-License-Identifier: Apache-2.0
"""Time from a fault to zero torque at a simulated FR3, by Franka's own library, with the timeouts of an arm.

  python benchmarks/franka_stops.py [--repeats 10]

Needs .venv-franka and pylibfranka (scripts/setup.sh test). Stopped (SIGSTOP) is the filter, then the ROS side of
franka_robot; SIGKILL does the same to the arm, but leaves its name in the graph for half a minute. franka-sim enforces
the arm's limits, and ends a motion when 20 of its cycles in a row get no answer. A machine that stands still ends
motions by itself: these are tried again, and counted.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("franka", "graphs", "nodes")]

from franka_bench import MS, bench, largest_step, zero_since  # noqa: E402

TORQUE = 2.0  # N·m


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    with bench("127.0.0.21", strict=True) as arm:
        for victim in ("safety_filter", "franka_robot"):
            times: list[float] = []
            again, largest = 0, 0.0
            while len(times) < options.repeats:
                arm.at(TORQUE)
                arm.server.trace()
                began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                arm.nodes[victim].send_signal(signal.SIGSTOP)
                arm.let(0.3)
                trace = arm.server.trace()
                arm.nodes[victim].send_signal(signal.SIGCONT)
                arm.stopped()
                late = [at for at, torque in trace if at > began and any(torque)]
                if not late:  # it had ended before
                    again += 1
                    continue
                times.append((zero_since(trace) - began) / MS)
                largest = max(largest, largest_step(trace))
            print(
                f"SIGSTOP of {victim} to zero torque at the arm: median {statistics.median(times):.0f} ms, maximum "
                f"{max(times):.0f} ms, {len(times)} repeats ({again} tried again), largest step {largest:.2f} N·m",
                flush=True,
            )


if __name__ == "__main__":
    main()
