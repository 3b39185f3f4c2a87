# SPDX-License-Identifier: Apache-2.0
"""Findings of `safe_transfer doctor` about a Franka arm: the library, the cable, what the arm's control answers."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

from safe_transfer_ros.cli.finding import BAD, GOOD, WEAK, Finding
from safe_transfer_ros.franka import library
from safe_transfer_ros.interpreter import program_command, safe_environment

PINGS = 200
PING_COMMAND = ("ping", "-n", "-q", "-c", str(PINGS), "-i", "0.01", "-s", "1200", "-W", "1")
"""Packets of about the size of the arm's; libfranka's handbook asks for the same by hand."""

LONGEST_PING_MS = 1.0
ANSWER_SECONDS = 15.0

# In a process of its own: libfranka waits long for an arm that does not answer.
_CONNECT = """
import sys, pylibfranka
try:
    robot = pylibfranka.Robot(sys.argv[1], pylibfranka.RealtimeConfig.kIgnore)
except RuntimeError as error:
    raise SystemExit(f"{type(error).__name__}: {error}")
state = robot.read_once()
print(state.robot_mode.name, state.current_errors or "no errors", sep="|")
"""


def examine(robot_ip: str) -> Iterator[Finding]:
    """Every finding about robot:=franka; without the library it is a fault only where an arm is named.

    Args:
      robot_ip: Address of the arm's control; empty: it is not asked.
    """
    absent = library.missing()
    if absent:
        yield Finding(verdict=BAD if robot_ip else WEAK, what=f"robot:=franka is not possible: {absent}")
    else:
        version = importlib.metadata.version("pylibfranka")
        yield Finding(verdict=GOOD, what=f"pylibfranka {version}, for robot:=franka")
    if robot_ip:
        yield ping(robot_ip)
        if not absent:
            yield from connect(robot_ip)


def ping(robot_ip: str) -> Finding:
    """Time that the arm's control takes to answer, and whether anything is lost."""
    if shutil.which("ping") is None:
        what = "ping is not installed, so the cable was not tried"
        return Finding(verdict=WEAK, what=what, fix="sudo apt install iputils-ping")
    try:
        done = subprocess.run(
            [*PING_COMMAND, robot_ip],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Finding(verdict=BAD, what=f"{robot_ip} does not answer a ping", fix="cable, address, power")
    return judge_ping(robot_ip, done.stdout)


def judge_ping(robot_ip: str, said: str) -> Finding:
    """Verdict on what `ping -q` said.

    Args:
      robot_ip: Whom it asked.
      said: Its output.
    """
    lost = re.search(r"([\d.]+)% packet loss", said)
    times = re.search(r"= [\d.]+/([\d.]+)/([\d.]+)", said)
    if lost is None or times is None or float(lost[1]) == 100.0:
        return Finding(verdict=BAD, what=f"{robot_ip} does not answer a ping", fix="cable, address, power")
    mean, longest = float(times[1]), float(times[2])
    what = f"{robot_ip} answers a ping in {mean:.2f} ms, {longest:.2f} ms at most, {float(lost[1]):g} % lost"
    if float(lost[1]) > 0.0 or longest > LONGEST_PING_MS:
        fix = (
            f"the arm wants every answer within {LONGEST_PING_MS:g} ms: a cable of its own, no switch, no power saving"
        )
        return Finding(verdict=BAD if float(lost[1]) > 0.0 else WEAK, what=what, fix=fix)
    return Finding(verdict=GOOD, what=what)


def connect(robot_ip: str) -> Iterator[Finding]:
    """Whether the control interface (FCI) answers, in the version of this library, and how the arm stands.

    The library says which versions the two have where they differ; where they are the same, it does not.
    """
    try:
        done = subprocess.run(
            program_command(_CONNECT, robot_ip),
            env=safe_environment(os.environ),
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
        )
        why = library.told(done.stderr.strip())
        why = (why.splitlines() or ["it said nothing"])[-1]
    except subprocess.TimeoutExpired:
        done, why = None, f"no answer within {ANSWER_SECONDS:g} s"
    if done is None or done.returncode:
        yield Finding(
            verdict=BAD,
            what=f"the control interface (FCI) at {robot_ip} cannot be used ({why})",
            fix="activate FCI in Desk, end other programs; another version of the protocol: another arm or wheel",
        )
        return
    mode, errors = done.stdout.strip().split("|")
    yield Finding(verdict=GOOD, what=f"the control interface (FCI) at {robot_ip} answers, in this library's version")
    ready = mode.removeprefix("k") == "Idle" and errors == "no errors"
    yield Finding(
        verdict=GOOD if ready else WEAK,
        what=f"the arm is in mode {mode.removeprefix('k')}, {errors}",
        fix="" if ready else "release the user stop, end the guiding, recover from errors in Desk",
    )
