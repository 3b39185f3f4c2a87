# SPDX-License-Identifier: Apache-2.0
"""The manual: it builds without a warning, and every link, anchor and picture in it is there. Offline."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BESIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "QUALITY_DECLARATION.md")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual as `make docs` builds it."""
    place = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", str(DOCS), str(place)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return place


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id" and value:
                self.anchors.add(value)


def broken(pages: dict[Path, Page]) -> list[str]:
    """Links that lead nowhere, with the page that has them."""
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and anchor not in pages[target].anchors):
                found.append(f"{path.name}: {link}")
    return found


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 30
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert not broken(pages)


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#there"></a><a href="b.html#gone"></a><img src="no.png">')
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="https://elsewhere.org/x.html"></a>')
    pages = {path: Page(path) for path in tmp_path.iterdir()}
    assert broken(pages) == ["a.html: b.html#gone", "a.html: no.png"]


def test_every_page_is_in_the_manual(site: Path) -> None:
    """Sphinx warns of a page that no table of contents names; this one has them all."""
    sources = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    contents = Page(site / "index.html").links
    assert not [str(name) for name in sources if str(name) != "index" and f"{name}.html" not in contents]


@pytest.mark.parametrize("page", BESIDE, ids=lambda page: page.name)
def test_links_beside_the_manual_lead_somewhere(page: Path) -> None:
    """Read on GitHub, not in the site: an anchor is a heading's, as GitHub makes it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = page.parent / parts.path if parts.path else page
        assert target.exists(), f"{page.name}: {link}"
        if parts.fragment:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert parts.fragment in slugs, f"{page.name}: {link}"
