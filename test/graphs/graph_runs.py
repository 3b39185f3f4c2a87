# SPDX-License-Identifier: Apache-2.0
"""Runs of the whole graph as a user starts them: real processes, real DDS."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SHORT = ("trainer.episodes_per_iteration:=2", "iterations:=2")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "safe_transfer_ros.cli.main", *arguments]


def environment(**extra: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    return clean | extra


@contextmanager
def to_share() -> Iterator[int]:
    """A domain that the program under test is free to claim, and nobody else: all others take the lowest there is."""
    for number in range(101, 60, -1):
        with open(Path(tempfile.gettempdir()) / f"safe_transfer_test_domain_{number}.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield number
            return
    raise RuntimeError("no domain is free for a graph of a test")


@pytest.fixture
def number() -> Iterator[int]:
    """A domain that a graph claims, for the test's own nodes beside it."""
    with to_share() as number:
        yield number


def up(
    run_dir: Path,
    *arguments: str,
    graph: str = "pr2_cup_swirl",
    report: bool = False,
    resume: bool = False,
    **extra: str,
) -> subprocess.CompletedProcess[str]:
    """`safe_transfer up`, to its end."""
    place = f"{'resume' if resume else 'run_dir'}:={run_dir}"
    return subprocess.run(
        command("up", *([] if report else ["--no-report"]), graph, place, *arguments),
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=240,
    )


@contextmanager
def started(
    run_dir: Path, *arguments: str, graph: str = "pr2_cup_swirl", report: bool = False, **extra: str
) -> Iterator[subprocess.Popen[str]]:
    """The same, still running; killed at the end if nothing else ended it."""
    process = subprocess.Popen(
        command("up", *([] if report else ["--no-report"]), graph, f"run_dir:={run_dir}", *arguments),
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_ignore_interrupts,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _ignore_interrupts() -> None:
    """As a shell does for its background jobs: Ctrl-C handling must not depend on what was inherited."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def nodes_of(run_dir: Path) -> dict[str, int]:
    """Node name -> process id of every process of a run that is alive."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode().split("\0")
            alive = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            continue
        modules = [part for part in line if part.startswith("safe_transfer_ros.nodes.")]
        if alive and modules and any(str(run_dir) in part for part in line):
            found[modules[0].rsplit(".", 1)[1]] = int(entry.name)
    return found


def wait_for(condition: object, seconds: float, what: str) -> None:
    """Poll until `condition()` is true; fail naming `what`."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not so within {seconds:g} s: {what}"
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, to the launcher alone."""
    process.send_signal(signal.SIGINT)
