# SPDX-License-Identifier: Apache-2.0
"""`safe_transfer doctor`: what this machine lacks, one line each, with a fix."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from safe_transfer_ros.cli import doctor_franka
from safe_transfer_ros.cli.finding import BAD, GOOD, WEAK, Finding
from safe_transfer_ros.interpreter import program_command, safe_environment, shadowed
from safe_transfer_ros.launching import domain
from safe_transfer_ros.middleware import dds


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    text = "check this machine for simulation and for a real arm; status 1 if something must be fixed"
    parser = subparsers.add_parser("doctor", help=text, description=text)
    parser.add_argument("--hardware", action="store_true", help="also require what a real arm needs")
    parser.add_argument("--robot-ip", default="", metavar="ADDRESS", help="also ask the Franka arm at this address")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every finding; 1 if any must be fixed."""
    findings = list(examine(hardware=options.hardware, robot_ip=options.robot_ip))
    for finding in findings:
        print(finding)
    return int(any(finding.verdict == BAD for finding in findings))


def examine(*, hardware: bool, robot_ip: str = "") -> Iterator[Finding]:
    """Every finding; what only a real arm needs is weak, not bad, without one."""
    needed = BAD if hardware else WEAK
    yield Finding(verdict=GOOD, what=f"Python {platform.python_version()} on {platform.system()} {platform.release()}")
    yield from _packages()
    yield from _ros()
    for module, fix in (
        ("rclpy", "make setup, or source a ROS 2 Jazzy"),
        ("safe_transfer_msgs", "make setup, or colcon build"),
    ):
        yield _module(module, BAD, fix)
    yield _module("controller_manager_msgs", needed, _controller_manager_fix())
    yield from doctor_franka.examine(robot_ip)
    yield from _middleware(needed)
    yield from _discovery()
    yield _limit("real-time priority", resource.RLIMIT_RTPRIO, 40, "rtprio", needed)
    yield _limit("locked memory", resource.RLIMIT_MEMLOCK, 2**30, "memlock", needed)
    yield from _kernel(needed)
    yield _clock()
    free = shutil.disk_usage(Path.cwd()).free
    yield Finding(
        verdict=GOOD if free > 2e9 else BAD,
        what=f"{free / 1e9:.1f} GB free here",
        fix="" if free > 2e9 else "a run records hundreds of MB: free some, or use another run_dir",
    )


def _packages() -> Iterator[Finding]:
    for name in ("numpy", "torch", "mujoco", "mcap", "safetensors"):
        try:
            yield Finding(verdict=GOOD, what=f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(verdict=BAD, what=f"{name} is not installed", fix="make setup, or pip install it")


def _ros() -> Iterator[Finding]:
    """The ROS that our processes use, and whether another one is in its way."""
    place = shadowed("rclpy")
    if place is not None:
        yield Finding(
            verdict=BAD,
            what=f"rclpy would be imported from {place}, and not from this environment",
            fix="a ROS installation is sourced in this shell: prefix commands with scripts/in_venv.sh",
        )
    elif _of_wheels():
        yield Finding(verdict=GOOD, what="ROS 2 jazzy of this environment, from the package registry")
    else:
        name = os.environ.get("ROS_DISTRO", "")
        yield Finding(
            verdict=GOOD if name == "jazzy" else WEAK,
            what=f"ROS 2 {name}, sourced" if name else "no ROS 2 is sourced",
            fix="" if name == "jazzy" else "tested with jazzy only: source it, or make setup",
        )
    up = domain.running()
    yield Finding(
        verdict=GOOD, what=f"runs that are up: {'; '.join(map(str, up))} (by ROS domain)" if up else "no run is up"
    )


def _of_wheels() -> bool:
    """Whether rclpy is a wheel of this environment, not of a ROS installation."""
    try:
        importlib.metadata.version("ros-jazzy-rclpy")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _controller_manager_fix() -> str:
    if _of_wheels():
        return (
            "for a real arm: no wheel has it, and ros2_control needs a ROS 2 Jazzy installation as well: there "
            "colcon build, source install/setup.bash, and sudo apt install ros-jazzy-controller-manager-msgs"
        )
    return "for a real arm: sudo apt install ros-jazzy-controller-manager-msgs"


def _module(name: str, verdict: str, fix: str) -> Finding:
    """Import it, in a process of its own: what is found may still be another Python's."""
    if importlib.util.find_spec(name) is None:
        return Finding(verdict=verdict, what=f"{name} is not installed", fix=fix)
    done = subprocess.run(
        program_command(f"import {name}.msg" if name.endswith("_msgs") else f"import {name}"),
        env=safe_environment(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Finding(verdict=verdict, what=f"{name} cannot be imported ({last})", fix=fix)
    return Finding(verdict=GOOD, what=f"{name} can be imported")


def _middleware(needed: str) -> Iterator[Finding]:
    rmw = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    yield Finding(
        verdict=GOOD if rmw == "rmw_fastrtps_cpp" else WEAK,
        what=f"middleware {rmw}",
        fix="" if rmw == "rmw_fastrtps_cpp" else "tested with rmw_fastrtps_cpp only; all processes must use the same",
    )
    mode = os.environ.get("RMW_FASTRTPS_PUBLICATION_MODE", "")
    if mode == "ASYNCHRONOUS":
        yield Finding(
            verdict=needed,
            what="RMW_FASTRTPS_PUBLICATION_MODE=ASYNCHRONOUS",
            fix="up to 46 % of 1 kHz commands were lost with it: unset it",
        )
    domain = os.environ.get("ROS_DOMAIN_ID", "")
    yield Finding(
        verdict=GOOD,
        what=f"ROS_DOMAIN_ID {domain or 'is not set: robot:=hardware uses 0, a simulation takes a free one'}",
    )
    reach = dds.beyond_this_machine()
    yield Finding(
        verdict=WEAK if reach else GOOD,
        what=reach or "our processes hear this machine only",
        fix="any machine in reach can publish proposals and commands: see SROS 2" if reach else "",
    )


# In a process of its own: the doctor must not end up as a participant of somebody's domain.
_DISCOVERY = """
import time, rclpy
from std_msgs.msg import Bool
contexts = [rclpy.Context(), rclpy.Context()]  # two of them talk as two processes do
for context in contexts:
    rclpy.init(context=context)
one, two = (rclpy.create_node("doctor", context=context) for context in contexts)
one.create_publisher(Bool, "doctor/probe", 1)
two.create_subscription(Bool, "doctor/probe", lambda message: None, 1)
began = time.monotonic()
while two.count_publishers("doctor/probe") < 1 or one.count_subscribers("doctor/probe") < 1:
    time.sleep(0.01)
    if time.monotonic() - began > 10.0:
        raise SystemExit(1)
print(f"{time.monotonic() - began:.2f}")
"""


def _discovery() -> Iterator[Finding]:
    if importlib.util.find_spec("rclpy") is None:
        return
    done = subprocess.run(
        program_command(_DISCOVERY),
        env=safe_environment(os.environ) | dds.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 0:
        yield Finding(verdict=GOOD, what=f"two participants found each other within {done.stdout.strip()} s")
    else:
        last = (done.stderr.strip().splitlines() or ["no answer within 10 s"])[-1]
        yield Finding(
            verdict=BAD, what=f"two participants did not find each other ({last})", fix="look at firewall and lo"
        )


def _limit(what: str, kind: int, wanted: int, word: str, verdict: str) -> Finding:
    soft, _ = resource.getrlimit(kind)
    permitted = soft == resource.RLIM_INFINITY or soft >= wanted or os.geteuid() == 0
    if permitted:
        return Finding(verdict=GOOD, what=f"{what} is permitted")
    value = wanted if word == "rtprio" else "unlimited"
    fix = f"add '@realtime - {word} {value}' to /etc/security/limits.conf, join group realtime, log in again"
    return Finding(verdict=verdict, what=f"{what} is not permitted", fix=fix)


def _kernel(needed: str) -> Iterator[Finding]:
    realtime = Path("/sys/kernel/realtime")
    preempt = realtime.exists() and realtime.read_text().strip() == "1"
    yield Finding(
        verdict=GOOD if preempt else WEAK,
        what=f"kernel is {'' if preempt else 'not '}PREEMPT_RT",
        fix="" if preempt else "a real arm at 1 kHz needs one (linux-image-rt-amd64, or Ubuntu Pro's)",
    )
    yield from _fair_server(platform.release())
    cores = os.cpu_count() or 1
    yield Finding(
        verdict=GOOD if cores >= 4 else needed if cores < 2 else WEAK,
        what=f"{cores} processor cores",
        fix="" if cores >= 4 else "a real arm needs four: control loop, filter, supervisor, the rest",
    )


def _fair_server(release: str, folder: Path = Path("/sys/kernel/debug/sched/fair_server")) -> Iterator[Finding]:
    """Whether the kernel lets normal processes run before real-time ones (SCHED_FIFO), 50 ms in a second."""
    if tuple(int(number) for number in re.findall(r"\d+", release)[:2]) < (6, 12):
        return
    try:
        files = sorted(folder.glob("cpu*/runtime"))
        on = not files or any(int(file.read_text()) for file in files)
    except (OSError, ValueError):
        on = True  # it is by default
    if not on:
        yield Finding(verdict=GOOD, what="the kernel's fair server is off")
        return
    yield Finding(
        verdict=WEAK,
        what="the kernel's fair server may hold up real-time processes for 50 ms, and so stop an arm",
        fix=f"as root, for each processor and at each start: echo 0 > {folder}/cpuN/runtime",
    )


def _clock() -> Finding:
    """Stamps are the robot's; a wall clock that jumps makes logs and bags hard to read."""
    done = None
    if shutil.which("timedatectl"):
        done = subprocess.run(
            ["timedatectl", "show", "-p", "NTPSynchronized", "--value"], capture_output=True, text=True, timeout=10
        )
    if done is not None and done.returncode == 0 and done.stdout.strip() == "yes":
        return Finding(verdict=GOOD, what="the clock is synchronised")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return Finding(
        verdict=WEAK,
        what=f"no service reports that the clock is synchronised (it is {stamp} here)",
        fix="timedatectl set-ntp true; with a robot on another machine, chrony on both",
    )
