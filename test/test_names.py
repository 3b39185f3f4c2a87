# SPDX-License-Identifier: Apache-2.0
"""Names in docstrings, comments and pages: modules, what is in them, parameters and files exist under that name."""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from safe_transfer_ros.parameters.sections import SECTIONS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "safe_transfer_ros"
SOURCES = sorted(path for room in (PACKAGE, ROOT / "benchmarks", ROOT / "examples") for path in room.rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "test").rglob("*.py") if path != Path(__file__))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

MODULES = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
ROOMS = {parts[0] for parts in MODULES}
ENTRY_POINT_GROUPS = {"tasks", "robots", "methods", "learners", "graphs"}  # behind the package's name
NOT_OURS = {"stat"}  # of MuJoCo's mjModel
EXAMPLES = {"yaml.py", "config/x.yaml"}  # no file, but what one may be called

DOTTED = re.compile(r"(?<![\w`])`{1,2}(safe_transfer_ros\.)?([A-Za-z]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`{1,2}")
PARAMETER = re.compile(rf"\b({'|'.join(SECTIONS)})\.(\w+)(?!\w*/)")
FILE_NAME = r"\w+\.py|(?:\w[\w-]*/)+[\w.-]+\.(?:py|md|xml|yaml|sh|msg|srv|csv)"
FILE = re.compile(rf"(?<![\w./<>{{}}*$-])(?:{FILE_NAME})\b(?![\w/({{*<])")
SUFFIXES = {"csv", "html", "json", "log", "md", "png", "py", "safetensors", "toml", "yaml"}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(pattern: re.Pattern[str], paths: list[Path]) -> Iterator[tuple[Path, str, re.Match[str]]]:
    """File, place in words and match of everything that a pattern finds in files."""
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            place = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            yield path, f"{place}: {match[0]}", match


def members(body: list[ast.stmt]) -> set[str]:
    """Names that a module's or a class's statements define."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            found |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found


@functools.cache
def classes() -> dict[str, list[ast.ClassDef]]:
    """Every class of the package, by name."""
    found: dict[str, list[ast.ClassDef]] = {}
    for path in MODULES.values():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


def has_attribute(name: str, attribute: str) -> bool:
    """Whether a class of that name, or what it is made from, has an attribute; of a stranger's class it may."""
    for defined in classes().get(name, []):
        own = {part.attr for part in ast.walk(defined) if isinstance(part, ast.Attribute)}
        bases = [base for base in map(ast.unparse, defined.bases) if not base.startswith(("Protocol", "Generic"))]
        if attribute in own | members(defined.body) or any(has_attribute(base, attribute) for base in bases):
            return True
    return name not in classes()


def leads_somewhere(parts: tuple[str, ...]) -> bool:
    """Whether a name from the package's top is a room, a module, or something in one."""
    for length in range(len(parts), 0, -1):
        path = MODULES.get(parts[:length]) or MODULES.get((*parts[:length], "__init__"))
        if path is not None:
            rest = parts[length:]
            there = not rest or rest[0] in members(parsed(path).body)
            return there and (len(rest) < 2 or has_attribute(rest[0], rest[1]))
    return False


def is_there(path: Path, parts: tuple[str, ...], *, from_the_top: bool) -> bool:
    """Whether a dotted name in a file leads to something of ours, or of the code beside it."""
    if parts[-1] in SUFFIXES or parts[0] in NOT_OURS:
        return True
    if from_the_top or parts[0] in ROOMS:
        return parts[0] in ENTRY_POINT_GROUPS if len(parts) == 1 else leads_somewhere(parts)
    if parts[0] in SECTIONS and parts[1] in {field.name for field in dataclasses.fields(SECTIONS[parts[0]])}:
        return True  # a parameter of a node
    if path.suffix != ".py":
        return True  # pages name parameters, messages and other packages, too
    modules = [found for found in MODULES if found[-1] == parts[0]]
    if any(leads_somewhere((*found, *parts[1:])) for found in modules):
        return True
    if parts[0] in classes():
        return has_attribute(parts[0], parts[1])
    code = list(ast.walk(parsed(path)))
    names = {part.id for part in code if isinstance(part, ast.Name)}
    return parts[0] in names | {part.arg for part in code if isinstance(part, ast.arg)}


def test_a_dotted_name_leads_to_something_that_is_there() -> None:
    assert not [
        place
        for path, place, match in named(DOTTED, [*SOURCES, *TESTS, *PAGES])
        if not is_there(path, tuple(match[2].split(".")), from_the_top=bool(match[1]))
    ]


def test_a_parameter_that_a_page_names_is_one_of_the_node() -> None:
    names = {section: {field.name for field in dataclasses.fields(SECTIONS[section])} for section in SECTIONS}
    found = [(place, match) for _, place, match in named(PARAMETER, PAGES) if match[2] not in SUFFIXES]
    assert found
    assert not [place for place, match in found if match[2] not in names[match[1]]]


def test_a_file_that_a_text_names_is_there() -> None:
    tops = [path for path in ROOT.iterdir() if path.name[0] != "." and path.name not in ("build", "install", "runs")]
    files = {f"/{path.relative_to(ROOT)}" for top in tops for path in (top, *top.rglob("*"))}
    own_examples = {path: set(re.findall(r"^(?:#|<!--) (\S+)", path.read_text(), re.MULTILINE)) for path in PAGES}
    assert not [
        place
        for path, place, match in named(FILE, [*SOURCES, *PAGES])
        if match[0] not in EXAMPLES | own_examples.get(path, set())
        and not any(name.endswith(f"/{match[0]}") for name in files)
    ]
