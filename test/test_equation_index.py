# SPDX-License-Identifier: Apache-2.0
"""docs/equations.md says what the docstrings say, and rules and updates that implement an equation have a test."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def index() -> ModuleType:
    spec = importlib.util.spec_from_file_location("equation_index", ROOT / "scripts" / "equation_index.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(index: ModuleType) -> None:
    written = (ROOT / "docs" / "equations.md").read_text()
    assert written == index.document(), "run .venv/bin/python scripts/equation_index.py"


def test_rules_and_updates_that_implement_an_equation_are_tested(index: ModuleType) -> None:
    found = index.entries()
    assert {"PSPT", "SQRL", "CSC"} <= {entry.paper for entry in found} and len(found) > 10
    untested = [
        f"{entry.module}.{entry.name}"
        for entry in found
        if not entry.tests and entry.module.split(".")[1] in ("safety", "algorithms")
    ]
    assert untested == []
