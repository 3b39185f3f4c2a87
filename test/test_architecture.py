# SPDX-License-Identifier: Apache-2.0
"""The floors of docs/architecture.md: imports go down only, and the heart stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import safe_transfer_ros

PACKAGE = Path(safe_transfer_ros.__file__).parent

# The rooms from the ground up: each may import from those in the sets named, and from nothing above.
TASKS = {"tasks", "robots", "safety"}
RECORD = {"record", "bags", "policies"} | TASKS
LEARNING = {"learning", "algorithms", "policies"} | RECORD
METHODS = {"transfer", "critics"} | LEARNING
PLUMBING = {"middleware", "parameters"}

# Room -> the rooms it may import from; the modules at the package's root serve all.
MAY_IMPORT = {
    "safety": set(),
    "franka": {"safety"},
    "robots": set(),
    "policies": set(),
    "algorithms": {"policies"},
    "tasks": TASKS,
    "display": TASKS,
    "bags": TASKS,
    "record": RECORD,
    "learning": LEARNING,
    "critics": LEARNING | {"parameters"},
    "transfer": METHODS,
    "studies": METHODS,
    "parameters": TASKS,
    "middleware": PLUMBING | TASKS | {"display", "franka"},
    "reporting": {"studies"} | METHODS,
    "nodes": METHODS | PLUMBING | {"display", "franka"},
    "commissioning": PLUMBING | TASKS,
    "launching": {"commissioning", "franka", "nodes"} | METHODS | PLUMBING,
    "faults": {"launching", "nodes", "bags"} | TASKS | PLUMBING,
    "cli": {"commissioning", "faults", "franka", "launching", "nodes", "reporting", "studies"} | METHODS | PLUMBING,
}
MAY_KNOW_ROS = {"nodes", "middleware", "commissioning", "launching", "faults"}
NO_ROS = set(MAY_IMPORT) - MAY_KNOW_ROS
ROS = ("rclpy", "rcl_interfaces", "launch", "launch_ros", "safe_transfer_msgs", "sensor_msgs", "std_msgs")


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def test_every_room_has_its_floor() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_go_down_only(room: str) -> None:
    for file in files(room):
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "safe_transfer_ros" and len(parts) > 1 and parts[1] in MAY_IMPORT:
                assert parts[1] in MAY_IMPORT[room] | {room}, f"{file} imports {name}"


@pytest.mark.parametrize("room", sorted(NO_ROS))
def test_the_core_knows_no_ros(room: str) -> None:
    for file in files(room):
        assert not {name for name in imports(file) if name.split(".")[0] in ROS}, file


BESIDE_THE_MOTORS = [
    "safety_filter",
    "controller_supervisor",
    "franka_robot",
    "policy_server",
    "unsafety_monitor",
    "bag_recorder",
]
# Parts of scipy, each slower to import than numpy; what needs scipy.special loads it where it begins to.
SLOW = {"scipy.special", "scipy.spatial", "scipy.stats", "scipy.linalg", "scipy.optimize"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (f"nodes.{node}", {"torch", "mujoco", "gymnasium", "matplotlib", "onnxruntime"} | SLOW)
        for node in BESIDE_THE_MOTORS
    ]
    + [("nodes.trainer", SLOW), ("nodes.mujoco_sim", SLOW)]
    + [("cli.run", {"torch", "gymnasium", "matplotlib"} | SLOW)],  # who starts a graph should not wait
)
def test_processes_without_a_need_for_it_are_light(module: str, heavy: set[str]) -> None:
    program = (
        f"import sys, safe_transfer_ros.{module}; heavy = {heavy} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count: a circle that is only hidden is one."""
    files_ = sorted(PACKAGE.rglob("*.py"))
    known = {module_of(file) for file in files_}
    graph = {
        module_of(file): {
            found
            for name in imports(file)
            for found in (name, name.rpartition(".")[0])
            if found in known and found != module_of(file) and not module_of(file).startswith(f"{found}.")
        }
        for file in files_
    }
    assert len(graph) > 200
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in finished:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


def test_no_folder_holds_more_than_a_tenth_of_the_code() -> None:
    """Rooms that grew have rooms of their own, as safety/ has filter/, limit/, critic/ and supervisor/."""
    lines: dict[Path, int] = {}
    for file in PACKAGE.rglob("*.py"):
        lines[file.parent] = lines.get(file.parent, 0) + len(file.read_text().splitlines())
    largest = max(lines, key=lambda folder: lines[folder])
    assert lines[largest] < 0.1 * sum(lines.values()), f"{largest}: {lines[largest]} of {sum(lines.values())} lines"
