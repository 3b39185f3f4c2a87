# SPDX-License-Identifier: Apache-2.0
"""From kill -9 of the filter to zero torque at the arm, through the supervisor and ros2_control's stand-in.

  python benchmarks/kill_to_zero.py [--repeats 20] [--command-timeout 0.05] [--rate 200]

Needs controller_manager_msgs (`make test` builds it where there is none). The arm is a MuJoCo process that writes down
each step's torque with this machine's monotonic time. Printed are the times of each repeat, their median and maximum.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("ros2_control", "nodes")]

from arm_bench import FILTER, TRIPPED, bench  # noqa: E402
from stand_in import configuration  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--command-timeout", type=float, default=0.05, help="of the supervisor, s")
    parser.add_argument("--rate", type=float, default=200.0, help="of the arm and the controller_manager, Hz")
    options = parser.parse_args()
    times, stopped_early = [], 0
    config = configuration(controller_manager={"update_rate": int(options.rate)})
    with bench(config, rate=options.rate, command_timeout=options.command_timeout) as arm:
        while len(times) < options.repeats:
            arm.drive()
            arm.let(0.2)
            if not arm.arm.torque():  # stopped before the kill: a machine too busy for this command_timeout
                stopped_early += 1
                continue
            killed = time.monotonic_ns()
            arm.signal("safety_filter", signal.SIGKILL)
            arm.until(lambda: arm.arm.zero_since() is not None, "zero torque at the arm")
            times.append((arm.arm.zero_since() - killed) * 1e-6)
            print(f"{times[-1]:.0f}", end=" ms\n", flush=True)
            arm.nodes["safety_filter"].wait()
            arm.start("safety_filter", **FILTER)
            arm.until(lambda: arm.filter.mode != TRIPPED and arm.phase == "inactive", "a new filter")
            arm.driving = False
    print(
        f"kill -9 of the filter to zero torque at the arm: median {statistics.median(times):.0f} ms, "
        f"maximum {max(times):.0f} ms, {len(times)} repeats ({stopped_early} left out, stopped before the kill), "
        f"command_timeout {1e3 * options.command_timeout:.0f} ms, "
        f"{options.rate:g} Hz"
    )


if __name__ == "__main__":
    main()
