# SPDX-License-Identifier: Apache-2.0
"""How late a process is woken on this machine, by scheduling class: is it fit for a real-time loop as it is now?

    python benchmarks/lateness.py [--seconds 60] [--period 0.002] [--rounds 1]

One process of each class at the same time sleeps until the next period and notes how late it was: normal, SCHED_FIFO
(what `realtime_priority` gives the filter) and SCHED_DEADLINE. Start it beside the load that the machine will have.

From Linux 6.12 on the kernel's fair server lets normal processes run before those of SCHED_FIFO, 50 ms in a second,
where they had no processor; not before those of SCHED_DEADLINE. Where SCHED_FIFO is late by some 50 ms and
SCHED_DEADLINE is not, that is why: `echo 0 > /sys/kernel/debug/sched/fair_server/cpuN/runtime`, for each processor,
switches it off.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict

LATE_MS = (5.0, 10.0, 20.0, 50.0)
RUNTIME_NS = 1_000_000


def classes(period_s: float) -> dict[str, list[str]]:
    """What a command begins with to be of a class."""
    period = str(round(period_s * 1e9))
    deadline = ["--sched-runtime", str(RUNTIME_NS), "--sched-deadline", period, "--sched-period", period]
    return {
        "normal": [],
        "SCHED_FIFO": ["chrt", "--fifo", "20"],
        "SCHED_DEADLINE": ["chrt", "--deadline", *deadline, "0"],
    }


def sleep(seconds: float, period_s: float) -> None:
    """Be woken every period, and print how late each time, ms; after a late one the periods begin anew."""
    due = time.monotonic()
    end, late = due + seconds, []
    while due < end:
        due += period_s
        time.sleep(max(0.0, due - time.monotonic()))
        behind = time.monotonic() - due
        late.append(behind * 1e3)
        if behind > period_s:
            due += behind
    print(json.dumps(late))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a round")
    parser.add_argument("--period", type=float, default=0.002, help="s; at least .002")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sleep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sleep:
        sleep(options.seconds, options.period)
        return
    found: dict[str, list[float]] = defaultdict(list)
    loads = []
    for _ in range(options.rounds):
        own = [sys.executable, __file__, "--sleep", f"--seconds={options.seconds}", f"--period={options.period}"]
        running = {
            name: subprocess.Popen([*prefix, *own], stdout=subprocess.PIPE, text=True)
            for name, prefix in classes(options.period).items()
        }
        for name, process in running.items():
            said, _ = process.communicate()
            found[name] += json.loads(said) if said else []
        loads.append(os.getloadavg()[0])
    counts = " | ".join(f"> {late:g} ms" for late in LATE_MS)
    print(
        f"Linux {platform.release()}, {os.cpu_count()} processors, load average {min(loads):.0f} to {max(loads):.0f}\n"
    )
    print(f"| class | woken | {counts} | latest, ms |\n|---|---|{'---|' * (len(LATE_MS) + 1)}")
    for name, late in found.items():
        cells = [f"{sum(each > bound for each in late)}" for bound in LATE_MS]
        print(
            f"| {name} | {len(late)} | {' | '.join(cells)} | {max(late):.1f} |"
            if late
            else f"| {name} | not permitted |"
        )


if __name__ == "__main__":
    main()
