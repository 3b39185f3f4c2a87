# SPDX-License-Identifier: Apache-2.0
"""Write docs/equations.md: which function implements which equation of the papers, and which test checks it.

    .venv/bin/python scripts/equation_index.py

An entry is a function, class or module whose docstring cites an equation, an algorithm or an appendix by a paper's
short name ("PSPT Eq. 22-23"). A test checks it if it imports the function or, for a module, the module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "safe_transfer_ros"
ROOMS = (
    "safety",
    "algorithms",
    "critics",
    "learning",
    "tasks",
    "transfer",
)  # where equations are implemented, not told
TARGET = ROOT / "docs" / "equations.md"
PAPERS = {
    "PSPT": "Probabilistically Safe Policy Transfer (Held et al. 2017)",
    "SQRL": "Learning to be Safe: Deep RL with a Safety Critic (Srinivasan et al. 2020)",
    "CSC": "Conservative Safety Critics for Exploration (Bharadhwaj et al. 2021)",
    "CST": "Constrained reinforcement learning from low-stakes to high-stakes environments",
    "DARL": "Safety Correction from Baseline: Dual-agent RL (Zhang et al. 2022)",
}
NUMBERS = r"\d+(?:\s*(?:-|,|and)\s*\d+)*"
CITATION = re.compile(
    rf"\b({'|'.join(PAPERS)})'?s?\s+((?:Eq\.\s*{NUMBERS}|Algorithm\s+\d+|App\.\s*[A-Z])(?:,\s*\d+(?:-\d+)?)*)"
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One implementation of one passage of a paper."""

    paper: str
    passage: str
    name: str
    module: str
    tests: tuple[str, ...]


def entries() -> list[Entry]:
    """Every citation in the package, in the order of the papers and of their equations."""
    tests = list(_imports_of_tests())
    found = set()
    for file in sorted(file for room in ROOMS for file in (PACKAGE / room).rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for name, text in _docstrings(ast.parse(file.read_text(encoding="utf-8"))):
            top = name.split(".")[0]
            for paper, passage in CITATION.findall(" ".join(text.split())):
                checked = tuple(sorted({test for test, names in tests if _imports(names, module, top)}))
                found.add(
                    Entry(paper=paper, passage=" ".join(passage.split()), name=name, module=module, tests=checked)
                )
    order = list(PAPERS)
    return sorted(found, key=lambda one: (order.index(one.paper), _place(one.passage), one.module, one.name))


def _imports(names: set[str], module: str, top: str) -> bool:
    return (
        f"{module}.{top}" in names if top else module in names or any(name.startswith(f"{module}.") for name in names)
    )


def _place(passage: str) -> tuple[str, int, str]:
    number = re.search(r"\d+", passage)
    return passage[:3], int(number.group()) if number else 0, passage


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Qualified name and docstring of the module ("") and of everything in it."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}".lstrip(".")
                yield name, ast.get_docstring(child) or ""
                if isinstance(child, ast.ClassDef):
                    yield from walk(child, name)

    yield "", ast.get_docstring(tree) or ""
    yield from walk(tree, "")


def _imports_of_tests() -> Iterator[tuple[str, set[str]]]:
    for file in sorted((ROOT / "test").rglob("test_*.py")):
        names = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        yield str(file.relative_to(ROOT)), names


def document() -> str:
    """The page."""
    lines = [
        "# Equation index",
        "",
        "Paper equation -> function -> test, from the docstrings. Written by `scripts/equation_index.py`; a test holds",
        "it to the code.",
    ]
    paper = ""
    for entry in entries():
        if entry.paper != paper:
            paper = entry.paper
            lines += ["", f"## {paper}", "", PAPERS[paper] + ".", "", "| passage | implemented by | checked by |"]
            lines += ["|---|---|---|"]
        where = f"`{entry.module.removeprefix('safe_transfer_ros.')}`"
        what = f"`{entry.name}` in {where}" if entry.name else where
        shown = ", ".join(f"`{test}`" for test in entry.tests[:3]) + (", ..." if len(entry.tests) > 3 else "")
        lines.append(f"| {entry.passage} | {what} | {shown or 'no test imports it'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    print(TARGET.relative_to(ROOT))
