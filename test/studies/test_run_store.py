# SPDX-License-Identifier: Apache-2.0
"""What a finished run is held against: our code, and the packages of others that made its numbers."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import safe_transfer_ros
from safe_transfer_ros import resources
from safe_transfer_ros.studies.run_store import ROOMS, code_digest

PACKAGE = Path(safe_transfer_ros.__file__).parent


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "digested"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "part.py").write_text("ONE = 1\n")
    (tmp_path / "digested_alone.py").write_text("ONE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def digest(*modules: str) -> str:
    code_digest.cache_clear()
    return code_digest(*modules)


def test_the_digest_is_that_of_every_file_of_the_packages_given(package: Path) -> None:
    before = {names: digest(*names) for names in ((), ("digested.part",), ("digested",), ("digested_alone",))}
    assert before[("digested.part",)] == before[("digested",)] == digest("digested", "digested.part")
    assert len({*before.values()}) == 3
    (package / "digested" / "other.py").write_text("TWO = 2\n")
    (package / "digested_alone.py").write_text("ONE = 2\n")
    after = {names: digest(*names) for names in before}
    assert after[()] == before[()]
    assert all(after[names] != before[names] for names in before if names)


def test_what_is_made_of_no_files_counts_for_nothing() -> None:
    assert digest("sys") == digest("no_such_package") == digest()


def loaded(start: Path) -> set[Path]:
    """Files of our package that these import, also within a function, or name as "module:thing"; and what those do."""
    waiting, found = list(start.rglob("*.py")), set()
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name in filter(re.compile(r"safe_transfer_ros\.[\w.]+").fullmatch, _named(file)):
            at = PACKAGE.joinpath(*name.split(".")[1:])
            waiting += [path for path in (at.with_suffix(".py"), at / "__init__.py") if path.is_file()]
    return found


def _named(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.partition(":")[0]


def test_no_room_that_a_study_loads_is_missing_from_the_digest() -> None:
    files = {file.relative_to(PACKAGE) for file in loaded(PACKAGE / "studies")}
    assert {Path("bags/transition_store.py"), Path("safety/filter/envelope.py"), Path("files.py")} <= files
    assert {file.parts[0] for file in files if len(file.parts) > 1} <= set(ROOMS)
    assert all((PACKAGE / room).is_dir() for room in ROOMS)


@pytest.mark.parametrize("changed", ["bags/transition_store.py", "files.py", "urdf/pr2_left_arm.urdf"])
def test_the_digest_changes_with_what_a_study_loads(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "safe_transfer_ros"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(resources.path("urdf"), tmp_path / "urdf")
    monkeypatch.setattr(safe_transfer_ros, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(resources, "path", tmp_path.joinpath)
    before = digest()
    file = package / changed if changed.endswith(".py") else tmp_path / changed
    file.write_text(file.read_text() + "\n")
    assert digest() != before
