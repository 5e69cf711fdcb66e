"""Pages point at what exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
)
PAGES = sorted(LISTED.stdout.split())


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    """Every relative link of a page leads to a file or folder."""
    path = ROOT / page
    targets = [each for each in LINK.findall(path.read_text()) if "://" not in each]
    assert [each for each in targets if not (path.parent / each).exists()] == []


def test_make_targets() -> None:
    """Every `make` command that a page shows is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = "".join(re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
        asked = set(re.findall(r"^make ([a-z0-9-]+)", text, re.MULTILINE))
        assert asked <= targets, page
