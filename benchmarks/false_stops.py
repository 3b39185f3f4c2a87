# SPDX-License-Identifier: Apache-2.0
"""False-stop rate: stops of an arm that nothing is wrong with, per hour of ordinary real-time running.

    python benchmarks/false_stops.py [--minutes 60] [--out runs/false_stops] [--priority 10] [--set key:=value ...]

The main job in real time, without a fault. A stop ends a run: it is resumed, so the time adds up. What is counted comes
from the bags alone: time in ARMED or HOLDING by the filter's status, and every change to HOLDING or TRIPPED with its
cause. Beside each stop stands for how long the machine had stood still just before, as witnesses saw it that only
sleep, one on each processor: a stop by a machine that stood still is a stop all the same, but not a false one. With
--priority every process of the graph, the simulated robot's too, runs at that real-time priority (SCHED_RR, which
needs the right to): other work on the machine then holds none of them up.
Writes false_stops.csv; status 1 if nothing was armed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from safe_transfer_ros.bags.read import messages
from safe_transfer_ros.faults.ledger import read
from safe_transfer_ros.files import write_rows
from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.safety.reasons import Mode, Reason, split
from safe_transfer_ros.topic_names import FILTER_STATUS

_STALLS = "stalls.ledger"
_NEAR_NS = 200_000_000  # of a stop: a stall of the machine within that belongs to it
_STALL_S = 0.02  # of the machine: shorter ones no timeout of the filter notices
_ON_PURPOSE = Reason.SHUTDOWN | Reason.OPERATOR_STOP


def run(out: Path, until: float, arguments: list[str], priority: int) -> list[float]:
    """Sessions of one run until the time is up; the machine's load every ten seconds."""

    def in_real_time() -> None:
        if priority:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))

    witness = module_command("safe_transfer_ros.faults.canary", "--ledger", str(out / _STALLS))
    with subprocess.Popen(witness, stdin=subprocess.PIPE, preexec_fn=in_real_time) as canary:
        loads = _sessions(out, until, arguments, in_real_time)
        assert canary.stdin is not None
        canary.stdin.close()
    return loads


def _sessions(out: Path, until: float, arguments: list[str], before: Callable[[], None]) -> list[float]:
    loads: list[float] = []
    run_dir = out / "run"
    command = module_command("safe_transfer_ros.cli.main", "up", "pr2_cup_swirl")
    while time.monotonic() < until:
        given = [f"resume:={run_dir}"] if (run_dir / "config.yaml").exists() else [f"run_dir:={run_dir}", *arguments]
        if not given[0].startswith("resume"):
            given += ["timing:=realtime", "iterations:=100000"]
        process = subprocess.Popen([*command, *given], stdout=subprocess.DEVNULL, preexec_fn=before)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(10.0)
            loads.append(os.getloadavg()[0])
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait()
    return loads


def stalls(ledger: Path) -> npt.NDArray[np.void]:
    """What the witnesses saw, in this machine's present boot: end, ns of the wall's clock, and length, s."""
    if not ledger.exists():
        return np.empty(0, [("end_ns", "i8"), ("seconds", "f8")])
    seen = read(ledger)
    found = np.empty(len(seen), [("end_ns", "i8"), ("seconds", "f8")])
    found["end_ns"] = seen["time_ns"] + (time.time_ns() - time.monotonic_ns())
    found["seconds"] = seen["value"]
    return found


def count(bag: Path, stood_still: npt.NDArray[np.void]) -> tuple[float, list[tuple[Mode, Reason, float]]]:
    """Armed time in a bag, s, and the stops in it: mode, cause, longest stall of the machine just before, s."""
    armed = 0.0
    stops: list[tuple[Mode, Reason, float]] = []
    before, since = Mode.DISARMED, 0
    for _, status, received_ns in messages(bag, [f"/{FILTER_STATUS}"]):
        mode = Mode(int(status.mode))
        if before in (Mode.ARMED, Mode.HOLDING):
            armed += (received_ns - since) * 1e-9
        if mode is not before and mode in (Mode.HOLDING, Mode.TRIPPED) and not int(status.cause) & _ON_PURPOSE:
            near = stood_still[np.abs(stood_still["end_ns"] - received_ns) < _NEAR_NS]["seconds"]
            stops.append((mode, Reason(int(status.cause)), float(near.max(initial=0.0))))
        before, since = mode, received_ns
    return armed, stops


def upper_rate(stops: int, hours: float) -> float:
    """Upper end of the one-sided 95 % interval of a Poisson rate, per hour."""
    return float(chi2.ppf(0.95, 2 * (stops + 1))) / 2.0 / hours


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="wall clock; earlier sessions in --out count too")
    parser.add_argument("--out", type=Path, default=Path("runs/false_stops"))
    parser.add_argument("--priority", type=int, default=0, help="real-time priority of all processes, 1 to 99; 0: none")
    parser.add_argument("--set", nargs="*", default=[], metavar="key:=value", help="further launch arguments")
    options = parser.parse_args()
    loads = run(options.out, time.monotonic() + 60.0 * options.minutes, options.set, options.priority)
    stood_still = stalls(options.out / _STALLS)
    armed = 0.0
    stops: list[tuple[Mode, Reason, float]] = []
    for bag in sorted((options.out / "run").glob("bag*")):
        seconds, found = count(bag, stood_still)
        armed, stops = armed + seconds, stops + found
    if not armed:
        print("the filter was never armed", file=sys.stderr)
        return 1
    hours = armed / 3600.0
    rows = [
        {
            "mode": mode.name,
            "cause": " ".join(reason.name or "" for reason in split(cause)),
            "machine_stood_still_ms": f"{1e3 * stall:.1f}",
        }
        for mode, cause, stall in stops
    ]
    write_rows(options.out / "false_stops.csv", rows or [{"mode": "", "cause": "", "machine_stood_still_ms": ""}])
    for row in rows:
        print("  ".join(row.values()), "ms of stall")
    for mode in (Mode.HOLDING, Mode.TRIPPED):
        of = [stall for stopped, _, stall in stops if stopped is mode]
        false = sum(stall < _STALL_S for stall in of)
        print(
            f"{mode.name}: {len(of)} in {hours:.2f} h armed; {false} while the machine ran, "
            f"below {upper_rate(false, hours):.1f} per hour with 95 % confidence"
        )
    load = statistics.median(loads) if loads else 0.0
    print(f"load of the machine, median: {load:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
