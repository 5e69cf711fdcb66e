"""The wheel of the release before is what its name says."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
import subprocess
import zipfile
from email.parser import Parser

import pytest

from tests.compat.previous import FOLDER, kept_wheel
from tests.support.hosts.python_environments import ROOT

WHEEL = kept_wheel()
_, VERSION, TAG, _ = WHEEL.name.split("-", 3)
COMMIT = TAG.removeprefix("0g")
METADATA = f"sealflow-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The content of the wheel."""
    with zipfile.ZipFile(WHEEL) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_digest() -> None:
    """Its bytes are those of the file beside it, and it is small."""
    digest = hashlib.sha256(WHEEL.read_bytes()).hexdigest()
    assert (FOLDER / f"{WHEEL.name}.sha256").read_text() == f"{digest}  {WHEEL.name}\n"
    assert WHEEL.stat().st_size < 2**20


def test_name(files: dict[str, bytes]) -> None:
    """Version and commit in its name are those of its metadata."""
    metadata = Parser().parsestr(files[f"{METADATA}/METADATA"].decode())
    assert (metadata["Name"], metadata["Version"]) == ("sealflow", VERSION)
    assert f'__version__ = "{VERSION}"\n'.encode() in files["sealflow/__init__.py"]
    assert re.fullmatch(r"0g[0-9a-f]{9,40}", TAG)
    assert Parser().parsestr(files[f"{METADATA}/WHEEL"].decode())["Build"] == TAG


def test_record(files: dict[str, bytes]) -> None:
    """Its record lists each of its files with its hash, and no other."""
    rows = list(csv.reader(io.StringIO(files[f"{METADATA}/RECORD"].decode())))
    assert [name for name, _, _ in rows] == list(files)
    for name, digest, size in rows:
        if name != f"{METADATA}/RECORD":
            found = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode()
            assert (digest, size) == (f"sha256={found.rstrip('=')}", str(len(files[name])))


def test_commit(files: dict[str, bytes]) -> None:
    """Its modules are those of the commit, where the history of this checkout has it."""
    modules = {name: data for name, data in files.items() if name.startswith("sealflow/")}
    git = shutil.which("git") or ""
    listed = subprocess.run(
        (git or "/bin/false", "ls-tree", "-r", COMMIT, "src/sealflow/"),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip(f"no commit {COMMIT} here: the checkout has no whole history")
    blobs = {}
    for line in listed.stdout.splitlines():
        facts, _, path = line.partition("\t")
        if not path.endswith("ruff.toml"):
            blobs[path.removeprefix("src/")] = facts.split()[2]
    assert {name: blob_id(data) for name, data in modules.items()} == blobs


def blob_id(data: bytes) -> str:
    """Return the id that git gives to the content of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
