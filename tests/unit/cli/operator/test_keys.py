"""Commands that ask nobody: keys, model packages, logs, receipts, policies."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.evidence import Role
from sealflow.documents.revocation import RevokedKind
from sealflow.operator.components import ClusterNames
from sealflow.operator.key_folder import make, write_tree
from sealflow.owner.trust.policy_file import write_policy
from tests.support.cluster.local_cluster import TINY
from tests.support.trusted.keybroker import Instance, identity, made

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Run


@pytest.fixture(scope="module")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all keys, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("made") / "keys"
    files = make(ClusterNames(deployment="test"), datetime.now(UTC), kubernetes=False)
    write_tree(folder, files, replace=False)
    return folder


@pytest.fixture
def keys(made_keys: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(made_keys, tmp_path / "keys")


def test_keys_are_made(run: Run, tmp_path: Path) -> None:
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


def test_keys_are_listed(run: Run, made_keys: Path) -> None:
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
def test_keys_are_rotated(run: Run, keys: Path, what: str) -> None:
    """What is rotated is said, and only that is written anew."""
    before = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    done = run("keys", "rotate", what, keys, "--json")
    after = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    changed = {str(path.relative_to(keys)) for path in after if before.get(path) != after[path]}
    assert set(done.json["written"]) == changed
    assert changed


def test_what_was_written(run: Run, keys: Path) -> None:
    """People are told which files are new, and to keep the authorities elsewhere."""
    shown = run("keys", "rotate", "passwords", keys).out
    assert "password/gateway/" in shown
    assert "Keep ca/ away from the cluster" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("rotate", "certificates", "{folder}", "--component", "cow"),
            "no component cow; there are",
        ),
        (("rotate", "authorities", "{folder}", "--component", "gateway"), "omit --component"),
        (("make", "{folder}/new", "--host", "x"), "write it as COMPONENT=HOST"),
        (("make", "{folder}/new", "--deployment", "a b"), "--deployment: "),
        (("list", "{folder}/absent"), "absent"),
        (("owner", "{folder}/absent/key"), "absent/key"),
        (("enclave", "{folder}/absent/key"), "absent/key"),
    ],
)
def test_keys_that_cannot_be(run: Run, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    """What cannot be done is said with what would work."""
    done = run("keys", *(word.format(folder=tmp_path) for word in words))
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("kind", "name"), [("owner", "signer"), ("enclave", "mr_signer")])
def test_single_keys(run: Run, tmp_path: Path, kind: str, name: str) -> None:
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


@pytest.fixture
def package(run: Run, tmp_path: Path) -> tuple[str, ...]:
    """A packed model, with its owner's key: the package, its signer, its digest."""
    key, path = tmp_path / "owner.key", tmp_path / "tiny.sealed"
    signer = run("keys", "owner", key, "--simulated", "--json").json["signer"]
    packed = run("model", "pack", TINY, "-o", path, "--owner-key", key, "--json").json
    assert packed["bytes"] == path.stat().st_size
    return str(path), signer, packed["digest"]


def test_package(run: Run, package: tuple[str, ...]) -> None:
    """Anybody can see what a package says in clear, and who signed it."""
    path, signer, digest = package
    said = run("model", "inspect", path, "--json").json
    assert (said["signer"], said["digest"], said["signature"]) == (signer, digest, "valid")
    shown = run("model", "inspect", path).out
    assert digest in "".join(shown.split())
    assert "compare it with the owner you trust" in " ".join(shown.split())
    demanded = run("model", "inspect", path, "--signer", signer)
    assert "as demanded" in " ".join(demanded.out.split())


def test_packages_of_others(run: Run, package: tuple[str, ...], tmp_path: Path) -> None:
    """Another signer than the one demanded, and bytes that are no package, are errors."""
    other = run("model", "inspect", package[0], "--signer", "ab" * 32)
    assert other.code == 5
    assert "Traceback" not in other.err
    (tmp_path / "no.sealed").write_bytes(b"nonsense")
    nonsense = run("model", "inspect", tmp_path / "no.sealed")
    assert nonsense.code != 0
    assert nonsense.err.startswith("error: ")


def test_packing_without_a_key(run: Run, tmp_path: Path) -> None:
    """A missing key says which command makes one."""
    done = run("model", "pack", TINY, "--owner-key", tmp_path / "absent.key")
    assert done.code == 2
    assert "absent.key" in done.err
    assert "sealflow" in done.err


@pytest.fixture
def log(tmp_path: Path) -> tuple[str, ...]:
    """A log with a publication, a grant and a revocation; and the options to read it."""
    broker = Instance().lead()
    broker.publish("m")
    worker = identity(Role.WORKER)
    broker.grant(worker)
    broker.revoke(RevokedKind.WORKER, worker.instance)
    path, policy = tmp_path / "log", tmp_path / "client.toml"
    path.write_bytes(b"".join(record + b"\n" for record in broker.records))
    write_policy(policy, made().deployment.policy(Role.KEY_BROKER))
    return str(path), "--policy", str(policy)


def test_log_is_verified(run: Run, log: tuple[str, ...]) -> None:
    """A log that is whole is said to be, with its head; a simulation is named."""
    said = run("log", "verify", *log, "--json").json
    assert said["verified"]
    assert said["simulated"]
    shown = run("log", "verify", *log)
    assert said["head"] in shown.out
    assert "SIMULATED" in shown.err


def test_log_is_shown(run: Run, log: tuple[str, ...]) -> None:
    """All entries, or those of one kind, as a table or a line each."""
    lines = [json.loads(line) for line in run("log", "show", *log, "--json").out.splitlines()]
    assert [line["number"] for line in lines] == list(range(len(lines)))
    kinds = {line["kind"] for line in lines}
    assert {"grant", "revocation"} <= kinds
    grants = run("log", "show", *log, "--kind", "grant", "--json").json
    assert grants["kind"] == "grant"
    table = run("log", "show", *log).out
    assert "revocation" in table


@pytest.mark.parametrize("damage", ["cut", "swapped", "flipped", "text"])
def test_log_that_was_changed(run: Run, log: tuple[str, ...], damage: str) -> None:
    """A log from which something is missing, or in which something was changed, is refused."""
    path = Path(log[0])
    records = path.read_bytes().splitlines(keepends=True)
    if damage == "cut":
        del records[1]
    elif damage == "swapped":
        records[1], records[2] = records[2], records[1]
    elif damage == "flipped":
        at = len(records[2]) // 2
        records[2] = records[2][:at] + bytes([records[2][at] ^ 1]) + records[2][at + 1 :]
    else:
        records.append(b"hello\n")
    path.write_bytes(b"".join(records))
    for words in (("log", "verify"), ("log", "show")):
        done = run(*words, *log)
        assert done.code in (1, 3), done.err
        assert done.out == ""
        assert done.err.startswith("error: ")


def test_logs_that_are_not_there(run: Run, log: tuple[str, ...], tmp_path: Path) -> None:
    """Files that are missing, empty or no pins are named."""
    absent = tmp_path / "absent"
    for words in (
        ("log", "verify", absent, *log[1:]),
        ("log", "verify", log[0], "--policy", absent),
        ("log", "verify", *log, "--pin", absent),
        ("receipt", "verify", absent, "--log", *log),
    ):
        done = run(*words)
        assert done.code == 2, done.err
        assert "absent" in done.err
    absent.touch()
    none = run("receipt", "verify", absent, "--log", *log)
    assert (none.code, "has no receipts" in none.err) == (2, True)
    absent.write_text("{}\n")
    assert run("receipt", "verify", absent, "--log", *log).code != 0


def test_policy(run: Run, log: tuple[str, ...], tmp_path: Path) -> None:
    """A policy is said in words; one that cannot be read is named."""
    said = run("policy", "check", log[2], "--json").json
    assert said["simulated"]
    assert any(line["weakens"] for line in said["lines"])
    (tmp_path / "bad.toml").write_text("tee = [")
    bad = run("policy", "check", tmp_path / "bad.toml")
    assert (bad.code, "bad.toml" in bad.err) == (2, True)
