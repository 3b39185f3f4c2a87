# SPDX-License-Identifier: Apache-2.0
"""The register of what a reader sees: plain words, the sections a README has, every page of docs/ linked from it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = sorted((ROOT / "safe_transfer_ros").rglob("*.py"))

# What was said once, and what is said instead.
WORDS = {
    r"\bmend(s|ed|ing)?\b": "fix, repair or correct",
    r"\bwhat came of\b": "the result, the outcome",
    r"\bwho must hear\b": "the nodes that must receive it",
    r"\bear for\b": "subscription to",
    r"\b(once|twice|times|seconds|decisions|steps|failures|cost) an? (second|episode|iteration|epoch)\b": "per ...",
    r"\b(row|line|file|folder|episodes|section) an? (iteration|episode|epoch|column|change|node|finding)\b": "per ...",
}
SECTIONS = [
    "Installation",
    "Quick start",
    "Run directory",
    "Pre-training",
    "Gymnasium environments",
    "Reproducing the paper's figures",
    "Safe exploration",
    "Documentation",
    "License",
]


@pytest.mark.parametrize("pattern, instead", WORDS.items())
def test_a_reader_is_told_in_plain_words(pattern: str, instead: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {' '.join(match.group().split())}"
        for path in (*PAGES, *SOURCES)
        for text in (path.read_text(),)
        for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE)
    ]
    assert not found, f"say '{instead}' instead"


def test_the_readme_has_the_sections_that_readers_expect() -> None:
    assert re.findall(r"^## (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE) == SECTIONS


def test_the_readme_links_every_page_of_the_documentation() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = sorted((ROOT / "docs").rglob("*.md"))
    assert pages
    assert not [page.name for page in pages if f"({page.relative_to(ROOT)})" not in readme]


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
