# SPDX-License-Identifier: Apache-2.0
"""Children of ours never import what lies in the folder that somebody started us in."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import safe_transfer_ros
from safe_transfer_ros.interpreter import module_command, program_command, safe_environment
from safe_transfer_ros.launching.embedded import child_environment
from safe_transfer_ros.learning.workers import LocalWorkers

PACKAGE = Path(safe_transfer_ros.__file__).parent
VERSIONS = [(3, 10), (3, 11)]
TRAPS = ("yaml", "random", "signal", "multiprocessing", "numpy", "rclpy", "runpy")


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder with modules in it that leave a mark when they are executed."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write('{name} ')\n")
    return tmp_path


def executed(folder: Path) -> str:
    mark = folder / "executed"
    return mark.read_text() if mark.exists() else ""


def test_the_trap_works(trapped: Path) -> None:
    subprocess.run([sys.executable, "-c", "import yaml, random"], cwd=trapped, check=True)
    assert "yaml" in executed(trapped)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_module_is_run_without_the_current_folder(trapped: Path, version: tuple[int, int]) -> None:
    command = module_command("safe_transfer_ros.cli.main", "--version", version=version)
    done = subprocess.run(command, cwd=trapped, capture_output=True, text=True)
    assert done.returncode == 0 and "safe_transfer" in done.stdout, done.stderr
    assert executed(trapped) == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_program_is_run_without_the_current_folder(trapped: Path, version: tuple[int, int]) -> None:
    program = "import sys, random, signal, numpy, rclpy, yaml\nprint(sys.argv[1:])"
    done = subprocess.run(program_command(program, "a", version=version), cwd=trapped, capture_output=True, text=True)
    assert done.stdout.strip() == "['a']" and executed(trapped) == "", done.stderr


def test_an_empty_entry_of_the_path_is_the_current_folder_and_goes(trapped: Path) -> None:
    given = os.environ | {"PYTHONPATH": f":{trapped.parent}:"}
    assert safe_environment(given)["PYTHONPATH"] == str(trapped.parent)
    assert "PYTHONPATH" not in safe_environment({"PYTHONPATH": ":"})
    command = program_command("import yaml, random")
    subprocess.run(command, cwd=trapped, env=safe_environment(given), check=True)
    assert executed(trapped) == ""
    subprocess.run(command, cwd=trapped, env=given, check=True)
    assert executed(trapped), "without it the entry counts"


def test_nodes_are_given_such_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f":{PACKAGE.parent}")
    assert child_environment(7)["PYTHONPATH"] == str(PACKAGE.parent)
    assert child_environment(7)["PYTHONSAFEPATH"] == "1"


def test_workers_import_nothing_from_there_either(trapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trapped)
    with LocalWorkers(1) as workers:
        assert workers.map(len, ["abc"]) == [3]
    assert executed(trapped) == "" and Path.cwd() == trapped and os.environ.get("PYTHONSAFEPATH") is None


def test_no_other_place_of_the_package_starts_python() -> None:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "executable" and isinstance(node.value, ast.Name):
                assert node.value.id != "sys" or file.name == "interpreter.py", file
