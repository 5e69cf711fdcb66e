"""What README promises to new users, in the words that `make newcomer` and `tools.setup` go by."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools.newcomer import authorities, packages
from tools.setup import pythons

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLASSIFIER = "Programming Language :: Python :: 3."
PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def test_packages_of_the_readme() -> None:
    """Its one line can be read, and holds the programs that a clone and its set-up start."""
    assert set(packages.named(README)) >= {"git", "make", "python3-venv", "ca-certificates"}


@pytest.mark.parametrize("lines", [0, 2])
def test_packages_are_named_once(lines: int) -> None:
    """A README without such a line, or with two, is refused."""
    with pytest.raises(ValueError, match=f"has {lines} lines"):
        packages.named("sudo apt-get install make\n" * lines)


def test_pythons() -> None:
    """README, the package's metadata and `tools.setup` name the same versions."""
    first, last = (pythons.text(pythons.SUPPORTED[each]) for each in (0, -1))
    assert f"Python {first} to {last}" in README
    assert f"Python {first} to {last}" in (ROOT / "CONTRIBUTING.md").read_text()
    assert PROJECT["requires-python"] == f">={first}"
    versions = [each for each in PROJECT["classifiers"] if each.startswith(CLASSIFIER)]
    assert [each.rpartition(" ")[2] for each in versions] == [*map(pythons.text, pythons.SUPPORTED)]
    assert f"runs on Python {' and '.join(map(pythons.text, pythons.FLINK))} only" in README


def test_authorities_that_a_fresh_system_lacks() -> None:
    """A certificate counts as known however its lines are broken."""
    ours = "# a proxy\n" + PEM.format("AAAA\nBBBB") + PEM.format("CCCC")
    assert authorities.lacking(ours, PEM.format("AAAABBBB")) == [PEM.format("CCCC").strip()]
