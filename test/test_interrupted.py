# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while the modules are being imported: one plain line, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from safe_transfer_ros.interpreter import module_command
from safe_transfer_ros.interrupted import EXIT_INTERRUPTED

ROOT = Path(__file__).resolve().parents[1]
NODES = sorted(path.stem for path in (ROOT / "safe_transfer_ros" / "nodes").glob("[!_]*.py"))
SLOW = """\
import time
try:
    print("importing", flush=True)
    time.sleep(60.0)
finally:
    pass
"""
# Libraries turn what is raised while they are imported into errors of their own, as numpy does.
CONVERTING = SLOW.replace(
    "finally:\n    pass", "except BaseException as error:\n    raise ImportError('broken') from error"
)


def interrupted(folder: Path, module: str, text: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """A program that gets SIGINT while it imports a module, which `text` is in the place of."""
    (folder / f"{module}.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30.0)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.parametrize("text", [SLOW, CONVERTING])
@pytest.mark.parametrize(("module", "arguments"), [("torch", ("train", "--help")), ("matplotlib", ("report", "x"))])
def test_the_command_says_one_line(tmp_path: Path, text: str, module: str, arguments: tuple[str, ...]) -> None:
    done = interrupted(tmp_path, module, text, module_command("safe_transfer_ros.cli.main", *arguments))
    assert (done.returncode, done.stderr) == (EXIT_INTERRUPTED, "safe_transfer: interrupted\n")


@pytest.mark.parametrize("node", NODES)
def test_a_node_says_one_line(tmp_path: Path, node: str) -> None:
    done = interrupted(tmp_path, "rclpy", SLOW, module_command(f"safe_transfer_ros.nodes.{node}"))
    assert (done.returncode, done.stderr) == (EXIT_INTERRUPTED, f"{node}: interrupted\n")


def test_a_nodes_console_script_says_one_line(tmp_path: Path) -> None:
    script = tmp_path / "safety_filter"
    script.write_text("import sys\nfrom safe_transfer_ros.nodes.safety_filter import main\nsys.exit(main())\n")
    done = interrupted(tmp_path, "rclpy", SLOW, [sys.executable, str(script)])
    assert (done.returncode, done.stderr) == (EXIT_INTERRUPTED, "safety_filter: interrupted\n")


def test_who_only_imports_a_node_keeps_his_signal() -> None:
    program = (
        "import signal\nimport safe_transfer_ros.nodes.safety_filter\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60.0)
