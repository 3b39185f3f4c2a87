# SPDX-License-Identifier: Apache-2.0
"""Real-time scheduling and locked memory are asked for, and a refusal is told with its fix."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from safe_transfer_ros import realtime


def test_nothing_is_asked_for_by_default() -> None:
    assert list(realtime.request(0, False)) == []


def test_a_refusal_says_how_to_permit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    (refusal,) = realtime.request(50, False)
    assert "priority 50 was refused (Operation not permitted)" in refusal
    assert "ulimit -r 50" in refusal


def test_a_thread_that_ends_meanwhile_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def schedule(thread: int, *_: object) -> None:
        asked.append(thread)
        if thread == 7:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    monkeypatch.setattr(os, "listdir", lambda _: ["6", "7", "8"])
    monkeypatch.setattr(os, "sched_setscheduler", schedule)
    assert list(realtime.request(50, False)) == [] and asked == [6, 7, 8]


def test_a_process_that_may_gets_what_it_asks_for_and_one_that_may_not_is_told() -> None:
    program = (
        "import os, threading; from safe_transfer_ros import realtime\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "refused = list(realtime.request(1, True))\n"
        "policies = {os.sched_getscheduler(int(t)) for t in os.listdir('/proc/self/task')}\n"
        "locked = [l for l in open('/proc/self/status') if l.startswith('VmLck')][0].split()[1]\n"
        "print(len(refused), policies == {os.SCHED_FIFO}, int(locked) > 0)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    refused, real_time, locked = finished.stdout.split()
    assert int(refused) == (real_time != "True") + (locked != "True"), finished.stdout + finished.stderr
