"""What is listed is installed, also from an index that has newer releases by now.

Set-up and pip itself are run against an index on this machine. It has the real releases of a list,
and for several of them a newer one that the list does not know.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.setup import closure
from tests.setup.checkout import ROOT, WHEELS, Checkout, installed, make_with_pip
from tests.setup.loopback import Index, index
from tests.setup.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTS = ROOT / "requirements"
NEWER = ("cachecontrol", "filelock", "packaging", "pip", "requests", "uv", "coverage", "pip-audit")
PIPS = ("23.0.1", "23.2.1", "")
"""Releases of pip; the last one is the listed one, the newest."""


def listed(text: str) -> dict[str, str]:
    """Return what a list pins on this Python, by package."""
    pins = closure.read_list(text)
    return {
        pin.name: pin.version
        for pin in pins
        if pin.requirement.marker is None or pin.requirement.marker.evaluate()
    }


AUDIT = (LISTS / "audit.txt").read_text(encoding="utf-8")
RELEASES = listed(AUDIT)
UV = listed((LISTS / "uv.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Serve the listed releases and newer ones."""
    if not WHEELS.exists():
        pytest.skip("no wheels here: make tools")
    folder = tmp_path_factory.mktemp("index")
    for path in WHEELS.glob("*.whl"):
        shutil.copyfile(path, folder / path.name)
    for each in NEWER:
        make_wheel(folder, each, "999", extras=["filecache", "toml"])
    with index(folder) as served:
        yield served


@pytest.mark.parametrize("pip", PIPS)
def test_set_up(pip: str, newer: Index, tmp_path: Path) -> None:
    """Set-up installs what is listed with each pip, and prints a line for its step alone."""
    checkout = Checkout.copy(tmp_path)
    make_with_pip(checkout.root / ".tools" / "uv", pip)
    before = installed(checkout.root / ".tools" / "uv")
    done = checkout.run("audit", PIP_INDEX_URL=newer.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\.venv-audit: pip-audit … done in \d+ s\n", done.stdout)
    assert installed(checkout.root / ".venv-audit") == RELEASES
    assert installed(checkout.root / ".tools" / "uv") == before | UV


def install_list(
    text: str, pip: str, newer: Index, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Install a list as its readers may: by pip, which resolves it."""
    python = make_with_pip(folder / "environment", pip)
    (folder / "audit.txt").write_text(text, encoding="utf-8")
    (folder / "home").mkdir()
    checkout = Checkout(root=folder, home=folder / "home")
    options = ("--disable-pip-version-check", "--no-compile", "--require-hashes", "-r", "audit.txt")
    return subprocess.run(
        [python, "-m", "pip", "install", *options],
        cwd=folder,
        env=checkout.environment(PIP_INDEX_URL=newer.address),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("pip", PIPS)
def test_pip_alone(pip: str, newer: Index, tmp_path: Path) -> None:
    """So does each pip on its own, without a word of warning."""
    done = install_list(AUDIT, pip, newer, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "WARNING" not in done.stdout
    assert installed(tmp_path / "environment") == RELEASES


def test_a_list_without_an_extra(newer: Index, tmp_path: Path) -> None:
    """A list that lacks an extra is refused here: these tests would notice it."""
    text = AUDIT.replace("cachecontrol[filecache]==", "cachecontrol==")
    assert text != AUDIT
    done = install_list(text, "23.2.1", newer, tmp_path)
    assert done.returncode != 0
    assert "all requirements must have their versions pinned with ==" in done.stderr
    assert "cachecontrol" in done.stderr
