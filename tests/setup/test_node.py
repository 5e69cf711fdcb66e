"""The packages of the JavaScript client: installed from their lock, or left out with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.setup import node
from tools.setup.installer import InstallError

if TYPE_CHECKING:
    from pathlib import Path


def _program(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "fits"), [("v20.19.0", True), ("v26.1.2", True), ("v20.18.9", False), ("", False)]
)
def test_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, fits: bool
) -> None:
    """A Node.js that is new enough is taken; without one, a sentence says what is left out."""
    _program(tmp_path, "node", f"echo {version}")
    _program(tmp_path, "npm", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (node.find() is not None) == fits
    assert ("tests of the JavaScript client are skipped" in node.missing()) != fits


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node.js alone installs nothing."""
    _program(tmp_path, "node", "echo v22.1.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.find() is None


def test_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What npm says is wrong is said in one sentence."""
    _program(
        tmp_path,
        "npm",
        "echo 'npm error code EINTEGRITY'; echo 'npm error sha512-x integrity checksum failed'; "
        "echo 'npm error A complete log of this run is elsewhere'; exit 1",
    )
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(InstallError, match=r"lock\.json: sha512-x integrity checksum failed$"):
        node.install(tmp_path)


def test_what_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No code of a package runs, and what the cache holds is not fetched."""
    _program(tmp_path, "npm", f'echo "$@" > {tmp_path}/asked')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    node.install(tmp_path / "client")
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["ci", "--ignore-scripts", "--prefer-offline", "--prefix", f"{tmp_path}/client"]
