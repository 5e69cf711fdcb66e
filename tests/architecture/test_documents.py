"""Pages point at what exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sealflow.host.gateway.config import GatewayConfig

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED = re.compile(r"`((?:bench|deploy|examples|requirements|src|tests|tools)/[\w./-]+)")
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],  # noqa: S607
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
)
PAGES = sorted(LISTED.stdout.split())
FIELDS = GatewayConfig.__struct_fields__


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    """Every relative link of a page leads to a file or folder."""
    path = ROOT / page
    targets = [each for each in LINK.findall(path.read_text()) if "://" not in each]
    assert [each for each in targets if not (path.parent / each).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_paths(page: str) -> None:
    """Every path of the repository that a page names in passing is there."""
    named = NAMED.findall((ROOT / page).read_text())
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_settings_of_the_gateway() -> None:
    """The gateway's page lists all of its settings, and no other."""
    page = (ROOT / "docs" / "reference" / "gateway.md").read_text().partition("## Settings")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} >= set(FIELDS)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])} <= set(
        FIELDS
    )


def test_make_targets() -> None:
    """Every `make` command that a page shows is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = "".join(re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
        asked = set(re.findall(r"^make ([a-z0-9-]+)", text, re.MULTILINE))
        assert asked <= targets, page
