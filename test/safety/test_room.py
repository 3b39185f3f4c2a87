# SPDX-License-Identifier: Apache-2.0
"""safety/ stays what it says: numpy and scipy only, no clock, no input or output, no other room."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import safe_transfer_ros.safety

ROOM = Path(safe_transfer_ros.safety.__file__).parent
ALLOWED = {
    "__future__",
    "array",
    "collections",
    "dataclasses",
    "difflib",
    "json",
    "enum",
    "math",
    "numpy",
    "safe_transfer_ros",
    "scipy",
    "types",
    "typing",
}
FILES = sorted(ROOM.rglob("*.py"))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOM)))
def test_a_rule_imports_nothing_that_could_read_a_clock_or_a_file(file):
    tree = ast.parse(file.read_text())
    for name in imported(tree):
        assert name.split(".")[0] in ALLOWED, f"{file.name} imports {name}"
        if name.startswith("safe_transfer_ros"):
            assert name.startswith("safe_transfer_ros.safety."), f"{file.name} imports {name} from another room"
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input", "exec", "eval", "__import__"}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "random" not in attributes, f"{file.name} draws random numbers"


def test_the_filters_process_stays_light():
    parts = [file.relative_to(ROOM).with_suffix("").parts for file in FILES if file.stem != "__init__"]
    modules = [".".join(("safe_transfer_ros", "safety", *part)) for part in parts]
    heavy = ["torch", "mujoco", "gymnasium", "rclpy", "matplotlib"]
    code = f"import sys, {', '.join(modules)}\nprint([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
