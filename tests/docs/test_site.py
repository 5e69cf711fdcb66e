"""The documentation site is built without a network, holds every page, and asks no other host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from tools import build_site

ROOT: Final = Path(__file__).resolve().parents[2]
BUILT: Final = ROOT / "build" / "site"
AT_THE_ROOT: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md")
WITHOUT_NETWORK: Final = ("unshare", "--map-root-user", "--net")
LOADING: Final = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}
"""Elements whose addresses a browser fetches by itself."""


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    """Build the site; return its pages."""
    if not build_site.GENERATOR.exists():
        pytest.skip("no .venv-site here: make site")
    possible = (
        shutil.which("unshare")
        and not subprocess.run(
            [*WITHOUT_NETWORK, "true"], capture_output=True, check=False
        ).returncode
    )
    prefix = WITHOUT_NETWORK if possible else ()
    done = subprocess.run(
        [*prefix, sys.executable, ROOT / "tools" / "build_site.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(BUILT.rglob("*.html"))


class Addresses(HTMLParser):
    """Collects what a page has a browser fetch, and what its reader may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of one element."""
        found = {name: value or "" for name, value in attrs}
        values = [found[each] for each in ("src", "srcset", "href", "data") if each in found]
        if tag in LOADING and found.get("rel") != "canonical":
            self.fetched += values
        elif tag == "a":
            self.followed += values


def addresses(page: Path) -> Addresses:
    """Return the addresses of a page."""
    parser = Addresses()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_pages(pages: list[Path]) -> None:
    """Every page of the navigation is built, and holds its text."""
    built = {str(page.relative_to(BUILT)) for page in pages}
    named = {
        re.sub(r"README\.md$", "index.html", each).replace(".md", ".html")
        for each in build_site.navigation()
    }
    assert named <= built
    assert "Send a sealed photo" in (BUILT / "docs" / "tour.html").read_text(encoding="utf-8")


def test_no_other_host(pages: list[Path]) -> None:
    """No page and no style sheet has a browser fetch anything from another host."""
    fetched = {each for page in pages for each in addresses(page).fetched}
    assert len(fetched) > 3
    assert {each for each in fetched if re.match(r"(\w+:)?//", each)} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in BUILT.rglob("*.css"))
    assert "url(" in styles
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", styles) == []


def test_links_of_the_site(pages: list[Path]) -> None:
    """Every link, picture and script of the built pages is a file of the site."""
    missing = [
        (page.name, each)
        for page in pages
        if page.name != "404.html"
        for each in (*addresses(page).followed, *addresses(page).fetched)
        if not re.match(r"[a-z]+:|//|#", each)
        and not (page.parent / each.partition("#")[0]).resolve().exists()
    ]
    assert missing == []


def test_navigation() -> None:
    """Every page of `docs`, and every page at the root, is in the navigation once."""
    named = list(build_site.navigation())
    assert len(named) == len(set(named))
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    assert pages | {*AT_THE_ROOT} <= {*named}


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda p: p.stem)
def test_pictures(picture: Path) -> None:
    """A picture has a title for those who do not see it, and colours for dark pages."""
    text = picture.read_text(encoding="utf-8")
    assert re.search(r"<title>[^<]{10,}</title>", text)
    assert "prefers-color-scheme: dark" in text
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
