# SPDX-License-Identifier: Apache-2.0
"""Names are looked up in one way, and another package can add its own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from safe_transfer_ros.cli.run import GRAPHS, pick_graph
from safe_transfer_ros.configuration import ConfigurationError
from safe_transfer_ros.registry import Registry, UnknownNameError
from safe_transfer_ros.robots.description import ROBOTS

GROUP = "safe_transfer_ros.test_registry"


def known(*names: str, group: str | None = None) -> Registry[object]:
    registry: Registry[object] = Registry("task", group=group)
    for name in names:
        registry.add(name, object())
    return registry


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package as pip installs it: a module, and entry points in its metadata."""
    about = tmp_path / "outside-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[{GROUP}]\nbroken = outside_broken:THING\nmissing = outside_module:NOTHING\n"
        "sound = outside_module:THING\nours = outside_module:THING\n"
    )
    (tmp_path / "outside_module.py").write_text("THING = ['a thing']\n")
    (tmp_path / "outside_broken.py").write_text("raise OSError('no camera')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("outside_module", "outside_broken"):
        sys.modules.pop(name, None)


def test_a_name_is_known_once_it_is_added_by_a_call_or_a_decorator() -> None:
    registry: Registry[object] = Registry("rule")

    @registry.register("by_decorator")
    def rule() -> None: ...

    thing = object()
    assert registry.add("by_call", thing) is thing
    assert registry["by_call"] is thing and registry["by_decorator"] is rule
    assert registry.names() == ("by_call", "by_decorator") and list(registry) == ["by_decorator", "by_call"]
    assert "by_call" in registry and "other" not in registry and len(registry) == 2
    assert registry.get("other") is None


def test_an_unknown_name_names_the_nearest_and_all() -> None:
    registry = known("push", "swirl")
    with pytest.raises(ConfigurationError) as error:
        registry["swril"]
    assert str(error.value) == "unknown task 'swril': did you mean 'swirl'? known: push, swirl"
    with pytest.raises(UnknownNameError) as error:
        registry["zzz"]
    assert str(error.value) == "unknown task 'zzz': known: push, swirl"


def test_a_name_is_not_taken_twice() -> None:
    registry = known("push")
    with pytest.raises(ValueError, match="a task named 'push' is already registered"):
        registry.add("push", object())
    with pytest.raises(ValueError, match="a task named 'push' is already registered"):
        registry.add("push", registry["push"])


def test_what_the_check_refuses_is_not_known() -> None:
    def check(name: str, thing: int) -> None:
        if thing < 0:
            raise ValueError(f"{name} is negative")

    registry: Registry[int] = Registry("number", check=check)
    with pytest.raises(ValueError, match="one is negative"):
        registry.add("one", -1)
    assert "one" not in registry


def test_another_package_adds_an_entry_and_a_broken_one_takes_down_nothing(outside: Path) -> None:
    registry = known("ours", group=GROUP)
    mine = registry["ours"]
    assert "outside_module" not in sys.modules, "a name of our own loads nothing"
    assert registry["sound"] == ["a thing"]
    assert "outside_broken" not in sys.modules, "another name than the one asked for is left alone"
    with pytest.warns(RuntimeWarning) as told:
        assert registry.names() == ("ours", "sound")
    texts = sorted(str(one.message) for one in told)
    assert len(texts) == 3
    assert texts[0].startswith("the task 'broken' is left out: entry point 'broken = outside_broken:THING' of ")
    assert texts[0].endswith("OSError: no camera")
    assert "'missing' is left out" in texts[1] and "AttributeError" in texts[1]
    assert "'ours' is left out" in texts[2] and "already registered" in texts[2]
    assert registry["ours"] is mine
    with pytest.raises(UnknownNameError, match="the task 'broken' cannot be loaded: .*no camera"):
        registry["broken"]


def test_a_broken_entry_says_why_when_it_is_asked_for_first(outside: Path) -> None:
    registry = known("ours", group=GROUP)
    with (
        pytest.warns(RuntimeWarning, match="'broken' is left out") as told,
        pytest.raises(UnknownNameError, match="the task 'broken' cannot be loaded: .*no camera"),
    ):
        registry["broken"]
    assert len(told) == 1


def test_a_module_that_asks_while_it_is_imported_is_taken_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "early"
    package.mkdir()
    (package / "__init__.py").write_text("import registry_of_test\nSEEN = registry_of_test.NAMES.names()\n")
    (package / "part.py").write_text("THING = 'a thing'\n")
    (tmp_path / "registry_of_test.py").write_text(
        f"from safe_transfer_ros.registry import Registry\nNAMES = Registry('task', group='{GROUP}')\n"
    )
    about = tmp_path / "early-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: early\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\nwhole = early:SEEN\npart = early.part:THING\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        early = importlib.import_module("early")
        names = sys.modules["registry_of_test"].NAMES
        assert early.SEEN == (), "its own entries cannot be there yet, and are not given up"
        assert names.names() == ("part", "whole") and names["part"] == "a thing"
    finally:
        for name in ("early", "early.part", "registry_of_test"):
            sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_a_thing_comes_from_is_known(outside: Path) -> None:
    registry = known("ours", group=GROUP)
    assert registry.module("sound") == "outside_module"
    assert registry.module("ours") is None
    with pytest.raises(UnknownNameError, match="unknown task 'zzz'"):
        registry.module("zzz")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_asking_for_all_names_loads_them_too(outside: Path) -> None:
    assert set(known(group=GROUP)) == {"sound", "ours"}
    assert len(known(group=GROUP)) == 2 and "sound" in known(group=GROUP)


def test_what_is_of_another_kind_is_refused_where_it_is_added() -> None:
    with pytest.raises(ValueError, match="a robot must be RobotFacts of the same name, here 'other'; got RobotFacts"):
        ROBOTS.add("other", ROBOTS["panda"])
    with pytest.raises(ValueError, match="a robot must be RobotFacts .*; got 'panda'"):
        ROBOTS.add("panda_2", "panda")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a graph must be a function that gives a FineTuningGraph, got <"):
        GRAPHS.add("other", pick_graph("panda_push"))  # type: ignore[arg-type]


def test_tasks_methods_robots_and_graphs_are_open_to_other_packages(tmp_path: Path) -> None:
    about = tmp_path / "outside-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    groups = {"tasks": "Swirl", "methods": "METHOD", "robots": "ROBOT", "graphs": "graph"}
    (about / "entry_points.txt").write_text(
        "".join(f"[safe_transfer_ros.{group}]\ntoy = toy:{value}\n" for group, value in groups.items())
    )
    (tmp_path / "toy.py").write_text(
        "import dataclasses\n"
        "from safe_transfer_ros.robots.pr2 import PR2_LEFT_ARM\n"
        "from safe_transfer_ros.tasks.cup_swirl.task import CupSwirl\n"
        "from safe_transfer_ros.transfer.constrained.method import Method\n"
        "from safe_transfer_ros.tasks.task import register\n"
        "@register('toy')\n"
        "class Swirl(CupSwirl): pass\n"
        "METHOD = Method(label='Toy', update='reward')\n"
        "ROBOT = dataclasses.replace(PR2_LEFT_ARM, name='toy')\n"
        "def graph():\n"
        "    from safe_transfer_ros.launching.pr2_cup_swirl import GRAPH\n"
        "    return GRAPH\n"
    )
    program = (
        "from safe_transfer_ros.tasks.task import available, make\n"
        "from safe_transfer_ros.tasks.deployment import in_graph\n"
        "from safe_transfer_ros.transfer.methods import METHODS, method\n"
        "from safe_transfer_ros.robots import description\n"
        "from safe_transfer_ros.cli.run import GRAPHS, pick_graph\n"
        "assert make('toy').name == 'toy' and 'toy' in available() and make('pr2_cup_swirl').name == 'pr2_cup_swirl'\n"
        "assert in_graph('toy').task.name == 'toy'\n"
        "assert method('toy').label == 'Toy' and 'toy' in METHODS\n"
        "assert description.load('toy').joint_count == 7 and 'toy' in description.available()\n"
        "assert pick_graph('toy') is pick_graph('pr2_cup_swirl') and 'toy' in GRAPHS.names()\n"
    )
    finished = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::RuntimeWarning",
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}",
        ],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
