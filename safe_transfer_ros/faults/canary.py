# SPDX-License-Identifier: Apache-2.0
"""Tells when this machine, and not the filter, was late.

    python -m safe_transfer_ros.faults.canary --ledger FILE     (and "watch PID" or "forget PID" on stdin)

Two witnesses: threads that only sleep, one on each processor, notice when the whole machine stood still; and the kernel
says of each thread of the watched processes how long it was ready to run and was not run (schedstat). A bound on time
that was missed meanwhile says nothing about the filter. Such a repeat is reported as one, never left out.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from safe_transfer_ros.faults.ledger import Kind, Ledger

PERIOD = 0.005  # s
LATE = 0.005  # s from which on a lateness is written down
SAMPLE = 0.05  # s between two looks at the kernel's account


def _sleep_on(processor: int, ledger: Ledger) -> None:
    """Sleep, and note each time that took too long."""
    os.sched_setaffinity(0, {processor})  # of this thread alone, on Linux
    before = time.monotonic()
    while True:
        time.sleep(PERIOD)
        now = time.monotonic()
        if now - before > PERIOD + LATE:
            ledger.note(Kind.STALL, 0, now - before - PERIOD)
        before = now


def _account(watched: set[int], ledger: Ledger) -> None:
    """Note how long any thread of the watched processes had to wait for a processor since the last look."""
    waited: dict[str, int] = {}
    while True:
        time.sleep(SAMPLE)
        longest = 0
        for process in list(watched):
            for path in Path(f"/proc/{process}/task").glob("*/schedstat"):
                try:
                    total = int(path.read_text().split()[1])
                except (OSError, IndexError):
                    continue
                longest = max(longest, total - waited.get(str(path), total))
                waited[str(path)] = total
        if longest * 1e-9 > LATE:
            ledger.note(Kind.STALL, 0, longest * 1e-9)


def main() -> None:
    """Watch until stdin is closed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", required=True, help="file to append to")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ledger = Ledger(parser.parse_args().ledger)
    watched: set[int] = set()
    for processor in os.sched_getaffinity(0):
        threading.Thread(target=_sleep_on, args=(processor, ledger), daemon=True).start()
    threading.Thread(target=_account, args=(watched, ledger), daemon=True).start()
    for line in sys.stdin:
        verb, number = line.split()
        (watched.add if verb == "watch" else watched.discard)(int(number))


if __name__ == "__main__":
    main()
