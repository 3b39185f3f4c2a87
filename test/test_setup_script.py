# SPDX-License-Identifier: Apache-2.0
"""What `make` says on a machine that lacks something, and what it keeps out of ./.venv's environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def bash(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def program(folder: Path, name: str, body: str) -> str:
    """A program that stands before the real one; returns the PATH that puts it there."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/bash\n{body}\n")
    file.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def environment_after_cleaning(**before: str) -> dict[str, str]:
    done = bash(". scripts/clean_environment.sh; clean_environment >&2; env -0", **before)
    assert done.returncode == 0, done.stderr
    pairs = [line.split("=", 1) for line in done.stdout.split("\0") if "=" in line]
    return {name: value for name, value in pairs}


def test_a_sourced_ros_does_not_reach_the_venv() -> None:
    after = environment_after_cleaning(
        ROS_DISTRO="jazzy",
        AMENT_PREFIX_PATH="/home/me/ws/install/a:/opt/ros/jazzy",
        PYTHONPATH="/opt/ros/jazzy/lib/python3.12/site-packages",
        LD_LIBRARY_PATH="/home/me/ws/install/a/lib:/opt/ros/jazzy/lib:/usr/local/cuda/lib64",
        PATH=f"/opt/ros/jazzy/bin:/home/me/ws/install/a/bin:{os.environ['PATH']}",
        RMW_IMPLEMENTATION="rmw_cyclonedds_cpp",
        _ROS_WHEELS_BOOTSTRAP_COMPLETE="",
    )
    assert not {"ROS_DISTRO", "AMENT_PREFIX_PATH", "PYTHONPATH", "RMW_IMPLEMENTATION"} & set(after)
    assert after["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"  # only what is ROS's is taken out
    assert after["PATH"] == os.environ["PATH"]


def test_a_sourced_ros_is_mentioned_once_and_only_then() -> None:
    with_ros = bash(". scripts/clean_environment.sh; clean_environment", ROS_DISTRO="jazzy")
    assert "jazzy is sourced" in with_ros.stdout and "colcon build" in with_ros.stdout
    without = bash("unset ROS_DISTRO AMENT_PREFIX_PATH; . scripts/clean_environment.sh; clean_environment")
    assert without.stdout == ""


def test_libraries_of_another_venv_do_not_reach_the_venv() -> None:
    """The wheels' start-up code leaves its children a library path, and a mark against starting up again."""
    after = environment_after_cleaning(_ROS_WHEELS_BOOTSTRAP_COMPLETE="1", LD_LIBRARY_PATH="/elsewhere/.venv/lib")
    assert "LD_LIBRARY_PATH" not in after and "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in after


def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    """pyenv leaves a shim for every version it has, and most of them only print an error."""
    path = program(tmp_path, "python3", "echo 'python3: command not found' >&2; exit 127")
    found = bash("SAFE_TRANSFER_LIBRARY=1 . scripts/setup.sh; find_python", PATH=path, PYTHON="")
    if found.returncode == 0:
        assert Path(found.stdout.strip()).is_file() and not found.stdout.startswith(str(tmp_path))
    else:  # no other Python on this machine: then it says so
        assert "no Python 3.10 to 3.14 found" in found.stderr


@pytest.mark.parametrize(
    ("what", "environment", "says"),
    [
        ("everything", {}, "'everything' is not one of run, dev, test, colcon"),
        ("run", {"PYTHON": "/bin/false"}, "PYTHON=/bin/false is not a CPython 3.10 to 3.14"),
        ("run", {"CXX": "/no/such/compiler"}, "no C++ compiler"),
    ],
)
def test_what_is_missing_is_said_in_one_line(what: str, environment: dict[str, str], says: str) -> None:
    done = bash(f"scripts/setup.sh {what}", **environment)
    assert done.returncode == 1
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("option", "answer"), [("-m", "aarch64"), ("-s", "Darwin")])
def test_a_machine_without_ros_wheels_is_refused(tmp_path: Path, option: str, answer: str) -> None:
    path = program(tmp_path, "uname", f'[ "$1" = {option} ] && echo {answer} || exec /bin/uname "$@"')
    done = bash("scripts/setup.sh run", PATH=path)
    assert done.returncode == 1 and answer in done.stderr


STEP = """
set -euo pipefail
SAFE_TRANSFER_LIBRARY=1 . {root}/scripts/setup.sh
cd {folder}
step venv thing "$1" "doing the thing" {command}
"""


def step(folder: Path, digest: str, command: str) -> subprocess.CompletedProcess[str]:
    script = STEP.format(root=ROOT, folder=folder, command=command)
    return subprocess.run(["bash", "-c", script, "step", digest], capture_output=True, text=True, timeout=60)


def test_a_step_is_done_again_when_it_failed_or_its_inputs_changed_and_not_otherwise(tmp_path: Path) -> None:
    assert step(tmp_path, "1", "false").returncode == 1
    assert "doing the thing" in step(tmp_path, "1", "true").stdout  # the failed one left no stamp
    assert step(tmp_path, "1", "false").returncode == 0  # done already: not run
    assert step(tmp_path, "2", "true").stdout  # changed: run
    assert step(tmp_path, "3", "false").returncode == 1
    assert step(tmp_path, "2", "true").stdout  # the old stamp does not outlive an attempt


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        (
            "NewConnectionError: Failed to establish: Temporary failure in name resolution",
            "check the network",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "PYTHON="),
    ],
)
def test_a_failed_step_says_what_to_do(tmp_path: Path, log: str, says: str) -> None:
    done = step(tmp_path, "1", f"bash -c 'echo \"{log}\"; exit 1'")
    assert done.returncode == 1
    assert log in done.stderr and says in done.stderr


FRANKA = """
set -euo pipefail
SAFE_TRANSFER_LIBRARY=1 . {root}/scripts/setup.sh
cd {folder} && mkdir -p .venv-franka requirements
PY={python}
install_franka_library() {{ {library}; }}
install_franka_simulation() {{ {simulation}; }}
set_up_franka
echo "went on"
"""


@pytest.mark.parametrize(
    ("python", "library", "simulation", "says"),
    [
        ("./older", "true", "true", "installing Franka's client library"),
        ("./older", "false", "true", "the package registry did not give what they need"),
        ("./older", "true", "false", "the package registry did not give what they need"),
        ("./newer", "true", "true", "Franka's wheel is for Python 3.9 to 3.12, and this is Python 3.13.1"),
    ],
)
def test_without_a_simulated_franka_its_tests_are_skipped_and_nothing_else(
    tmp_path: Path, python: str, library: str, simulation: str, says: str
) -> None:
    program(tmp_path, "older", "exit 0")
    program(tmp_path, "newer", '[ "$1" = --version ] && echo Python 3.13.1 || exit 1')
    (tmp_path / "requirements").mkdir()
    for name in ("franka.txt", "franka_sim.txt", "pip.txt"):
        (tmp_path / "requirements" / name).write_text("")
    script = FRANKA.format(root=ROOT, folder=tmp_path, python=python, library=library, simulation=simulation)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("went on\n"), done.stderr
    assert says in done.stdout
    assert ("are skipped" in done.stdout) == ("installing" not in says)
    again = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    if "installing" in says:
        assert again.stdout == "went on\n", "done already"
