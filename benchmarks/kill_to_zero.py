# SPDX-License-Identifier: Apache-2.0
"""From kill -9 of the filter to zero torque at the arm: by ros2_control, then by Franka's own library.

  python benchmarks/kill_to_zero.py [--repeats 10] [--command-timeout 0.05] [--rate 200] [--paths ros2_control franka]

ros2_control: the supervisor and ros2_control's stand-in (needs controller_manager_msgs; `make test` builds it where
there is none); the arm is a MuJoCo process that writes down each step's torque. franka: `franka_robot`, libfranka and
a franka-sim server that enforces the arm's limits, at 2 N·m (needs .venv-franka and pylibfranka); every kill has
processes of its own, as the killed filter's name stays in the graph. Printed are the times of each repeat, and the
table of docs/hardware.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("ros2_control", "franka", "graphs", "nodes")]

import arm_bench  # noqa: E402
import franka_bench  # noqa: E402
from stand_in import configuration  # noqa: E402

FILTER = "safety_filter"
TORQUE = 2.0  # N·m, of the Franka


def ros2_control(rate: float, command_timeout: float) -> Iterator[float | None]:
    """Times, ms; None where the torque had ended before the kill: a machine too busy for this command_timeout."""
    config = configuration(controller_manager={"update_rate": int(rate)})
    with arm_bench.bench(config, rate=rate, command_timeout=command_timeout) as arm:
        while True:
            arm.drive()
            arm.let(0.2)
            if not arm.arm.torque():
                yield None
                continue
            killed = time.monotonic_ns()
            arm.signal(FILTER, signal.SIGKILL)
            arm.until(lambda: arm.arm.zero_since() is not None, "zero torque at the arm")
            yield (arm.arm.zero_since() - killed) * 1e-6
            arm.nodes[FILTER].wait()
            arm.start(FILTER, **arm_bench.FILTER)
            arm.until(lambda: arm.filter.mode != arm_bench.TRIPPED and arm.phase == "inactive", "a new filter")
            arm.driving = False


def franka(command_timeout: float) -> Iterator[float | None]:
    """The same."""
    robot = franka_bench.STRICT | {"command_timeout": command_timeout}
    while True:
        with franka_bench.bench("127.0.0.29", strict=True, robot=robot) as arm:
            arm.at(TORQUE)
            arm.server.trace()
            killed = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            arm.nodes[FILTER].send_signal(signal.SIGKILL)
            arm.let(0.5)
            trace = arm.server.trace()
            late = any(any(torque) for at, torque in trace if at > killed)
        yield (franka_bench.zero_since(trace) - killed) / franka_bench.MS if late else None


def measured(name: str, source: Iterator[float | None], repeats: int) -> tuple[list[float], int]:
    """So many times, and how often there was nothing to measure."""
    times: list[float] = []
    left_out = 0
    while len(times) < repeats:
        taken = next(source)
        if taken is None:
            left_out += 1
            continue
        times.append(taken)
        print(f"{name}: {taken:.1f} ms", flush=True)
    return times, left_out


def table(results: dict[str, tuple[list[float], int]]) -> str:
    """For docs/hardware.md."""
    rows = [
        "| path | repeats | minimum | median | maximum | left out, stopped before the kill |",
        "|---|---|---|---|---|---|",
    ]
    for name, (times, left_out) in results.items():
        spread = f"{min(times):.0f} ms | {statistics.median(times):.0f} ms | {max(times):.0f} ms"
        rows.append(f"| {name} | {len(times)} | {spread} | {left_out} |")
    if len(results) == 2:
        (first, (one, _)), (second, (other, _)) = results.items()
        ratios = (measure(one) / measure(other) for measure in (min, statistics.median, max))
        rows.append(f"| {first} / {second} | | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} | |")
    return "\n".join(rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--command-timeout", type=float, default=0.05, help="of the supervisor, of franka_robot, s")
    parser.add_argument("--rate", type=float, default=200.0, help="of the arm and the controller_manager, Hz")
    parser.add_argument("--paths", nargs="+", choices=("ros2_control", "franka"), default=["ros2_control", "franka"])
    options = parser.parse_args()
    sources = {
        "ros2_control": lambda: ros2_control(options.rate, options.command_timeout),
        "franka": lambda: franka(options.command_timeout),
    }
    results = {}
    for name in options.paths:
        source = sources[name]()
        results[name] = measured(name, source, options.repeats)
        source.close()
    print(
        f"\ncommand_timeout {1e3 * options.command_timeout:.0f} ms, ros2_control at {options.rate:g} Hz, load average "
        f"{os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n"
    )
    print(table(results))


if __name__ == "__main__":
    main()
