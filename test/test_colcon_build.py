# SPDX-License-Identifier: Apache-2.0
"""`colcon build` in the checkout, as with an installed ROS 2, gives what `ros2 run` and `ros2 launch` need.

colcon and the build tools are the ones on PyPI, in ./.venv-colcon. The build folder (./.colcon) is kept, so
only the first run compiles the messages; what is installed is always made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from safe_transfer_ros.parameters import sections

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-colcon"
NODES = tuple(sections.NODES)
pytestmark = pytest.mark.timeout(900)  # the first run installs colcon and compiles


def clean_environment() -> dict[str, str]:
    """This process's environment without what the ROS of another venv put into it."""
    leave = (
        "LD_LIBRARY_PATH",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
        "AMENT_PREFIX_PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    )
    return {name: value for name, value in os.environ.items() if name not in leave}


def run(*command: str | Path, environment: dict[str, str] | None = None, folder: Path = ROOT) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment or clean_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix() -> Path:
    """The install prefix of a fresh `colcon build --merge-install`."""
    if not shutil.which(os.environ.get("CXX", "c++")):
        pytest.skip("no C++ compiler, and the messages are compiled: install g++ to run this test")
    run("scripts/setup.sh", "colcon", environment=clean_environment() | {"PYTHON": sys.executable})
    base = ROOT / ".colcon"
    shutil.rmtree(base / "install", ignore_errors=True)
    run(
        *("nice", "-n", "15"),  # tests of real processes run beside it
        *(VENV / "bin/colcon", "--log-base", base / "log", "build", "--merge-install"),
        *("--build-base", base / "build", "--install-base", base / "install"),
        *(
            "--cmake-args",
            "-G",
            "Ninja",
            "-DBUILD_TESTING=OFF",
            f"-DPython3_EXECUTABLE={VENV / 'bin/python'}",
        ),
        environment=clean_environment()
        | {
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
            "AMENT_PREFIX_PATH": str(VENV),
            "CMAKE_PREFIX_PATH": str(VENV),
        },
    )
    return base / "install"


def test_ros2_run_finds_every_node(prefix: Path) -> None:
    for name in (*NODES, "safe_transfer"):
        executable = prefix / "lib/safe_transfer_ros" / name
        assert executable.is_file() and os.access(executable, os.X_OK), f"{executable} is missing"


def test_a_sourced_workspace_has_the_command_on_its_path(prefix: Path) -> None:
    """`ros2 run` looks in lib/; what docs tell a person to type is looked for in bin/, which colcon's hook adds."""
    path = f"{VENV / 'bin'}:/usr/bin:/bin"
    found = run(
        *("bash", "-c", f". {prefix / 'local_setup.bash'} && command -v safe_transfer"),
        environment=clean_environment() | {"PATH": path},
    )
    assert Path(found.splitlines()[-1]) == prefix / "bin/safe_transfer" and os.access(found.splitlines()[-1], os.X_OK)


def test_the_command_runs_the_program_in_lib(tmp_path: Path) -> None:
    program = tmp_path / "lib/safe_transfer_ros/safe_transfer"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts/safe_transfer", tmp_path / "bin/safe_transfer")
    assert run(tmp_path / "bin/safe_transfer", "up", "t_max:=0.5", "two words") == "up|t_max:=0.5|two words|"


def test_ros2_launch_finds_its_files(prefix: Path) -> None:
    share = prefix / "share/safe_transfer_ros"
    for source in (
        *(ROOT / "launch").glob("*.py"),
        *(ROOT / "config").glob("*.yaml"),
        *(ROOT / "urdf").glob("*.urdf"),
        *(ROOT / "rviz").glob("*.rviz"),
        *(ROOT / "foxglove").glob("*.json"),
        *(ROOT / "plotjuggler").glob("*.xml"),
    ):
        installed = share / source.relative_to(ROOT)
        assert installed.read_bytes() == source.read_bytes()
    assert list((share / "weights").glob("*.safetensors")), "no policy was installed"
    for package in ("safe_transfer_ros", "safe_transfer_msgs"):
        assert (prefix / "share/ament_index/resource_index/packages" / package).is_file()


def run_installed(prefix: Path, script: str) -> str:
    """Output of a Python script with the install prefix sourced, run away from the checkout."""
    [site] = (prefix / "lib").glob("python3*/site-packages")
    environment = clean_environment() | {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(prefix / "lib")}
    return run(VENV / "bin/python", "-c", script, environment=environment, folder=prefix).strip()


def test_messages_work_from_the_install_prefix(prefix: Path) -> None:
    script = """
from rclpy.serialization import deserialize_message, serialize_message
from safe_transfer_msgs import action, msg, srv
sent = msg.SafetyDecision(joint_names=["a"], applied_effort=[1.0], reasons=msg.SafetyDecision.REASON_SHUTDOWN)
got = deserialize_message(serialize_message(sent), msg.SafetyDecision)
assert got == sent
assert action.Rollout.Goal().first_episode == 0 and srv.ResetEpisode.Request().seed == 0
print(msg.__file__)
"""
    assert Path(run_installed(prefix, script)).is_relative_to(prefix), "another copy of the messages was imported"


def test_installed_code_finds_its_data_in_the_install_prefix(prefix: Path) -> None:
    script = "from safe_transfer_ros import resources; print(resources.path('config/pr2_cup_swirl.yaml'))"
    assert Path(run_installed(prefix, script)).is_relative_to(prefix / "share/safe_transfer_ros")
