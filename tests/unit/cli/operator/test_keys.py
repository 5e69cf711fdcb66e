"""`sealflow keys`: certificates, passwords and signing keys, made, listed and rotated."""

from __future__ import annotations

import shutil
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealflow.operator.components import ClusterNames
from sealflow.operator.key_folder import create_credentials, write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.command_line import RunCommand


@pytest.fixture(scope="module")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all keys, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("made") / "keys"
    files = create_credentials(ClusterNames(deployment="test"), datetime.now(UTC), kubernetes=False)
    write_tree(folder, files, replace=False)
    return folder


@pytest.fixture
def keys(made_keys: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(made_keys, tmp_path / "keys")


def test_keys_are_made(run: RunCommand, tmp_path: Path) -> None:
    """A folder of keys is made once, private; what is said names files, never their content."""
    folder = tmp_path / "keys"
    made_now = run("keys", "make", folder, "--host", "gateway=inference.example", "--json")
    assert made_now.code == 0
    written = made_now.json["written"]
    assert {"keys/gateway/tls.crt", "keys/gateway/tls.key"} <= set(written)
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    again = run("keys", "make", folder)
    assert again.code == 2
    assert str(folder) in again.err


def test_keys_are_listed(run: RunCommand, made_keys: Path) -> None:
    """Certificates and their ends, as a table and as a document."""
    [gateway] = [
        each
        for each in run("keys", "list", made_keys, "--json").json["certificates"]
        if each["path"].endswith("gateway/tls.crt")
    ]
    assert gateway["days_left"] > 30
    shown = run("keys", "list", made_keys)
    assert gateway["ends"] in shown.out
    assert "rotate" not in shown.out


@pytest.mark.parametrize("what", ["certificates", "passwords", "authorities"])
def test_keys_are_rotated(run: RunCommand, keys: Path, what: str) -> None:
    """What is rotated is said, and only that is written anew."""
    before = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    done = run("keys", "rotate", what, keys, "--json")
    after = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    changed = {str(path.relative_to(keys)) for path in after if before.get(path) != after[path]}
    assert set(done.json["written"]) == changed
    assert changed


def test_what_was_written(run: RunCommand, keys: Path) -> None:
    """People are told which files are new, and to keep the authorities elsewhere."""
    shown = run("keys", "rotate", "passwords", keys).out
    assert "password/gateway/" in shown
    assert "Keep ca/ away from the cluster" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("rotate", "certificates", "{folder}", "--component", "cow"),
            "--component cow: unknown; components are",
        ),
        (("rotate", "authorities", "{folder}", "--component", "gateway"), "omit --component"),
        (("make", "{folder}/new", "--host", "x"), "write it as COMPONENT=HOST"),
        (("make", "{folder}/new", "--deployment", "a b"), "--deployment: "),
        (("list", "{folder}/absent"), "absent"),
        (("owner", "{folder}/absent/key"), "absent/key"),
        (("enclave", "{folder}/absent/key"), "absent/key"),
    ],
)
def test_keys_that_cannot_be(
    run: RunCommand, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    """What cannot be done is said with what would work."""
    done = run("keys", *(word.format(folder=tmp_path) for word in words))
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("kind", "name"), [("owner", "signer"), ("enclave", "mr_signer")])
def test_single_keys(run: RunCommand, tmp_path: Path, kind: str, name: str) -> None:
    """One key in one private file; its public name is printed, and no other key is overwritten."""
    path = tmp_path / "key"
    said = run("keys", kind, path, "--json").json
    assert said["path"] == str(path)
    assert len(bytes.fromhex(said[name])) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert run("keys", kind, path).code == 2
    assert path.read_bytes() == content
    assert name in run("keys", kind, tmp_path / "other").out
