# SPDX-License-Identifier: Apache-2.0
"""The whole fr3_cup_swirl graph on a simulated FR3, by Franka's own library, for ten minutes of motion.

  python benchmarks/franka_run.py [--minutes 10] [--out runs/franka_run] [--rate 500] [--patient]

franka-sim enforces the arm's limits, and stops when 20 of its cycles in a row get no answer; the timeouts are those of
an arm, and the filter and the arm's process have real-time priority (--patient: .3 to 1 s, for a machine that others
use; 20 cycles are not enforced then). An operator is simulated: he activates, resets, and recovers after a reflex. A
motion that ends by itself is counted with its cause; where it has ended the run, another is begun.

What was measured is kept in DIR/measured.json every few seconds: called again with the same --out it goes on, until the
minutes are full, and prints the table of docs/hardware.md. Ends with status 1, and says why, if the minutes were not
reached, a motion ended by itself or less than .99 of the commands succeeded. Needs .venv-franka and pylibfranka.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safe_transfer_msgs.msg import FrankaState
from std_srvs.srv import SetBool, Trigger

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("franka", "graphs", "nodes")]

import graph_runs  # noqa: E402
from franka_bench import FILTER, ROBOT, SUPERVISOR, Server, largest_step, missing  # noqa: E402

from safe_transfer_ros.files import write_atomically  # noqa: E402
from safe_transfer_ros.middleware import qos  # noqa: E402

ADDRESS = "127.0.0.28"
LOOK_SECONDS = 5.0
START_SECONDS = 90.0
SUCCESS = 0.99  # least share of the commands that count
ATTEMPTS = 3
WORDS = {
    "robot": "franka",
    "robot_ip": ADDRESS,
    "allow_uncommissioned": "true",
    "t_max": "0.5",
    "initial_torque_limit": "0.5",
    "iterations": "1000",
    "trainer.episodes_per_iteration": "2",
    "franka_robot.realtime_kernel": "not_required",
    "controller_supervisor.rest_effort": "zero",  # franka-sim tells torque without what carries the arm
}
PATIENT = {
    f"{node}.{name}": str(value)
    for node, values in (("safety_filter", FILTER), ("controller_supervisor", SUPERVISOR), ("franka_robot", ROBOT))
    for name, value in values.items()
    if name not in ("realtime_priority", "hardware", "torque_rate_limit")
}


@dataclass(kw_only=True)
class Measured:
    """What all calls together have seen.

    Attributes:
      seconds: In motion, by the arm's own clock.
      read_to_write: Number of cycles by time from state to answer, microseconds.
      cycles: Answered cycles that were published.
      lost: Cycles of the arm of which no state came.
      success: Sum of success rates of the published cycles, and the lowest after the first 100 of a motion.
      motions: Begun.
      ended: Motions that ended, by cause.
      largest_step: Of a torque at the arm, N·m.
    """

    seconds: float = 0.0
    read_to_write: Counter[int] = field(default_factory=Counter)
    cycles: int = 0
    lost: int = 0
    success: float = 0.0
    lowest_success: float = 1.0
    motions: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    largest_step: float = 0.0

    @classmethod
    def load(cls, path: Path) -> Measured:
        """What is there, or nothing."""
        if not path.exists():
            return cls()
        values = json.loads(path.read_text())
        values["read_to_write"] = Counter({int(key): value for key, value in values["read_to_write"].items()})
        values["ended"] = Counter(values["ended"])
        return cls(**values)

    def percentile(self, share: float) -> int:
        """Time from state to answer that `share` of the cycles are within, microseconds."""
        left = share * sum(self.read_to_write.values())
        for time_us in sorted(self.read_to_write):
            left -= self.read_to_write[time_us]
            if left <= 0.0:
                return time_us
        return 0

    @property
    def by_itself(self) -> dict[str, int]:
        """Motions that nobody ended, by cause."""
        return {name: count for name, count in self.ended.items() if name not in ("ORDERED", "SHUTDOWN")}

    def shortfall(self, minutes: float) -> str:
        """What keeps the run from being one without fault; empty where nothing does."""
        found = []
        if self.seconds < 60.0 * minutes:
            found.append(f"{self.seconds / 60.0:.1f} of {minutes:g} min")
        if self.success < SUCCESS * self.cycles:
            found.append(f"command success rate below {SUCCESS:g}")
        if self.by_itself:
            found.append(f"{sum(self.by_itself.values())} motions ended by themselves")
        return ", ".join(found)

    def table(self) -> str:
        """For docs/hardware.md."""
        reflexes = sum(self.ended[name] for name in ("REFLEX", "COLLISION", "COMMUNICATION_CONSTRAINTS"))
        by_itself = self.by_itself
        rows = {
            "in motion": f"{self.seconds / 60.0:.1f} min, {self.cycles} cycles seen, {self.motions} motions",
            "read to write": f"p50 {self.percentile(0.5)}, p99 {self.percentile(0.99)}, "
            f"maximum {max(self.read_to_write, default=0)} us",
            "lost packets": str(self.lost),
            "command success rate": f"mean {self.success / max(1, self.cycles):.4f}, lowest {self.lowest_success:.2f}",
            "reflexes": str(reflexes),
            "motions that ended by themselves": ", ".join(f"{n} {name}" for name, n in by_itself.items()) or "none",
            "largest change of a torque in a cycle": f"{self.largest_step:.2f} N·m",
        }
        return "\n".join(
            ["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
        )


class Operator(Node):
    """The person at the arm, and who counts."""

    def __init__(self, context: Context, measured: Measured) -> None:
        super().__init__("operator", context=context)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.measured = measured
        self.state: FrankaState | None = None
        self.supervisor = ""
        self._began_ms = 0
        self.create_subscription(FrankaState, "franka_joint_states", self._on_state, qos.RECORD)
        self.create_subscription(DiagnosticStatus, "controller_supervisor/status", self._on_supervisor, qos.LATCHED)
        self._activate = self.create_client(SetBool, "controller_supervisor/activate")
        self._recover = self.create_client(Trigger, "franka_robot/recover")
        self._reset = self.create_client(Trigger, "safety_filter/reset")

    def _on_supervisor(self, message: DiagnosticStatus) -> None:
        self.supervisor = message.message

    def _on_state(self, state: FrankaState) -> None:
        before, self.state, measured = self.state, state, self.measured
        if before is None:
            return
        if before.moving and not state.moving:
            measured.ended[state.ended] += 1
        if not state.moving:
            return
        if not before.moving:
            measured.motions += 1
            self._began_ms = state.arm_time
            return
        measured.seconds += max(0, state.arm_time - before.arm_time) * 1e-3
        measured.lost += max(0, state.lost_cycles - before.lost_cycles)
        measured.cycles += 1
        measured.read_to_write[round(state.read_to_write * 1e6)] += 1
        measured.success += state.success_rate
        if state.arm_time > self._began_ms + 100:  # before, it tells of cycles without a motion
            measured.lowest_success = min(measured.lowest_success, state.success_rate)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.executor_.spin_once(timeout_sec=0.02)
        return True

    def begin(self) -> None:
        """Recover where the arm asks for it, reset where the filter does, and activate."""
        if self.state is not None and self.state.standing not in ("NONE", "COMMUNICATION_LOST"):
            self.until(self._recover.call_async(Trigger.Request()).done, 5.0)
        if "the filter has tripped" in self.supervisor:
            self.until(self._reset.call_async(Trigger.Request()).done, 5.0)
        if self.supervisor.startswith("ready"):
            self.until(self._activate.call_async(SetBool.Request(data=True)).done, 10.0)


@contextmanager
def graph(run_dir: Path, number: int, *, rate: float, patient: bool) -> Iterator[subprocess.Popen[str]]:
    """`safe_transfer up`."""
    words = (
        WORDS
        | (PATIENT if patient else {})
        | {
            "run_dir": str(run_dir),
            "franka_robot.joint_state_rate": str(rate),
        }
    )
    process = subprocess.Popen(
        graph_runs.command(
            "up", "--no-report", "fr3_cup_swirl", *(f"{name}:={value}" for name, value in words.items())
        ),
        env=graph_runs.environment(ROS_DOMAIN_ID=str(number)),
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def watch(operator: Operator, process: subprocess.Popen[str], server: Server, wanted_s: float, path: Path) -> None:
    """Until the run ends, or there is enough of it."""
    measured, idle_since = operator.measured, time.monotonic()
    while process.poll() is None and measured.seconds < wanted_s:
        operator.until(lambda: process.poll() is not None, LOOK_SECONDS)
        if operator.state is not None and operator.state.moving:
            idle_since = time.monotonic()
        else:
            operator.begin()
        if time.monotonic() - idle_since > START_SECONDS:
            print(f"no motion within {START_SECONDS:g} s: {operator.supervisor}", flush=True)
            return
        trace = server.trace()
        measured.largest_step = max(measured.largest_step, largest_step(trace))
        write_atomically(path, json.dumps(vars(measured)))
        print(f"{measured.seconds:.0f} s in motion, ended {dict(measured.ended)}, lost {measured.lost}", flush=True)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("runs/franka_run"))
    parser.add_argument("--rate", type=float, default=500.0, help="joint states per second; 250 for two cores")
    parser.add_argument("--patient", action="store_true")
    options = parser.parse_args()
    if missing():
        print(missing(), file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)  # the graph is stopped, not left behind
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "measured.json"
    measured = Measured.load(path)
    with graph_runs.to_share() as number:
        server = Server(ADDRESS, strict=not options.patient)
        context = Context()
        rclpy.init(context=context, domain_id=number)
        operator = Operator(context, measured)
        attempts = 0  # of a machine on which nothing begins
        try:
            server.start()
            while measured.seconds < 60.0 * options.minutes and attempts < ATTEMPTS:
                before, operator.state = measured.motions, None
                run_dir = options.out / f"run_{time.strftime('%H%M%S')}"
                with graph(run_dir, number, rate=options.rate, patient=options.patient) as process:
                    watch(operator, process, server, 60.0 * options.minutes, path)
                attempts = attempts + 1 if measured.motions == before else 0
        finally:
            server.kill()
            operator.destroy_node()
            rclpy.shutdown(context=context)
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores{', patient' if options.patient else ''}\n")
    print(measured.table())
    shortfall = measured.shortfall(options.minutes)
    if shortfall:
        print(f"\nnot without fault: {shortfall}", file=sys.stderr)
    return 1 if shortfall else 0


if __name__ == "__main__":
    raise SystemExit(main())
