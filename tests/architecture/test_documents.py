"""Pages point at what exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.host.engine.config import EngineConfig
from sealflow.host.gateway.config import GatewayConfig
from sealflow.host.gateway.service import GatewayService
from sealflow.host.keybroker_host.config import KeyBrokerHostConfig

if TYPE_CHECKING:
    from sealflow.host.settings import BrokerSettings

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


def named(page: str, *headings: str) -> set[str]:
    """The settings in the tables below some headings of a reference page."""
    sections = (ROOT / "docs" / "reference" / page).read_text().split("\n## ")
    rows = [line for text in sections for line in text.splitlines()
            if text.partition("\n")[0] in headings and line.startswith("| `")]  # fmt: skip
    first = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    return first | {name for row in rows for name in re.findall(r"`(broker_\w+)`", row)}


@pytest.mark.parametrize(
    ("config", "page", "headings"),
    [
        (GatewayConfig, "gateway.md", ["Settings"]),
        (EngineConfig, "settings.md", ["Both", "Engine"]),
        (KeyBrokerHostConfig, "settings.md", ["Both", "Key broker host"]),
    ],
)
def test_settings(config: type[BrokerSettings], page: str, headings: list[str]) -> None:
    """A process's page lists all of its settings, and no other."""
    assert named(page, *headings) == set(config.__struct_fields__)


def test_routes() -> None:
    """The gateway's page lists all of its routes, and no other."""
    config = GatewayConfig(deployment="shop", broker_url="unix:///nowhere")
    routes = GatewayService(config, url="http://127.0.0.1:8470").gateway.routes
    page = (ROOT / "docs" / "reference" / "gateway.md").read_text().split("\n## ")[0]
    listed = set(re.findall(r"\b((?:GET|POST|PUT) /[\w/{}]+)", page))
    assert listed == {f"{each.method} {each.path}" for each in routes}


def test_make_targets() -> None:
    """Every `make` command that a page shows is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = "".join(re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
        asked = set(re.findall(r"^make ([a-z0-9-]+)", text, re.MULTILINE))
        assert asked <= targets, page
