# SPDX-License-Identifier: Apache-2.0
"""The register of what a reader sees: plain words, the sections a README has, and its length."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = sorted((ROOT / "safe_transfer_ros").rglob("*.py"))

# A pattern, and what to write in its place.
WORDS = {
    r"\bmend(s|ed|ing)?\b": "fix, repair or correct",
    r"\bwhat came of\b": "result",
    r"\beverybody who must\b": "the required subscribers",
    r"\bear for\b": "subscription to",
    r"\bas (seldom|rarely) as may be\b": "with as few ... as possible",
    r"\bsomebody else's recording\b": "a recording of another stack",
    r"\b(rows?|lines?|steps|failures|episodes|unsafe|file|1) an? (episode|iteration|epoch|column|change)\b": "per",
}
# A docstring begins with a verb or a noun phrase: "Reason why ...", "Result of ...", "Process ...".
OPENINGS = re.compile(r"(What|Why|Where|Which|Who|How|Take in|Go on)\b")
SECTIONS = ["Installation", "Quick start", "Documentation", "License"]
README_LINES = 75  # a screen and a half: everything else is in the manual


@pytest.mark.parametrize("pattern, instead", WORDS.items())
def test_a_reader_is_told_in_plain_words(pattern: str, instead: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {' '.join(match.group().split())}"
        for path in (*PAGES, *SOURCES)
        for text in (path.read_text(),)
        for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE)
    ]
    assert not found, f"say '{instead}' instead"


def test_a_docstring_begins_with_a_verb_or_a_noun_phrase() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.body[0].lineno}: {text.splitlines()[0]}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if (text := ast.get_docstring(node)) and OPENINGS.match(text)
    ]
    assert not found


def test_the_readme_has_the_sections_that_readers_expect() -> None:
    assert re.findall(r"^## (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE) == SECTIONS


def test_the_readme_is_short_and_leads_to_the_manual() -> None:
    """Every page is in the manual's contents: test/test_manual.py, which checks the links, too."""
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= README_LINES
    contents = (ROOT / "docs" / "index.md").read_text()
    captions = re.findall(r"^:caption: (.+)$", contents, re.MULTILINE)
    assert captions == re.findall(r"^\| \*\*(.+)\*\* \|", readme, re.MULTILINE)
